"""The backend ``ecs``: each step is a container on ECS Fargate, shards on spot capacity, all others on demand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vitalprep_airflow.backends.aws import fargate_machine, log_seconds, missing, patience_seconds, region
from vitalprep_airflow.backends.spot import on_demand_after
from vitalprep_airflow.step import StepOperator

__all__ = ["EcsBackend", "EcsSettings"]

# The settings that the wait for a container needs.
WATCHED = (
    "cluster",
    "container",
    "log_group",
    "log_prefix",
    "region",
    "poll_seconds",
    "patience_seconds",
    "log_seconds",
    "log_reads",
)
NO_LOG = (
    "at a place that Airflow does not know (set VITALPREP_ECS_LOG_GROUP and VITALPREP_ECS_LOG_STREAM_PREFIX to see it "
    "here next time)"
)


class EcsBackend:
    """Runs steps on Fargate."""

    shards_at_once = 16

    @property
    def problem(self) -> str | None:
        """Which settings are missing and how to fix it."""
        return EcsSettings.from_environment().problem

    @property
    def interruptions(self) -> int:
        """A shard moves to on-demand capacity after so many."""
        return on_demand_after()

    @property
    def priced_machine(self) -> list[str]:
        """Fargate, with the shards' own size if the deployment sets one."""
        return fargate_machine(cpu=_setting("SHARD_CPU"), memory=_setting("SHARD_MEMORY"))

    @property
    def operator(self) -> type[StepOperator]:
        """The operator; imports the Amazon provider."""
        from vitalprep_airflow.backends.ecs_operator import EcsWorkerOperator

        return EcsWorkerOperator


@dataclass(frozen=True)
class EcsSettings:
    """Terraform's outputs and the deployment's choices, from ``VITALPREP_ECS_...``."""

    cluster: str
    worker_task: str
    builder_task: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    public_ip: bool
    container: str
    log_group: str
    log_prefix: str
    region: str
    shard_cpu: str  # in 1/1024 vCPU, as ECS counts
    shard_memory: str  # MiB
    poll_seconds: float
    patience_seconds: float
    log_seconds: float
    log_reads: float  # a second, of all tasks together; 0: none

    @classmethod
    def from_environment(cls) -> EcsSettings:
        """Read the settings. A missing one is empty, and `problem` names it."""
        return cls(
            cluster=_setting("CLUSTER"),
            worker_task=_setting("WORKER_TASK"),
            builder_task=_setting("BUILDER_TASK"),
            subnets=_several("SUBNETS"),
            security_groups=_several("SECURITY_GROUPS"),
            public_ip=_setting("ASSIGN_PUBLIC_IP").lower() == "true",
            container=_setting("CONTAINER") or "vitalprep",
            log_group=_setting("LOG_GROUP"),
            log_prefix=_setting("LOG_STREAM_PREFIX"),
            region=region(),
            shard_cpu=_setting("SHARD_CPU"),
            shard_memory=_setting("SHARD_MEMORY"),
            poll_seconds=float(_setting("POLL_SECONDS") or 6),
            patience_seconds=patience_seconds(),
            log_seconds=log_seconds(),
            log_reads=float(_setting("LOG_READS") or 5),
        )

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> EcsSettings:
        """Return the environment's settings, but with some of `watched` from another process.

        That one may have been of an earlier or later version: what it does not know is the environment's, and what
        this one does not know is left out.
        """
        return replace(cls.from_environment(), **{name: fields[name] for name in WATCHED if name in fields})

    @property
    def watched(self) -> dict[str, Any]:
        """What the wait for a container needs, as JSON can hold it."""
        return {name: getattr(self, name) for name in WATCHED}

    @property
    def keeps_log(self) -> bool:
        """Whether the settings say where the containers' log is."""
        return bool(self.log_group and self.log_prefix)

    def log_place(self, task_arn: str) -> str:
        """Return where a container's log is, for messages."""
        if not self.keeps_log:
            return NO_LOG
        return f"the stream {self.log_stream(task_arn)} of the CloudWatch log group {self.log_group}"

    def log_stream(self, task_arn: str) -> str:
        """Return the name of a container's log stream, as the ``awslogs`` driver makes it."""
        return f"{self.log_prefix}/{self.container}/{task_arn.rsplit('/', 1)[-1]}"

    @property
    def problem(self) -> str | None:
        """Which settings are missing and how to fix it, or None."""
        return missing(
            "ecs",
            {
                "AWS_DEFAULT_REGION": self.region,
                "VITALPREP_ECS_CLUSTER": self.cluster,
                "VITALPREP_ECS_WORKER_TASK": self.worker_task,
                "VITALPREP_ECS_BUILDER_TASK": self.builder_task,
                "VITALPREP_ECS_SUBNETS": self.subnets,
                "VITALPREP_ECS_SECURITY_GROUPS": self.security_groups,
            },
        )


def _setting(name: str) -> str:
    return os.environ.get(f"VITALPREP_ECS_{name}", "").strip()


def _several(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in _setting(name).split(",") if part.strip())
