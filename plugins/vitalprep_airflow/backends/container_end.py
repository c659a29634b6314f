"""How a worker's container ended, from its exit code and its log: the same for every service that runs it.

No function here calls AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitalprep_airflow.backends.container_log import LogEnd
from vitalprep_airflow.outcome import NEVER_RETRY, STOPPED, Outcome, WorkerFailed, result_of

__all__ = ["end_of_container"]


def end_of_container(
    container: Mapping[str, Any],
    *,
    service: str,
    command: str,
    reason: str,
    memory: str,
    log_end: LogEnd,
) -> dict[str, Any]:
    """Return the worker's result from its stopped container.

    Parameters
    ----------
    container : mapping
        ``exitCode`` and ``reason``, as the service describes the container.
    service : str
        The service's name, for messages.
    command : str
        The worker's command, for messages.
    reason : str
        Why the service says that it stopped.
    memory : str
        The settings that give the container more memory.
    log_end : LogEnd
        The end of the container's log.

    Raises
    ------
    WorkerRefused, WorkerFailed
        By its exit code.
    """
    exit_code, why = container.get("exitCode"), container.get("reason", "")
    if "OutOfMemory" in why or "memory usage" in why:
        raise WorkerFailed(
            f"{command} was killed because it ran out of memory ({why.rstrip('.')}). Finished cases are kept. Fix: "
            f"give the task more memory ({memory})."
        )
    if exit_code is None:
        raise WorkerFailed(f"{service} does not say how {command} ended ({reason or why or 'no reason given'}).")
    # By a shell's convention, 129 and more is a signal. STOPPED is the worker's own exit code for SIGTERM.
    signalled = exit_code > 128 and exit_code != STOPPED
    return result_of(Outcome(command, 128 - exit_code if signalled else exit_code, *_said(exit_code, log_end, reason)))


def _said(exit_code: int, end: LogEnd, reason: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the worker's result and its last lines. No other line stands for the reason of a refusal."""
    if end.result:
        return end.result, ()
    if exit_code in NEVER_RETRY:
        fix = f"read the last lines of its log, {end.where}."
        return {"message": "the worker's message has not arrived from its log.", "fix": fix}, ()
    if end.last_lines:
        return {}, ("the last lines of its log: " + " | ".join(end.last_lines[-3:]),)
    return {}, (f"{reason.rstrip('.')}. Its log is {end.where}",)
