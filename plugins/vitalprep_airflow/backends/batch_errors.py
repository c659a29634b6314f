"""What Batch says about a refused call or a job that ended, as errors with a fix.

No function here calls AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowException

from vitalprep_airflow.backends.aws import ENVIRONMENT
from vitalprep_airflow.backends.aws_errors import CREDENTIALS, Refusal, refused
from vitalprep_airflow.backends.container_end import end_of_container
from vitalprep_airflow.backends.container_log import LogEnd
from vitalprep_airflow.backends.ecs_errors import refused_start
from vitalprep_airflow.backends.spot import SpotLost
from vitalprep_airflow.outcome import WorkerFailed, WorkerRefused

__all__ = [
    "end_of_job",
    "interruptions_of",
    "is_interrupted",
    "refused_call",
    "retry_strategy",
    "waited_too_long",
]

# ECS's reason for a task on Fargate Spot; Batch repeats it as the attempt's statusReason.
INTERRUPTED = "Your Spot Task was interrupted"
MOST_ATTEMPTS = 10  # of a job, by Batch

# Answers to SubmitJob, ListJobs and DescribeJobs.
_CALLS: tuple[Refusal, ...] = (
    (
        "",
        r"job ?queue.*(not found|does not exist|disabled|not valid|invalid)",
        WorkerRefused,
        "check VITALPREP_BATCH_QUEUE, VITALPREP_BATCH_SPOT_QUEUE and AWS_DEFAULT_REGION; " + ENVIRONMENT,
    ),
    (
        "",
        r"job ?definition.*(not found|does not exist|inactive)",
        WorkerRefused,
        "check VITALPREP_BATCH_WORKER_JOB and VITALPREP_BATCH_BUILDER_JOB; `terraform apply` registers both again",
    ),
    (
        "AccessDenied",
        "",
        WorkerRefused,
        "give Airflow the role that `terraform output airflow_role` names, or its policy run-jobs",
    ),
    CREDENTIALS,
    (
        "",
        r"resourceRequirements|vcpu|memory",
        WorkerRefused,
        "set VITALPREP_BATCH_SHARD_CPU and VITALPREP_BATCH_SHARD_MEMORY to a pair that Fargate offers, or leave both "
        "unset",
    ),
    ("ClientException", "", WorkerRefused, "check the VITALPREP_BATCH_ settings; " + ENVIRONMENT),
)


def retry_strategy(attempts: int) -> dict[str, Any]:
    """Return the strategy that repeats an interrupted attempt, but no failed one: Airflow decides about failures.

    Parameters
    ----------
    attempts : int
        How many times the job may start, at least 1.
    """
    return {
        "attempts": max(1, min(attempts, MOST_ATTEMPTS)),
        "evaluateOnExit": [
            {"onStatusReason": f"{INTERRUPTED}*", "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
            {"onStatusReason": "*", "action": "EXIT"},  # Batch starts again what matches nothing
        ],
    }


def refused_call(code: str, message: str, *, call: str) -> AirflowException:
    """Return the error for Batch's answer to a call."""
    return refused("Batch", call, code, message, _CALLS)


def interruptions_of(job: Mapping[str, Any]) -> int:
    """Return how many attempts of a job lost their spot capacity."""
    return sum(map(is_interrupted, job.get("attempts", [])))


def is_interrupted(ended: Mapping[str, Any]) -> bool:
    """Return whether an attempt, or the last attempt of a job, lost its spot capacity."""
    return INTERRUPTED in ended.get("statusReason", "")


def waited_too_long(job: Mapping[str, Any], *, seconds: float, spot: bool) -> WorkerFailed:
    """Return the error for a job that found no machine in time."""
    said = f" ({job['statusReason'].rstrip('.')})" if job.get("statusReason") else ""
    full = "other jobs use all vCPUs of the queue (batch_max_vcpus in terraform.tfvars) or of the Fargate quota"
    if spot:
        return SpotLost(
            f"The job found no spot capacity within {seconds:.0f} s{said} (VITALPREP_BATCH_SPOT_WAIT), or {full}."
        )
    return WorkerFailed(
        f"The job found no machine within {seconds:.0f} s{said} (VITALPREP_BATCH_QUEUE_WAIT). Fix: if {full}, raise "
        "it, or lower VITALPREP_SHARDS_AT_ONCE; a job larger than batch_max_vcpus never starts."
    )


def end_of_job(job: Mapping[str, Any], *, command: str, spot: bool, log_end: LogEnd) -> dict[str, Any]:
    """Return the worker's result from an ended job as DescribeJobs describes it.

    Parameters
    ----------
    command : str
        The worker's command, for messages.
    spot : bool
        Whether the job was in the spot queue.
    log_end : LogEnd
        The end of its containers' log.

    Raises
    ------
    SpotLost
        If its last attempt lost its spot capacity, whatever the exit code.
    WorkerRefused, WorkerFailed
        If it did not start, or by its exit code.
    """
    reason, container = str(job.get("statusReason", "")), job.get("container", {})
    if is_interrupted(job):
        raise SpotLost(f"Spot capacity was taken away ({reason.rstrip('.')}). Finished cases are kept.")
    if job.get("isTerminated"):
        raise WorkerFailed(f"{command} was stopped ({reason.rstrip('.')}). Finished cases are kept.")
    if "exitCode" not in container:
        raise refused_start([reason, container.get("reason", "")], spot=spot)
    return end_of_container(
        container,
        service="Batch",
        command=command,
        reason=reason,
        memory="VITALPREP_BATCH_SHARD_MEMORY, or worker_size and builder_size in terraform.tfvars",
        log_end=log_end,
    )
