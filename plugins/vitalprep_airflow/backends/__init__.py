"""Where the DAG's steps run: the protocol of a backend, and the registry of all backends.

``VITALPREP_BACKEND`` chooses one. The DAG calls `worker_task` and `mapped_worker_task` and never names an operator.

To add a backend, write one module with a class that has the members of `Backend`, and add one line to `BACKENDS`.
`backends.local` is the shortest example.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol, cast

from airflow.sdk import BaseOperator, XComArg
from airflow.sdk.module_loading import import_string  # type: ignore[attr-defined]

from vitalprep_airflow.step import Step, StepOperator

__all__ = ["BACKENDS", "Backend", "backend_problem", "deployed_backend", "mapped_worker_task", "worker_task"]

# Class paths, imported on use: a deployment without AWS parses the DAG without the Amazon provider.
BACKENDS: dict[str, str] = {
    "local": "vitalprep_airflow.backends.local.LocalBackend",
    "ecs": "vitalprep_airflow.backends.ecs.EcsBackend",
    "sagemaker": "vitalprep_airflow.backends.sagemaker.SageMakerBackend",
    "batch": "vitalprep_airflow.backends.batch.BatchBackend",
}
DEFAULT = "local"


class Backend(Protocol):
    """What the DAG and the page need from a backend.

    Airflow makes one from the environment, without arguments, whenever it parses the DAG. So constructing it must be
    cheap: no network, no heavy import, and no error for a missing setting, which `problem` reports instead.
    """

    @property
    def problem(self) -> str | None:
        """What the deployment lacks and how to fix it, or None. The run's first check shows it and ends the run."""

    @property
    def shards_at_once(self) -> int:
        """How many interruptible steps of a run execute at the same time, unless VITALPREP_SHARDS_AT_ONCE is set."""

    @property
    def interruptions(self) -> int:
        """How many tries an interruptible step may lose to interruptions, beyond the retries for failures.

        0 where machines are never taken away. Otherwise the operator must count interruptions apart from failures, as
        `backends.spot.Tally` does.
        """

    @property
    def priced_machine(self) -> Sequence[str]:
        """The machine of a shard, as ``vitalprep cost --hour-of`` takes it; empty where nobody bills by the hour."""

    @property
    def operator(self) -> type[StepOperator]:
        """The operator class that runs one `Step`; heavy imports belong here.

        Its instances promise:

        - *Command.* ``execute`` runs ``self.step.command_line`` plus ``--json``. It waits for its end, or defers: then
          another process of Airflow goes on after the end.
        - *Success.* It returns the command's JSON result, or what is known of it, as a dict. It returns only if the
          command ended with exit code 0.
        - *Failure.* Otherwise it raises. `outcome.result_of` maps an exit code to the right error: WorkerRefused for 2
          and 65 (never retried), WorkerFailed for anything else (retried). What the service itself refuses becomes one
          of the two as well, with a fix in the message.
        - *Interruption.* A machine that is taken away is a failed try, even if the command ended with exit code 0.
          The operator raises `backends.spot.SpotLost` and does not spend a retry for failures on it.
        - *Retries.* A new try runs the same command; the worker resumes from its receipts. After a crash of Airflow,
          a new try follows the command that still runs, or runs it again: both are safe.
        - *Stopping.* ``on_kill``, of the trigger too if it defers, sends the command SIGTERM and leaves it 30 s to
          commit finished cases. It does not raise: if the command cannot be stopped, it logs how a person stops it.
        - *Log.* Each line of the command goes to the logger ``airflow.task`` as `process.readable` formats it, while
          the command runs.
        """


def deployed_backend() -> Backend:
    """Return the backend that ``VITALPREP_BACKEND`` names; the default one if the name is unknown.

    An unknown name must not break the parsing of the DAG: `backend_problem` explains it to whoever triggers a run.
    """
    return cast("Backend", import_string(BACKENDS.get(_name(), BACKENDS[DEFAULT]))())


def backend_problem() -> str | None:
    """Return what is wrong with the deployment's backend and how to fix it, or None."""
    if _name() not in BACKENDS:
        return (
            f"VITALPREP_BACKEND={_name()!r} is not a backend. "
            f"Fix: set it to one of {', '.join(BACKENDS)} in Airflow's environment."
        )
    return deployed_backend().problem


def worker_task(task_id: str, step: Step, **kwargs: Any) -> BaseOperator:
    """Return the task that runs one step on the deployment's backend."""
    return deployed_backend().operator(task_id=task_id, step=step, **kwargs)


def mapped_worker_task(task_id: str, steps: XComArg, *, interruptible: bool = False, **kwargs: Any) -> Any:
    """Return a task that runs several steps, mapped over what `Step.mapped` made of each.

    Parameters
    ----------
    steps : XComArg
        A task's list of mapped steps.
    interruptible : bool
        Whether these are interruptible steps. Airflow needs it here already: it sets their concurrency and retries.
    """
    backend = deployed_backend()
    if interruptible:
        kwargs["max_active_tis_per_dagrun"] = int(os.environ.get("VITALPREP_SHARDS_AT_ONCE") or backend.shards_at_once)
        kwargs["retries"] = int(os.environ.get("VITALPREP_RETRIES") or 3) + backend.interruptions
    partial = backend.operator.partial(task_id=task_id, map_index_template="{{ task.step.name }}", **kwargs)
    return partial.expand_kwargs(steps)


def _name() -> str:
    return os.environ.get("VITALPREP_BACKEND", "").strip().lower() or DEFAULT
