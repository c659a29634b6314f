"""What SageMaker says about a refused call or a training job that ended, as errors with a fix.

No function here calls AWS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowException

from vitalprep_airflow.backends.aws import ENVIRONMENT
from vitalprep_airflow.backends.aws_errors import CREDENTIALS, Kind, Refusal, refused
from vitalprep_airflow.backends.spot import SpotLost
from vitalprep_airflow.outcome import Outcome, WorkerFailed, WorkerRefused, failure_of

__all__ = ["end_of_job", "exists_already", "is_unknown", "refused_call"]

# Answers to CreateTrainingJob and DescribeTrainingJob.
_CALLS: tuple[Refusal, ...] = (
    (
        "ResourceLimitExceeded",
        "",
        WorkerFailed,
        "lower VITALPREP_SHARDS_AT_ONCE, choose another VITALPREP_SAGEMAKER_INSTANCE_TYPE, or ask for a higher quota "
        "(Service Quotas, SageMaker, '<type> for spot training job usage')",
    ),
    (
        "AccessDenied",
        "PassRole",
        WorkerRefused,
        "allow Airflow's role to pass VITALPREP_SAGEMAKER_ROLE to SageMaker (iam:PassRole; "
        "terraform/rights_to_services.tf)",
    ),
    ("AccessDenied", "", WorkerRefused, "give Airflow the role that `terraform output airflow_role` names"),
    CREDENTIALS,
    ("ValidationException", "role|assume", WorkerRefused, "check VITALPREP_SAGEMAKER_ROLE; " + ENVIRONMENT),
    (
        "ValidationException",
        "image|ECR|registry",
        WorkerRefused,
        "push the image that VITALPREP_SAGEMAKER_IMAGE names, to this region; " + ENVIRONMENT,
    ),
    ("ValidationException", "", WorkerRefused, "check the VITALPREP_SAGEMAKER_ settings; " + ENVIRONMENT),
)

# Reasons of a job whose container never ran: pattern in FailureReason, what to raise, the fix.
_FAILURES: tuple[tuple[str, Kind, str], ...] = (
    (
        r"image|ECR|registry|entrypoint",
        WorkerRefused,
        "push docker/Dockerfile.worker's image for x86_64 under the tag that VITALPREP_SAGEMAKER_IMAGE names",
    ),
    (
        r"AccessDenied|not authorized|assume",
        WorkerRefused,
        "the job's role must trust sagemaker.amazonaws.com and have terraform's policies (terraform/roles.tf)",
    ),
)


def refused_call(code: str, message: str, *, call: str) -> AirflowException:
    """Return the error for SageMaker's answer to a call."""
    return refused("SageMaker", call, code, message, _CALLS)


def is_unknown(code: str, message: str) -> bool:
    """Return whether SageMaker says that it does not know a job."""
    return code == "ResourceNotFound" or (code == "ValidationException" and "not found" in message.lower())


def exists_already(code: str, message: str) -> bool:
    """Return whether SageMaker says that there is a job of this name."""
    return code == "ResourceInUse" and "already exists" in message


def end_of_job(job: Mapping[str, Any], *, name: str, command: str, spot: bool) -> dict[str, Any]:
    """Return what a completed job cost, from DescribeTrainingJob's answer.

    Parameters
    ----------
    name : str
        The job's name.
    command : str
        The worker's command, for messages.
    spot : bool
        Whether the job asked for spot capacity.

    Raises
    ------
    SpotLost
        If the job got no spot capacity in time.
    WorkerRefused, WorkerFailed
        By reason and exit code. A stopped job has failed, although the provider's operator takes it for completed.
    """
    status, reason = job["TrainingJobStatus"], job.get("FailureReason", "")
    if status == "Completed":
        return {
            "job": name,
            "billable_seconds": job.get("BillableTimeInSeconds", 0),
            "training_seconds": job.get("TrainingTimeInSeconds", 0),
        }
    if job["SecondaryStatus"] == "MaxWaitTimeExceeded" or (spot and "CapacityError" in reason):
        raise SpotLost(f"{name} got no spot capacity in time. Finished cases are kept.")
    if status == "Stopped":
        raise WorkerFailed(f"{name} was stopped ({job['SecondaryStatus']}). Finished cases are kept.")
    raise _failure(reason, name=name, command=command)


def _failure(reason: str, *, name: str, command: str) -> AirflowException:
    """Return the error for a failed job. The reason has the worker's message after its exit code."""
    code = re.search(r"exit code:? (\d+)", reason)
    if code is None:
        for pattern, kind, fix in _FAILURES:
            if re.search(pattern, reason, re.IGNORECASE):
                return kind(f"{name} did not run: {reason} Fix: {fix}.")
        return WorkerFailed(f"{name} failed: {reason or 'no reason given'}")
    message = re.sub(r"^AlgorithmError: *|, exit code: \d+$|exit code \d+: *", "", reason)
    return failure_of(Outcome(command, int(code[1]), {"message": message}))
