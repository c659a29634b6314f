"""The backend ``sagemaker``: each step is a SageMaker training job, shards on managed spot, all others on demand.

Only training jobs have managed spot.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from vitalprep_airflow.backends.aws import missing, patience_seconds, region
from vitalprep_airflow.backends.spot import on_demand_after
from vitalprep_airflow.step import StepOperator

__all__ = ["SageMakerBackend", "SageMakerSettings"]


class SageMakerBackend:
    """Runs steps as training jobs."""

    shards_at_once = 16

    @property
    def problem(self) -> str | None:
        """Which settings are missing or impossible and how to fix it."""
        return SageMakerSettings.from_environment().problem

    @property
    def interruptions(self) -> int:
        """A shard that finds no spot capacity moves to on-demand capacity after so many tries."""
        return on_demand_after()

    @property
    def priced_machine(self) -> list[str]:
        """The shards' instance type."""
        return [_worker_type()]

    @property
    def operator(self) -> type[StepOperator]:
        """The operator; imports the Amazon provider."""
        from vitalprep_airflow.backends.sagemaker_operator import SageMakerWorkerOperator

        return SageMakerWorkerOperator


@dataclass(frozen=True)
class SageMakerSettings:
    """Terraform's outputs and the deployment's choices, from ``VITALPREP_SAGEMAKER_...``."""

    role: str
    image: str
    region: str
    worker_type: str
    builder_type: str
    max_run: int  # s
    max_wait: int  # s
    poll_seconds: float
    patience_seconds: float

    @classmethod
    def from_environment(cls) -> SageMakerSettings:
        """Read the settings. A missing one is empty, and `problem` names it."""
        return cls(
            role=_setting("ROLE"),
            image=_setting("IMAGE"),
            region=region(),
            worker_type=_worker_type(),
            builder_type=_setting("BUILDER_INSTANCE_TYPE") or "ml.m5.xlarge",
            max_run=int(_setting("MAX_RUN") or 4 * 3600),
            max_wait=int(_setting("MAX_WAIT") or 8 * 3600),
            poll_seconds=float(_setting("POLL_SECONDS") or 15),
            patience_seconds=patience_seconds(),
        )

    @property
    def problem(self) -> str | None:
        """Which settings are missing or impossible and how to fix it, or None."""
        needed = {
            "AWS_DEFAULT_REGION": self.region,
            "VITALPREP_SAGEMAKER_ROLE": self.role,
            "VITALPREP_SAGEMAKER_IMAGE": self.image,
        }
        if problem := missing("sagemaker", needed):
            return problem
        if self.max_wait < self.max_run:
            return (
                f"VITALPREP_SAGEMAKER_MAX_WAIT ({self.max_wait} s) is less than VITALPREP_SAGEMAKER_MAX_RUN "
                f"({self.max_run} s). Fix: raise it; it limits the wait for spot capacity and the run together."
            )
        return None


def _setting(name: str) -> str:
    return os.environ.get(f"VITALPREP_SAGEMAKER_{name}", "").strip()


def _worker_type() -> str:
    return _setting("INSTANCE_TYPE") or "ml.m5.large"
