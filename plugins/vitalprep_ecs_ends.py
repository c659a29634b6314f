"""What ECS says of a container that did not start, or that ended, as an error with its mend. No call to AWS here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowException

from vitalprep_aws import CREDENTIALS, ENVIRONMENT, Refusal, refused
from vitalprep_outcomes import Outcome, WorkerFailed, WorkerRefused, document_in, result_of
from vitalprep_spot import SpotLost

__all__ = ["end_of_task", "refused_call", "refused_start"]

SPOT_ENDS = ("SpotInterruption", "TerminationNotice")
NO_CAPACITY = r"capacity is unavailable|(?-i:RESOURCE:[A-Z])|insufficient capacity"


Kind = type[WorkerFailed] | type[WorkerRefused]

# What ECS answers to RunTask, DescribeTasks and so on.
_CALLS: tuple[Refusal, ...] = (
    (
        "ClusterNotFound",
        "",
        WorkerRefused,
        "check VITALPREP_ECS_CLUSTER and AWS_DEFAULT_REGION (a cluster lives in one region and can be deleted); "
        + ENVIRONMENT,
    ),
    (
        "",
        r"task ?definition.*(not found|inactive|does not exist)|unable to describe task definition",
        WorkerRefused,
        "check VITALPREP_ECS_WORKER_TASK and VITALPREP_ECS_BUILDER_TASK; `terraform apply` registers both again",
    ),
    (
        "AccessDenied",
        "PassRole",
        WorkerRefused,
        "let Airflow's role pass the task's roles to ECS (iam:PassRole; terraform/rights_to_services.tf)",
    ),
    (
        "AccessDenied",
        "",
        WorkerRefused,
        "give Airflow the role that `terraform output airflow_role` names, or its policies run-tasks and plan",
    ),
    CREDENTIALS,
    (
        "",
        r"(limit|quota).*(vcpu|tasks|concurrent)|(vcpu|tasks).*(limit|quota)",
        WorkerFailed,
        "lower VITALPREP_SHARDS_AT_ONCE, or ask for a higher Fargate quota (Service Quotas, Fargate, vCPU count)",
    ),
    ("", NO_CAPACITY, WorkerFailed, "wait, or use subnets in more availability zones"),
    (
        "",
        r"subnet|security group|network configuration|VPC",
        WorkerRefused,
        "check VITALPREP_ECS_SUBNETS and VITALPREP_ECS_SECURITY_GROUPS; " + ENVIRONMENT,
    ),
    (
        "",
        r"capacity provider",
        WorkerRefused,
        "the cluster needs the capacity providers FARGATE and FARGATE_SPOT (terraform/cluster.tf)",
    ),
    (
        "",
        r"cpu|memory",
        WorkerRefused,
        "set VITALPREP_ECS_SHARD_CPU and VITALPREP_ECS_SHARD_MEMORY to a pair that Fargate offers, or to nothing",
    ),
    (
        "(InvalidParameter|ClientException|Platform|UnsupportedFeature|Blocked)",
        "",
        WorkerRefused,
        "check the VITALPREP_ECS_ settings; " + ENVIRONMENT,
    ),
)

# What ECS says of a task that never started: (pattern, what to raise, the mend).
_STARTS: tuple[tuple[str, Kind, str], ...] = (
    (
        r"CannotPull|CannotInspect|manifest|image.*not found",
        WorkerRefused,
        "push the image under the tag that the task definition names, to this region and for its CPU architecture; the "
        "execution role must be allowed to pull it, and the subnet to reach the registry",
    ),
    (
        r"assume the role|role.*(not exist|trust)|AccessDenied",
        WorkerRefused,
        "the roles of the task definition must exist and trust ecs-tasks.amazonaws.com; `terraform apply` makes them",
    ),
    (
        r"ResourceInitializationError.*(log|awslogs)",
        WorkerRefused,
        "the log group of the task definition must exist in this region; `terraform apply` makes it",
    ),
    (
        r"ResourceInitializationError.*secret",
        WorkerRefused,
        "check subject_salt_secret_arn, and that the execution role may read that secret",
    ),
    (
        r"ResourceInitializationError",
        WorkerRefused,
        "the task must reach ECR, logs and secrets from its subnet: a public address (VITALPREP_ECS_ASSIGN_PUBLIC_IP), "
        "a NAT gateway or VPC endpoints",
    ),
    (
        r"CannotStartContainer|exec format|no such file",
        WorkerRefused,
        "build docker/Dockerfile.worker for the CPU architecture of the task definition, and push it",
    ),
    (NO_CAPACITY, WorkerFailed, "wait, or use subnets in more availability zones"),
)


def refused_call(code: str, message: str, *, call: str, spot: bool) -> AirflowException:
    """Return the error for an answer of ECS to one of our calls."""
    if spot and re.search(NO_CAPACITY, message, re.IGNORECASE):
        return SpotLost(f"There is no spot capacity now ({message.rstrip('.')}).")
    return refused("ECS", call, code, message, _CALLS)


def refused_start(reasons: Sequence[str], *, spot: bool) -> AirflowException:
    """Return the error for a task that ECS did not start, by the reasons that it gives."""
    reason = "; ".join(filter(None, reasons)) or "no reason given"
    if spot and re.search(NO_CAPACITY, reason, re.IGNORECASE):
        return SpotLost(f"There is no spot capacity now ({reason}).")
    for pattern, kind, mend in _STARTS:
        if re.search(pattern, reason, re.IGNORECASE | re.DOTALL):
            return kind(f"The container did not start: {reason.rstrip('.')}. To mend: {mend}.")
    return WorkerFailed(f"The container did not start: {reason.rstrip('.')}. It is tried again.")


def end_of_task(
    task: Mapping[str, Any],
    *,
    container: str,
    arguments: tuple[str, ...],
    spot: bool,
    last_lines: Callable[[], Sequence[str]],
) -> dict[str, Any]:
    """Return the worker's result from a task that has stopped, as DescribeTasks shows it.

    Parameters
    ----------
    last_lines : callable
        The end of the container's log.

    Raises
    ------
    SpotLost
        If its spot capacity was taken back, even if the worker ended well all the same.
    WorkerRefused, WorkerFailed
        If it did not start or did not end well, by reason and exit code.
    """
    code, reason = task.get("stopCode", ""), task.get("stoppedReason", "")
    ours = next((one for one in task.get("containers", []) if one.get("name") == container), {})
    if code in SPOT_ENDS or re.search(r"spot.*interrupt", reason, re.IGNORECASE):
        raise SpotLost(f"Spot capacity was taken back ({reason.rstrip('.')}); finished cases are kept.")
    if code == "TaskFailedToStart" or (ours.get("exitCode") is None and not _ran(task)):
        raise refused_start([reason, *(one.get("reason", "") for one in task.get("containers", []))], spot=spot)
    lines = tuple(last_lines())
    exit_code, why = ours.get("exitCode"), ours.get("reason", "")
    if "OutOfMemory" in why or "memory usage" in why:
        raise WorkerFailed(
            f"{arguments[0]} was killed for its memory ({why.rstrip('.')}); finished cases are kept. To mend: give the "
            "task more (VITALPREP_ECS_SHARD_MEMORY, or worker_size and builder_size in terraform.tfvars)."
        )
    if exit_code is None:
        raise WorkerFailed(f"ECS does not say how {arguments[0]} ended ({reason or why or 'no reason given'}).")
    # A shell's convention: 128 and more is a signal. 143 the worker itself means.
    signalled = exit_code > 128 and exit_code != 143
    said = document_in(lines)
    text = tuple(line for line in lines if not document_in([line])) or (reason,)
    result = result_of(Outcome(arguments, 128 - exit_code if signalled else exit_code, said, text[-3:]))
    return result if result.get("ok") else {}


def _ran(task: Mapping[str, Any]) -> bool:
    return "startedAt" in task
