"""Worker commands that a task runs on Airflow's machine, and the reasons that a task leaves in its log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context, get_current_context

from vitalprep_airflow.outcome import DONE, NEVER_RETRY, Outcome, WorkerRefused, fix_in, result_of
from vitalprep_airflow.process import WorkerProcess, worker_command

__all__ = ["check", "completed", "repeat_problem", "required_result", "run_worker", "stop_here"]

REASON_KEY = "reason"  # XCom in which a short circuit says why

log = logging.getLogger("airflow.task")


def completed(process: WorkerProcess) -> Outcome:
    """Run a worker process to its end and return the outcome. Raises WorkerRefused if it cannot be started."""
    try:
        return process.run()
    except OSError as error:
        raise WorkerRefused(
            f"The worker command {worker_command()[0]!r} cannot be started ({error.strerror}). "
            "Fix: set VITALPREP_COMMAND in Airflow's environment to the vitalprep command."
        ) from error


def required_result(outcome: Outcome) -> dict[str, Any]:
    """Return the command's JSON result. Raises WorkerRefused or WorkerFailed, and WorkerRefused without a result."""
    result = result_of(outcome)
    if not result:
        raise WorkerRefused(
            f"{outcome.command} ended with exit code 0 but printed no result. Fix: VITALPREP_COMMAND is "
            f"{worker_command()}; set it to a vitalprep command of the same version as the plugins."
        )
    return result


def run_worker(command: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a command here and return its JSON result. Raises WorkerRefused or WorkerFailed."""
    return required_result(completed(WorkerProcess(command, [*arguments, "--json"], log=log.log)))


def check(arguments: Sequence[str]) -> str | None:
    """Run ``vitalprep check``. Returns None if all checks pass, else what is wrong and how to fix it.

    Raises WorkerFailed if the checks could not be made.
    """
    outcome = completed(WorkerProcess("check", [*arguments, "--json"], log=log.log))
    if outcome.exit_code not in NEVER_RETRY:
        required_result(outcome)
    failed = [one for one in outcome.document.get("checks", []) if not one["ok"]]
    if failed:
        return " ".join(f"{one['message']} Fix: {fix_in(one)}" for one in failed)
    return outcome.problem if outcome.exit_code != DONE else None


def stop_here(reason: str, level: int = logging.INFO) -> None:
    """Record why the present short circuit skips the tasks after it: in the log and in the XCom ``reason``."""
    ti: Any = get_current_context()["ti"]
    log.log(level, "%s", reason)
    ti.xcom_push(key=REASON_KEY, value=reason)
    # Airflow logs lines about skipping afterwards. Repeat the reason, so that it is the last line of the log.
    ti.task.on_success_callback = [lambda context: log.log(level, "%s", reason)]


def repeat_problem(context: Context) -> None:
    """Callback of a failed try: logs the worker's message again below Airflow's traceback."""
    if problem := context.get("exception"):
        log.error("%s", problem)
