"""The backend ``batch``: each step is an AWS Batch job on Fargate, shards in a spot queue, all others on demand."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vitalprep_airflow.backends.aws import fargate_machine, log_seconds, missing, patience_seconds, region
from vitalprep_airflow.backends.spot import on_demand_after
from vitalprep_airflow.step import StepOperator

__all__ = ["BatchBackend", "BatchSettings"]


class BatchBackend:
    """Runs steps as Batch jobs. Batch starts an interrupted job again by itself."""

    shards_at_once = 16

    @property
    def problem(self) -> str | None:
        """Which settings are missing and how to fix it."""
        return BatchSettings.from_environment().problem

    @property
    def interruptions(self) -> int:
        """A shard moves to the on-demand queue after so many tries without spot capacity."""
        return on_demand_after()

    @property
    def priced_machine(self) -> list[str]:
        """Fargate, with the shards' own size if the deployment sets one."""
        return fargate_machine(cpu=_setting("SHARD_CPU"), memory=_setting("SHARD_MEMORY"))

    @property
    def operator(self) -> type[StepOperator]:
        """The operator; imports the Amazon provider."""
        from vitalprep_airflow.backends.batch_operator import BatchWorkerOperator

        return BatchWorkerOperator


@dataclass(frozen=True)
class BatchSettings:
    """Terraform's outputs and the deployment's choices, from ``VITALPREP_BATCH_...``."""

    spot_queue: str
    queue: str  # on demand
    worker_job: str
    builder_job: str
    log_group: str
    region: str
    shard_cpu: str  # in 1/1024 vCPU, as for ECS
    shard_memory: str  # MiB
    spot_wait: float  # s
    poll_seconds: float
    patience_seconds: float
    log_seconds: float

    @classmethod
    def from_environment(cls) -> BatchSettings:
        """Read the settings. A missing one is empty, and `problem` names it."""
        return cls(
            spot_queue=_setting("SPOT_QUEUE"),
            queue=_setting("QUEUE"),
            worker_job=_setting("WORKER_JOB"),
            builder_job=_setting("BUILDER_JOB"),
            log_group=_setting("LOG_GROUP") or "/aws/batch/job",
            region=region(),
            shard_cpu=_setting("SHARD_CPU"),
            shard_memory=_setting("SHARD_MEMORY"),
            spot_wait=float(_setting("SPOT_WAIT") or 900),
            poll_seconds=float(_setting("POLL_SECONDS") or 10),
            patience_seconds=patience_seconds(),
            log_seconds=log_seconds(),
        )

    @property
    def problem(self) -> str | None:
        """Which settings are missing and how to fix it, or None."""
        return missing(
            "batch",
            {
                "AWS_DEFAULT_REGION": self.region,
                "VITALPREP_BATCH_SPOT_QUEUE": self.spot_queue,
                "VITALPREP_BATCH_QUEUE": self.queue,
                "VITALPREP_BATCH_WORKER_JOB": self.worker_job,
                "VITALPREP_BATCH_BUILDER_JOB": self.builder_job,
            },
        )


def _setting(name: str) -> str:
    return os.environ.get(f"VITALPREP_BATCH_{name}", "").strip()
