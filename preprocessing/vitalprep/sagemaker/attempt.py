"""Tells what the hosts of this attempt of a job leave from what those of an earlier attempt left.

SageMaker starts an interrupted job again under its name, on new machines, and the folder of the job stays as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid4

from vitalprep.contract.job import FirstHost, HostFailure
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError, VitalprepError
from vitalprep.sagemaker.job_folder import JobFolder
from vitalprep.storage import AccessDenied

__all__ = ["HostStart", "OtherHosts", "raised_there"]

APART = timedelta(seconds=120)  # by which the starts of an attempt's hosts differ, with their clocks; new machines
# take SageMaker longer

Found = TypeVar("Found", FirstHost, HostFailure)


@dataclass(frozen=True)
class HostStart:
    """One start of a host: its id and time are in all that it leaves."""

    id: str
    at: datetime

    @classmethod
    def now(cls) -> HostStart:
        """Return a new one."""
        return cls(uuid4().hex, datetime.now(UTC))


class OtherHosts:
    """What a host sees of others in the job's folder, from its own start on.

    A document is of this attempt if it differs from the one that the first look found, or if the start of the host
    that left it is not more than `APART` before this host's. A look that fails is none: it is logged once.

    Parameters
    ----------
    folder : JobFolder
    start : HostStart
        Of this host.
    """

    def __init__(self, folder: JobFolder, start: HostStart) -> None:
        self._folder = folder
        self._oldest = start.at - APART
        self._found_first: dict[str, FirstHost | HostFailure | None] = {}
        self._logged: set[str] = set()
        self.denied = False

    def sign(self) -> tuple[FirstHost | None, bool]:
        """Return the first host's last sign of life, and whether it is of this attempt."""
        return self._look("first-host", self._folder.first_host)

    def failure_of(self, host: str, sign: FirstHost | None = None) -> HostFailure | None:
        """Return why a host failed in this attempt; None if it has left nothing.

        Parameters
        ----------
        sign : FirstHost, optional
            The host's last sign of this attempt: the failure is of that start or of a later one.
        """
        failure, current = self._look(f"failure-{host}", lambda: self._folder.failure_of(host))
        if failure is None or sign is None:
            return failure if current else None
        return failure if failure.start == sign.start or (current and failure.started > sign.started) else None

    def _look(self, name: str, read: Callable[[], Found | None]) -> tuple[Found | None, bool]:
        try:
            found = read()
        except VitalprepError as error:
            self.denied = self.denied or isinstance(error, AccessDenied)
            if error.message not in self._logged:
                self._logged.add(error.message)
                log(f"the other hosts cannot be looked at: {error} It is tried again.", level=logging.WARNING)
            return None, False
        before = self._found_first.setdefault(name, found)
        return found, found is not None and (found != before or found.started >= self._oldest)


def raised_there(failure: HostFailure, which: str) -> VitalprepError:
    """Return the error with which another host ended; `which` names that host's part, for the message."""
    kinds = {kind.exit_code: kind for kind in (UsageError, RefusedError)}
    message = f"{which} {failure.host} failed: {failure.message}"
    return kinds.get(failure.exit_code, RetryableError)(message, fix=failure.fix)
