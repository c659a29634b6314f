"""Trying again what failed for a while: exponential backoff with full jitter, bounded, one log line a retry.

Here and not in `obstore`, which retries without saying so.
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
FIRST_WAIT = 0.2  # s, doubled with each retry; the wait is drawn evenly between 0 and this
LONGEST_WAIT = 20.0

Outcome = TypeVar("Outcome")


class Transient(Exception):  # noqa: N818  it says what to do
    """A fault that may pass.

    Parameters
    ----------
    error : VitalprepError
        What to raise when it does not.
    tries : int
        How often to try in all.
    wait : float
        Seconds to wait at least, where the other side asked for it.
    """

    def __init__(self, error: VitalprepError, *, tries: int = TRIES, wait: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.tries = tries
        self.wait = wait


def retried(action: Callable[[], Outcome], *, key: str, seconds: float) -> Outcome:
    """Return what `action` returns, trying again while it raises `Transient`.

    Parameters
    ----------
    key : str
        URI of the object, for the log line.
    seconds : float
        After this long no further try begins.

    Raises
    ------
    VitalprepError
        The last fault's error, or at once whatever else `action` raises.
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
