"""Bounded retries with exponential back-off and full jitter. Each retry is logged.

`obstore` can retry by itself, but does so silently.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from vitalprep.runtime.console import log
from vitalprep.runtime.errors import VitalprepError

__all__ = ["TRIES", "Transient", "retried"]

TRIES = 9
FIRST_WAIT = 0.2  # s, doubled with each retry; the actual wait is uniform between 0 and this
LONGEST_WAIT = 20.0

Outcome = TypeVar("Outcome")


class Transient(Exception):  # noqa: N818  a signal to `retried`
    """A fault worth retrying.

    Parameters
    ----------
    error : VitalprepError
        Error to raise when the retries are exhausted.
    tries : int
        Maximum number of attempts, the first one included.
    wait : float
        Minimum wait in seconds, if the server asked for one.
    """

    def __init__(self, error: VitalprepError, *, tries: int = TRIES, wait: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.tries = tries
        self.wait = wait


def retried(action: Callable[[], Outcome], *, key: str, seconds: float) -> Outcome:
    """Return the result of `action`, retrying while it raises `Transient`.

    Parameters
    ----------
    key : str
        URI of the object, for the log line.
    seconds : float
        Start no further attempt after this long.

    Raises
    ------
    VitalprepError
        The error of the last `Transient`. Any other exception of `action` is raised immediately.
    """
    began = time.monotonic()
    attempt = 0
    while True:
        attempt += 1
        try:
            return action()
        except Transient as fault:
            wait = fault.wait + random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)))
            if attempt >= fault.tries or time.monotonic() - began + wait > seconds:
                raise _given_up(fault.error, attempt) from None
            log(
                f"retry {attempt} of {fault.tries - 1} in {wait:.1f} s: {fault.error.message}",
                level=logging.WARNING,
                key=key,
                attempt=attempt,
                of=fault.tries - 1,
                error=fault.error.message,
                wait_seconds=round(wait, 3),
            )
            time.sleep(wait)


def _given_up(error: VitalprepError, tries: int) -> VitalprepError:
    if tries == 1:
        return error
    return type(error)(f"{error.message.rstrip('.')} (tried {tries} times).", fix=error.fix)
