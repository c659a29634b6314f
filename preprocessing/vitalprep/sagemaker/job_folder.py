"""The folder of a job in the output, ``<output>/sagemaker/<job>/<region>-<account>/``: what its hosts leave there.

SageMaker's own place for the reason of a failure, ``/opt/ml/output/failure``, may belong to root, and
DescribeTrainingJob repeats only its beginning.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, datetime, timedelta

from vitalprep.contract.job import FirstHost, HostFailure
from vitalprep.contract.paths import first_host_path, host_failure_path, job_folder
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import VitalprepError
from vitalprep.sagemaker.patterns import is_job_name
from vitalprep.storage import Storage

__all__ = ["JOB_ARN", "JOB_NAME", "OUTPUT", "JobFolder", "failure_told_there"]

JOB_NAME = "TRAINING_JOB_NAME"  # SageMaker and the local mode of its SDK set it
JOB_ARN = "TRAINING_JOB_ARN"  # SageMaker sets it
OUTPUT = "VITALPREP_OUTPUT"
RETRY_SECONDS = 20.0  # a container that is being stopped has little more
BEFORE = timedelta(seconds=120)  # SageMaker may say so much later that a job trains than its containers start

_ARN = re.compile(r"arn:[a-z-]+:sagemaker:([a-z0-9-]+):(\d{12}):training-job/.+", re.ASCII)
_EXIT_CODE = re.compile(r"exit code:? (\d+)")
_OUR_PROCESS = re.compile("|".join(("^$", "AlgorithmError", _EXIT_CODE.pattern)))


class JobFolder:
    """The documents of one job.

    Parameters
    ----------
    output : Storage
    job : str
        Name of the job.
    arn : str
        Its ARN, where it is known: jobs of other regions and accounts may have its name, and write to its output.
    brief : Storage, optional
        The same output, tried again for a short time only; default `output`.
    """

    def __init__(self, output: Storage, job: str, *, arn: str = "", brief: Storage | None = None) -> None:
        found = _ARN.fullmatch(arn)
        self._output = output
        self._brief = brief or output
        self._job = job
        self._place = f"{found[1]}-{found[2]}" if found else ""
        self.uri = output.uri_of(job_folder(job, self._place))

    @classmethod
    def of_container(cls, output_uri: str) -> JobFolder | None:
        """Return the folder of the job that this container belongs to; None if nobody tells its name."""
        job = os.environ.get(JOB_NAME, "")
        if not is_job_name(job):
            return None
        output = Storage(output_uri, create=True)
        brief = Storage(output_uri, create=True, retry_seconds=RETRY_SECONDS)
        return cls(output, job, arn=os.environ.get(JOB_ARN, ""), brief=brief)

    def put_failure(self, failure: HostFailure) -> None:
        """Store why a host failed."""
        self._brief.put(host_failure_path(self._job, self._place, failure.host), failure.to_bytes())

    def failure_of(self, host: str) -> HostFailure | None:
        """Return why a host failed; None if it has left nothing."""
        return HostFailure.from_storage(self._brief, host_failure_path(self._job, self._place, host))

    def failures(self, since: datetime | None = None) -> list[HostFailure]:
        """Return why hosts failed, the first one first: what came later may follow from it.

        Parameters
        ----------
        since : datetime, optional
            Leave out what was written before.
        """
        first = datetime.min.replace(tzinfo=UTC)
        found = [stored for stored in self._output.list(job_folder(self._job)) if self._is_failure(stored.path)]
        found = [stored for stored in found if since is None or (stored.modified or since) >= since]
        found.sort(key=lambda stored: (stored.modified or first, stored.path))
        return [HostFailure.from_bytes(self._output.get(one.path), uri=self._output.uri_of(one.path)) for one in found]

    def put_first_host(self, sign: FirstHost, *, briefly: bool = False) -> None:
        """Store a sign of life of the first host."""
        (self._brief if briefly else self._output).put(first_host_path(self._job, self._place), sign.to_bytes())

    def first_host(self) -> FirstHost | None:
        """Return the first host's last sign of life; None before the first."""
        return FirstHost.from_storage(self._brief, first_host_path(self._job, self._place))

    def _is_failure(self, path: str) -> bool:
        """Whether a failure is at a path of this job, also of containers that are not told its ARN."""
        ends = [host_failure_path(self._job, place, "\0").split("\0") for place in (self._place, "")]
        return any(path.startswith(head) and path.endswith(tail) for head, tail in ends)


def failure_told_there(
    output_uri: str, job: str, reason: str, *, arn: str = "", since: datetime | None = None
) -> HostFailure | None:
    """Return what a host of a failed job left as the cause, or None.

    Parameters
    ----------
    reason : str
        SageMaker's FailureReason. A failure with another exit code is not its cause.
    arn : str
        The job's.
    since : datetime, optional
        When its last attempt began: what was left before is of an earlier one.
    """
    try:
        folder = JobFolder(Storage(output_uri, retry_seconds=RETRY_SECONDS), job, arn=arn)
        failures = folder.failures(since - BEFORE if since else None)
    except VitalprepError as error:
        log(f"what the hosts of {job} left cannot be read: {error}", level=logging.WARNING, job=job)
        return None
    if not _OUR_PROCESS.search(reason):
        return None
    code = _EXIT_CODE.search(reason)
    return next((one for one in failures if code is None or one.exit_code == int(code[1])), None)
