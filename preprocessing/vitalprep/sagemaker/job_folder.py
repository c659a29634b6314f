"""The folder of a job in the output, ``<output>/sagemaker/<job>/``: its hosts write there, and `submit` reads it.

SageMaker's own place for the reason of a failure, ``/opt/ml/output/failure``, may belong to root, and
DescribeTrainingJob repeats only its beginning.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, datetime
from typing import Literal

from vitalprep.contract.job import FirstHost, HostFailure
from vitalprep.contract.paths import first_host_path, host_failure_path, job_folder
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import VitalprepError
from vitalprep.sagemaker.patterns import is_job_name
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["JOB_NAME", "OUTPUT", "JobFolder", "failure_told_there"]

JOB_NAME = "TRAINING_JOB_NAME"  # SageMaker and the local mode of its SDK set it
OUTPUT = "VITALPREP_OUTPUT"
RETRY_SECONDS = 20.0  # a container that is being stopped has little more

_EXIT_CODE = re.compile(r"exit code:? (\d+)")
_OUR_PROCESS = re.compile("|".join(("^$", "AlgorithmError", _EXIT_CODE.pattern)))


class JobFolder:
    """The documents of one job.

    Parameters
    ----------
    output : Storage
    job : str
        Name of the job.
    """

    def __init__(self, output: Storage, job: str) -> None:
        self._output = output
        self._job = job
        self.uri = output.uri_of(job_folder(job))

    @classmethod
    def of_container(cls, output_uri: str) -> JobFolder | None:
        """Return the folder of the job that this container belongs to; None if nobody tells its name."""
        job = os.environ.get(JOB_NAME, "")
        return cls(Storage(output_uri, create=True, retry_seconds=RETRY_SECONDS), job) if is_job_name(job) else None

    def put_failure(self, failure: HostFailure) -> None:
        """Store why a host failed."""
        self._output.put(host_failure_path(self._job, failure.host), failure.to_bytes())

    def failure_of(self, host: str) -> HostFailure | None:
        """Return why a host failed; None if it has left nothing."""
        path = host_failure_path(self._job, host)
        try:
            return HostFailure.from_bytes(self._output.get(path), uri=self._output.uri_of(path))
        except ObjectMissing:
            return None

    def failures(self) -> list[HostFailure]:
        """Return why hosts failed, the first one first: what came later may follow from it."""
        found = [stored for stored in self._output.list(job_folder(self._job)) if self._is_failure(stored.path)]
        first = datetime.min.replace(tzinfo=UTC)
        found.sort(key=lambda stored: (stored.modified or first, stored.path))
        return [HostFailure.from_bytes(self._output.get(one.path), uri=self._output.uri_of(one.path)) for one in found]

    def put_first_host(self, host: str, state: Literal["running", "done"]) -> None:
        """Store a sign of life of the first host."""
        sign = FirstHost(host=host, state=state, updated=datetime.now(UTC))
        self._output.put(first_host_path(self._job), sign.to_bytes())

    def first_host(self) -> FirstHost | None:
        """Return the first host's last sign of life; None before the first."""
        path = first_host_path(self._job)
        try:
            return FirstHost.from_bytes(self._output.get(path), uri=self._output.uri_of(path))
        except ObjectMissing:
            return None

    def _is_failure(self, path: str) -> bool:
        head, tail = host_failure_path(self._job, "\0").split("\0")
        return path.startswith(head) and path.endswith(tail)


def failure_told_there(output_uri: str, job: str, reason: str) -> HostFailure | None:
    """Return what a host of a failed job left as the cause, or None.

    Parameters
    ----------
    reason : str
        SageMaker's FailureReason. A failure with another exit code is not its cause, but of an earlier attempt.
    """
    try:
        failures = JobFolder(Storage(output_uri, retry_seconds=RETRY_SECONDS), job).failures()
    except VitalprepError as error:
        log(f"what the hosts of {job} left cannot be read: {error}", level=logging.WARNING, job=job)
        return None
    if not _OUR_PROCESS.search(reason):
        return None
    code = _EXIT_CODE.search(reason)
    return next((one for one in failures if code is None or one.exit_code == int(code[1])), None)
