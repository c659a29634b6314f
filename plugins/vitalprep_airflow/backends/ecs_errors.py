"""What ECS says about a refused call, a container that did not start, or one that ended, as errors with a fix.

No function here calls AWS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import ENVIRONMENT
from vitalprep_airflow.backends.aws_errors import CREDENTIALS, Kind, Refusal, no_answer, refused
from vitalprep_airflow.backends.container_end import end_of_container
from vitalprep_airflow.backends.container_log import LogEnd
from vitalprep_airflow.backends.spot import SpotLost
from vitalprep_airflow.outcome import WorkerFailed, WorkerRefused

__all__ = ["end_of_task", "exit_code_of", "refused_call", "refused_start", "runs_on", "stop_command", "unanswered"]

SPOT_ENDS = ("SpotInterruption", "TerminationNotice")
NO_CAPACITY = r"capacity is unavailable|(?-i:RESOURCE:[A-Z])|insufficient capacity"

# Answers to RunTask, DescribeTasks and the other calls.
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
        "allow Airflow's role to pass the task's roles to ECS (iam:PassRole; terraform/rights_to_services.tf)",
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
        "set VITALPREP_ECS_SHARD_CPU and VITALPREP_ECS_SHARD_MEMORY to a pair that Fargate offers, or leave both unset",
    ),
    (
        "(InvalidParameter|ClientException|Platform|UnsupportedFeature|Blocked)",
        "",
        WorkerRefused,
        "check the VITALPREP_ECS_ settings; " + ENVIRONMENT,
    ),
)

# Reasons of a task that never started: pattern, what to raise, the fix.
_STARTS: tuple[tuple[str, Kind, str], ...] = (
    (
        r"CannotPull|CannotInspect|manifest|image.*not found",
        WorkerRefused,
        "push the image under the tag that the task definition names, to this region and for its CPU architecture; the "
        "execution role must be allowed to pull it, and the subnet to reach the registry",
    ),
    (
        # ECS begins with "unable to pull secrets or registry auth" whichever of the two it was.
        r"ResourceInitializationError.*(from asm|secretsmanager|retrieve secret)(?!.*(timeout|deadline))",
        WorkerRefused,
        "check subject_salt_secret_arn, and that the execution role may read that secret",
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
        r"ResourceInitializationError",
        WorkerRefused,
        "the task must reach ECR, logs and secrets from its subnet: a public address (assign_public_ip in "
        "terraform.tfvars, VITALPREP_ECS_ASSIGN_PUBLIC_IP), a NAT gateway or VPC endpoints",
    ),
    (
        r"CannotStartContainer|exec format|no such file",
        WorkerRefused,
        "build docker/Dockerfile.worker for the CPU architecture of the task definition, and push it",
    ),
    (NO_CAPACITY, WorkerFailed, "wait, or use subnets in more availability zones"),
)


def refused_call(code: str, message: str, *, call: str, spot: bool) -> AirflowException:
    """Return the error for ECS's answer to a call."""
    if spot and re.search(NO_CAPACITY, message, re.IGNORECASE):
        return SpotLost(f"No spot capacity is available now ({message.rstrip('.')}).")
    return refused("ECS", call, code, message, _CALLS)


def unanswered(error: ClientError | BotoCoreError, *, spot: bool) -> AirflowException:
    """Return the error for a call that ECS refused or did not answer."""
    if isinstance(error, BotoCoreError):
        return no_answer("ECS", error)
    said = error.response["Error"]
    return refused_call(said["Code"], said["Message"], call=error.operation_name, spot=spot)


def refused_start(reasons: Sequence[str], *, spot: bool) -> AirflowException:
    """Return the error for a task that ECS did not start, by its reasons."""
    reason = "; ".join(filter(None, reasons)) or "no reason given"
    if spot and re.search(NO_CAPACITY, reason, re.IGNORECASE):
        return SpotLost(f"No spot capacity is available now ({reason}).")
    for pattern, kind, fix in _STARTS:
        if re.search(pattern, reason, re.IGNORECASE | re.DOTALL):
            return kind(f"The container did not start: {reason.rstrip('.')}. Fix: {fix}.")
    return WorkerFailed(f"The container did not start: {reason.rstrip('.')}. It is tried again.")


def runs_on(cluster: str, arn: str) -> str:
    """Return the sentences that say what becomes of a container that Airflow does not stop."""
    return f"It runs to its end. To stop it: {stop_command(cluster, arn)}"


def stop_command(cluster: str, arn: str) -> str:
    """Return the command that stops a container."""
    return f"aws ecs stop-task --cluster {cluster} --task {arn}"


def end_of_task(
    task: Mapping[str, Any],
    *,
    container: str,
    command: str,
    spot: bool,
    log_end: LogEnd,
) -> dict[str, Any]:
    """Return the worker's result from a stopped task as DescribeTasks describes it.

    Parameters
    ----------
    container : str
        Name of the worker's container in the task.
    command : str
        The worker's command, for messages.
    spot : bool
        Whether the task asked for spot capacity.
    log_end : LogEnd
        The end of the container's log.

    Raises
    ------
    SpotLost
        If its spot capacity was taken away, whatever the exit code.
    WorkerRefused, WorkerFailed
        If it did not start, or by its exit code.
    """
    code, reason = task.get("stopCode", ""), task.get("stoppedReason", "")
    ours = _container(task, container)
    if code in SPOT_ENDS or re.search(r"spot.*interrupt", reason, re.IGNORECASE):
        raise SpotLost(f"Spot capacity was taken away ({reason.rstrip('.')}). Finished cases are kept.")
    if code == "TaskFailedToStart" or (ours.get("exitCode") is None and not _ran(task)):
        raise refused_start([reason, *(one.get("reason", "") for one in task.get("containers", []))], spot=spot)
    return end_of_container(
        ours,
        service="ECS",
        command=command,
        reason=reason,
        memory="VITALPREP_ECS_SHARD_MEMORY, or worker_size and builder_size in terraform.tfvars",
        log_end=log_end,
    )


def exit_code_of(task: Mapping[str, Any], container: str) -> int | None:
    """Return the exit code of a container of a task as DescribeTasks describes it, None if there is none."""
    code: int | None = _container(task, container).get("exitCode")
    return code


def _container(task: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((one for one in task.get("containers", []) if one.get("name") == name), {})


def _ran(task: Mapping[str, Any]) -> bool:
    return "startedAt" in task
