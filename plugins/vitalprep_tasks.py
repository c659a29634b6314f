"""Worker commands as Airflow tasks on this machine: checks, planning, every stage of the local backend, the sensor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, BaseSensorOperator, Context, PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout

from vitalprep_outcomes import DONE, NEVER_RETRY, REFUSED, Outcome, WorkerRefused, result_of
from vitalprep_page_links import PageLink, ReportLink
from vitalprep_process import WorkerProcess, worker_command

__all__ = ["DatasetReadySensor", "WorkerOperator", "check", "repeat_problem", "run_worker", "stop_here"]

REASON_KEY = "reason"  # the XCom under which a short circuit says why

log = logging.getLogger("airflow.task")


def start_and_wait(process: WorkerProcess) -> Outcome:
    """Run a worker to its end, whatever that is. Raises WorkerRefused if there is no such command."""
    try:
        return process.run()
    except OSError as error:
        raise WorkerRefused(
            f"The worker command {worker_command()[0]!r} cannot be started ({error.strerror}). "
            "To mend: set VITALPREP_COMMAND in Airflow's environment to the vitalprep command."
        ) from error


def local_result(outcome: Outcome) -> dict[str, Any]:
    """Return the command's result. Raises WorkerRefused or WorkerFailed, also where a command has none."""
    result = result_of(outcome)
    if not result:
        raise WorkerRefused(
            f"{outcome.arguments[0]} ended well but without a result. To mend: VITALPREP_COMMAND runs "
            f"{worker_command()}; is that vitalprep, and of this version?"
        )
    return result


def run_worker(arguments: Sequence[str]) -> dict[str, Any]:
    """Run one command here and return its JSON result. Raises WorkerRefused or WorkerFailed."""
    return local_result(start_and_wait(WorkerProcess([*arguments, "--json"], log=log.log)))


def check(arguments: Sequence[str]) -> str | None:
    """Run one ``vitalprep check``: None if it passes, else what is wrong and how to mend it. Raises WorkerFailed."""
    outcome = start_and_wait(WorkerProcess(["check", *arguments, "--json"], log=log.log))
    if outcome.exit_code not in NEVER_RETRY:
        local_result(outcome)
    failed = [one for one in outcome.document.get("checks", []) if not one["ok"]]
    if failed:
        return " ".join(f"{one['message']} To mend: {one['mend']}" for one in failed)
    return outcome.problem if outcome.exit_code != DONE else None


def stop_here(reason: str, ti: Any, level: int = logging.INFO) -> None:
    """Say why a short circuit skips what follows it, in the log and in the XCom ``reason``."""
    log.log(level, "%s", reason)
    ti.xcom_push(key=REASON_KEY, value=reason)
    # Airflow adds lines about skipping; whoever looks at the end of the log is to find the reason there.
    ti.task.on_success_callback = [lambda context: log.log(level, "%s", reason)]


def repeat_problem(context: Context) -> None:
    """Callback of a failed try: the worker's message once more, below Airflow's traceback."""
    if problem := context.get("exception"):
        log.error("%s", problem)


class WorkerOperator(BaseOperator):
    """Runs one worker command as a process on this machine; its JSON result is the task's XCom.

    :param arguments: the command line after ``vitalprep`` and without ``--json``. (templated)
    :param step: names the step in the grid, where it is one of several. (templated)
    """

    template_fields: Sequence[str] = ("arguments", "step")
    ui_color = "#dbe9f4"
    operator_extra_links = (PageLink(),)

    def __init__(self, *, arguments: Sequence[str], step: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments
        self.step = step
        self._process: WorkerProcess | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command and return its result. Raises WorkerRefused or WorkerFailed."""
        self._process = WorkerProcess([*self.arguments, "--json"], log=log.log)
        return local_result(start_and_wait(self._process))

    def on_kill(self) -> None:
        """Stop the worker: Airflow calls this for a task that is cleared, marked or shut down."""
        if self._process is not None:
            self._process.stop()


class DatasetReadySensor(BaseSensorOperator):
    """Waits until the data set's objects, their sizes and the stored verdict agree, then announces the asset.

    Storage that lists late (a network file system, a replica) needs a moment; a disagreement that stays is an error,
    and the time-out's message says which.

    :param dataset: URI of the data set. (templated)
    """

    template_fields: Sequence[str] = ("dataset",)
    operator_extra_links = (ReportLink(),)

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self._problem = ""

    def execute(self, context: Context) -> Any:
        """Poke until it is ready; the time-out says what disagreed."""
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            raise AirflowSensorTimeout(f"{self.dataset} is not ready: {self._problem}") from error

    def poke(self, context: Context) -> PokeReturnValue:
        """Compare once."""
        arguments = ["validate", self.dataset, "--quick", "--json"]
        outcome = start_and_wait(WorkerProcess(arguments, log=log.log))
        if outcome.exit_code == REFUSED:
            self._problem = outcome.problem
            return PokeReturnValue(is_done=False)
        result = local_result(outcome)
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {
                "dataset": self.dataset,
                "dataset_id": self.dataset.rstrip("/").rsplit("/", 1)[-1],
                "windows": result.get("windows", {}),
            }
        return PokeReturnValue(is_done=True, xcom_value=result)
