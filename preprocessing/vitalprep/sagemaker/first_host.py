"""What the hosts of a job tell each other: the first gives signs of life, the others wait until it has finished.

Some platforms end a job as soon as one of its hosts has ended (the local mode of SageMaker's SDK does). A host that
ends before the first would end the job before its data set is built.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from vitalprep.contract.job import FirstHost
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RetryableError, VitalprepError
from vitalprep.runtime.periodic import called_every
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker.attempt import HostStart, OtherHosts, raised_there
from vitalprep.sagemaker.job_folder import JobFolder
from vitalprep.sagemaker.pauses import growing_pauses, pause

__all__ = ["WatchedFirstHost", "signs_of_life"]

BEAT_SECONDS = 30.0
LONGEST_PAUSE = 10.0  # s between two looks: so much longer the job may take


@contextmanager
def signs_of_life(folder: JobFolder, host: str, start: HostStart) -> Iterator[None]:
    """Tell the other hosts that the first one works, while the block runs, and that it is done, after it.

    The first sign is written at once: who may not write to the job's folder learns it before the work. It and the last
    one are tried as long as all else; those between are not, since the next one does as well.
    """

    def sign(state: Literal["running", "done"]) -> FirstHost:
        return FirstHost(host=host, start=start.id, started=start.at, state=state, updated=datetime.now(UTC))

    def beat() -> None:
        try:
            folder.put_first_host(sign("running"), briefly=True)
        except VitalprepError as error:
            log(f"the other hosts get no sign of life: {error}", level=logging.WARNING)

    folder.put_first_host(sign("running"))
    with called_every(BEAT_SECONDS, beat):
        yield
    try:
        folder.put_first_host(sign("done"))
    except VitalprepError as error:  # the data set is validated, which counts, and the others look at it in the end
        log(f"the other hosts are not told that the data set is done: {error}", level=logging.WARNING)


class WatchedFirstHost:
    """The first host, as another host sees it from its own start on.

    Parameters
    ----------
    folder : JobFolder
    host : str
        Name of the first host.
    start : HostStart
        Of the host that looks.
    """

    def __init__(self, folder: JobFolder, host: str, start: HostStart) -> None:
        self._folder = folder
        self._host = host
        self._others = OtherHosts(folder, start)
        self._done_before: FirstHost | None = None
        self._others.sign()
        self._others.failure_of(host)

    def wait(self, seconds: float, stop: StopRequest, is_built: Callable[[], bool]) -> None:
        """Return when the first host has finished; raise its failure if it failed.

        Parameters
        ----------
        seconds : float
            How long to wait without a sign of life.
        is_built : callable
            Returns whether the data set is up to date. It is asked where the first host's word is of an earlier
            attempt, does not come, or must not be read.

        Raises
        ------
        RetryableError
            After that, or as the first host did.
        UsageError, RefusedError
            As the first host did.
        Stopped
            When a stop is asked for.
        """
        last: FirstHost | None = None
        since = time.monotonic()
        for wait in growing_pauses(LONGEST_PAUSE):
            sign, current = self._others.sign()
            if self._has_finished(sign, current, is_built):
                log(f"{self._host} has validated the data set", host=self._host)
                return
            new = current and sign != last
            if last is None or new:
                log(f"waiting for {self._host}, which builds, publishes and validates", host=self._host)
            if new:
                last, since = sign, time.monotonic()
            failure = self._others.failure_of(self._host, last)
            if failure is not None:
                raise raised_there(failure, "The first host")
            patience = since + seconds - time.monotonic()
            if patience <= 0:
                self._give_up(seconds, is_built)
                return
            pause(min(wait, patience), stop)
            stop.raise_if_requested(f"waiting for {self._host}")

    def _has_finished(self, sign: FirstHost | None, current: bool, is_built: Callable[[], bool]) -> bool:
        if sign is None:
            return self._others.denied and _holds(is_built)
        if current or sign.state != "done":
            return sign.state == "done"
        asked, self._done_before = sign == self._done_before, sign
        return not asked and _holds(is_built)

    def _give_up(self, seconds: float, is_built: Callable[[], bool]) -> None:
        """Return if the data set is built nevertheless; raise `RetryableError` if it is not."""
        if _holds(is_built):
            log(f"{self._host} does not say so, but the data set is built and proved", host=self._host)
            return
        right = f"let the job's role read and list {self._folder.uri} (terraform/rights_to_services.tf), then "
        raise RetryableError(
            f"The first host {self._host} has given no sign of life for {seconds:g} s.",
            fix=f"see its log, then {right if self._others.denied else ''}submit the same again: it goes on from the "
            "receipts. If it starts later than that, raise the hyperparameter wait_seconds.",
        )


def _holds(is_built: Callable[[], bool]) -> bool:
    try:
        return is_built()
    except VitalprepError as error:
        log(f"whether the data set is built cannot be seen: {error}", level=logging.WARNING)
        return False
