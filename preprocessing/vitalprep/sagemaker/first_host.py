"""What the hosts of a job tell each other: the first gives signs of life, the others wait until it has finished.

Some platforms end a job as soon as one of its hosts has ended (the local mode of SageMaker's SDK does). A host that
ends before the first would end the job before its data set is built.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vitalprep.contract.job import FirstHost, HostFailure
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError, VitalprepError
from vitalprep.runtime.periodic import called_every
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker.job_folder import JobFolder
from vitalprep.sagemaker.pauses import growing_pauses, pause

__all__ = ["WatchedFirstHost", "signs_of_life"]

BEAT_SECONDS = 30.0
LONGEST_PAUSE = 10.0  # s between two looks: so much longer the job may take


@contextmanager
def signs_of_life(folder: JobFolder, host: str) -> Iterator[None]:
    """Tell the other hosts that the first one works, while the block runs, and that it is done, after it.

    The first sign is written at once: who may not write to the job's folder learns it before the work.
    """

    def beat() -> None:
        try:
            folder.put_first_host(host, "running")
        except VitalprepError as error:
            log(f"the other hosts get no sign of life: {error}", level=logging.WARNING)

    folder.put_first_host(host, "running")
    with called_every(BEAT_SECONDS, beat):
        yield
    try:
        folder.put_first_host(host, "done")
    except VitalprepError as error:  # the data set is validated, which counts
        log(f"the other hosts are not told that the data set is done: {error}", level=logging.WARNING)


class WatchedFirstHost:
    """The first host, as another host sees it from its own start on.

    A failure that is there already is of an earlier attempt: SageMaker starts interrupted jobs again under their name.

    Parameters
    ----------
    folder : JobFolder
    host : str
        Name of the first host.
    """

    def __init__(self, folder: JobFolder, host: str) -> None:
        self._folder = folder
        self._host = host
        self._readable = True
        self._earlier = self._look()[1]

    def wait(self, seconds: float, stop: StopRequest) -> None:
        """Return when the first host has finished; raise its failure if it failed.

        Where the job's folder may not be read, return at once with a warning.

        Parameters
        ----------
        seconds : float
            How long to wait without a sign of life.

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
            sign, failure = self._look()
            if not self._readable:
                return
            if sign is not None and sign.state == "done":
                log(f"{self._host} has validated the data set", host=self._host)
                return
            if failure is not None and failure != self._earlier:
                raise _raised_there(failure)
            if sign is None or sign != last:
                log(f"waiting for {self._host}, which builds, publishes and validates", host=self._host)
            if sign != last:
                last, since = sign, time.monotonic()
            patience = since + seconds - time.monotonic()
            if patience <= 0:
                raise self._given_up(seconds)
            pause(min(wait, patience), stop)
            stop.raise_if_requested(f"waiting for {self._host}")

    def _look(self) -> tuple[FirstHost | None, HostFailure | None]:
        if not self._readable:
            return None, None
        try:
            return self._folder.first_host(), self._folder.failure_of(self._host)
        except RetryableError as error:
            log(f"{self._host} cannot be looked at: {error}", level=logging.WARNING)
            return None, None
        except VitalprepError as error:
            self._readable = False
            log(
                f"this host will end without waiting for {self._host}, since {self._folder.uri} cannot be read: "
                f"{error.message} Where the platform ends a job with its first host, the data set will be missing; "
                "let the job's role read and list that folder (terraform/rights_to_services.tf).",
                level=logging.WARNING,
            )
            return None, None

    def _given_up(self, seconds: float) -> RetryableError:
        return RetryableError(
            f"The first host {self._host} has given no sign of life for {seconds:g} s.",
            fix="see its log, then submit the same again: it goes on from the receipts. If it starts later than that, "
            "raise the hyperparameter wait_seconds.",
        )


def _raised_there(failure: HostFailure) -> VitalprepError:
    kinds = {kind.exit_code: kind for kind in (UsageError, RefusedError)}
    message = f"The first host {failure.host} failed: {failure.message}"
    return kinds.get(failure.exit_code, RetryableError)(message, fix=failure.fix)
