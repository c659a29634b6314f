"""Where the steps of the DAG run: ``VITALPREP_BACKEND`` makes each a process here or a container elsewhere.

The DAG asks for a step by ``worker_task`` or ``mapped_worker_task`` and never names an operator.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseOperator, XComArg

from vitalprep_tasks import WorkerOperator

__all__ = ["backend_problem", "mapped_worker_task", "worker_task"]


@dataclass(frozen=True)
class Backend:
    """How steps run. `interruptions` is how many tries a shard may lose besides its retries."""

    operator: type[BaseOperator]
    shards_at_once: int
    interruptions: int = 0
    problem: str | None = None  # what the deployment lacks, and how to mend it


def _local() -> Backend:
    # A worker uses every core of its machine. A second one fills those that are idle while the first begins and ends;
    # more would only share them.
    return Backend(WorkerOperator, shards_at_once=2)


def _ecs() -> Backend:
    from vitalprep_ecs import EcsSettings, EcsWorkerOperator
    from vitalprep_spot import on_demand_after

    problem = EcsSettings.from_environment().problem
    return Backend(EcsWorkerOperator, shards_at_once=16, interruptions=on_demand_after(), problem=problem)


def _sagemaker() -> Backend:
    from vitalprep_sagemaker import SageMakerSettings, SageMakerWorkerOperator
    from vitalprep_spot import on_demand_after

    problem = SageMakerSettings.from_environment().problem
    return Backend(SageMakerWorkerOperator, shards_at_once=16, interruptions=on_demand_after(), problem=problem)


# Imported when asked for: a deployment without AWS parses its DAG without the Amazon provider.
_BACKENDS: dict[str, Callable[[], Backend]] = {"local": _local, "ecs": _ecs, "sagemaker": _sagemaker}


def backend_problem() -> str | None:
    """Return what is wrong with the deployment's backend and how to mend it, or None."""
    if _name() not in _BACKENDS:
        return (
            f"VITALPREP_BACKEND={_name()!r} is no backend. "
            f"To mend: set it to one of {', '.join(_BACKENDS)} in Airflow's environment."
        )
    return _backend().problem


def worker_task(task_id: str, arguments: Sequence[str], **kwargs: Any) -> BaseOperator:
    """Return one step of the pipeline on the deployment's backend."""
    return _backend().operator(task_id=task_id, arguments=list(arguments), **kwargs)


def mapped_worker_task(task_id: str, steps: XComArg, *, interruptible: bool = False, **kwargs: Any) -> Any:
    """Return a step for each of ``steps``, dicts of ``arguments`` and ``step``, its name in the grid.

    Interruptible ones run on spot capacity where the backend has it, so many at once as the deployment allows.
    """
    backend = _backend()
    if interruptible:
        kwargs["max_active_tis_per_dagrun"] = int(os.environ.get("VITALPREP_SHARDS_AT_ONCE") or backend.shards_at_once)
        kwargs["retries"] = int(os.environ.get("VITALPREP_RETRIES") or 3) + backend.interruptions
    partial = backend.operator.partial(task_id=task_id, map_index_template="{{ task.step }}", **kwargs)
    return partial.expand_kwargs(steps)


def _name() -> str:
    return os.environ.get("VITALPREP_BACKEND", "").strip().lower() or "local"


def _backend() -> Backend:
    # An unknown backend must not break the parsing of the DAG: check_config explains it to whoever triggers a run.
    return _BACKENDS.get(_name(), _local)()
