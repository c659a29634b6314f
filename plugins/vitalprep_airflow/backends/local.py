"""The backend ``local``: each step is a process on Airflow's own machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context

from vitalprep_airflow.command import completed, required_result
from vitalprep_airflow.process import WorkerProcess
from vitalprep_airflow.step import StepOperator

__all__ = ["LocalBackend", "WorkerOperator"]

log = logging.getLogger("airflow.task")


class WorkerOperator(StepOperator):
    """Runs one step as a process on this machine; its JSON result is the task's XCom."""

    ui_color = "#dbe9f4"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._process: WorkerProcess | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command and return its result. Raises WorkerRefused or WorkerFailed."""
        step = self.step
        self._process = WorkerProcess(step.command, [*step.arguments, "--json"], log=log.log)
        return required_result(completed(self._process))

    def on_kill(self) -> None:
        """Stop the worker. Airflow calls this if the task is cleared, marked or shut down."""
        if self._process is not None:
            self._process.stop()


class LocalBackend:
    """Runs steps beside Airflow; needs no setting."""

    problem: str | None = None
    # A worker uses every core of its machine. A second one fills the cores that idle while the first starts and ends;
    # a third would only share them.
    shards_at_once = 2
    interruptions = 0
    priced_machine: Sequence[str] = ()
    operator = WorkerOperator
