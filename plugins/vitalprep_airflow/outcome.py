"""What the end of a worker command means to the scheduler, wherever the command ran."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

__all__ = [
    "DONE",
    "NEVER_RETRY",
    "REFUSED",
    "RESULT_CODES",
    "STOPPED",
    "Outcome",
    "WorkerFailed",
    "WorkerRefused",
    "document_in",
    "failure_of",
    "fix_in",
    "result_of",
]

DONE, FAILED, USAGE, REFUSED, STOPPED = 0, 1, 2, 65, 143
NEVER_RETRY = (USAGE, REFUSED)
RESULT_CODES = (DONE, FAILED, USAGE, REFUSED)  # with which a command prints its JSON result


class WorkerFailed(AirflowException):
    """The command failed and a retry may succeed. Finished cases are kept."""


class WorkerRefused(AirflowFailException):
    """The command refused its input, its configuration or its result. Airflow does not retry it."""


@dataclass(frozen=True)
class Outcome:
    """How a worker command ended.

    Parameters
    ----------
    command : str
        The worker's command, such as ``harmonize``.
    exit_code : int
        Negative if a signal ended the process.
    document : dict
        The JSON object on the last line of stdout; empty if there is none.
    last_lines : tuple of str
        The end of its log.
    """

    command: str
    exit_code: int
    document: dict[str, Any]
    last_lines: tuple[str, ...] = field(repr=False, default=())

    @property
    def problem(self) -> str:
        """What went wrong and how to fix it, in the worker's words if it said any."""
        message = self.document.get("message") or " | ".join(self.last_lines) or "the worker printed nothing"
        fix = fix_in(self.document)
        return f"{message} Fix: {fix}" if fix else str(message)


def document_in(lines: Sequence[str]) -> dict[str, Any]:
    """Return the JSON object on the last line of a command's output; empty if there is none."""
    try:
        document = json.loads(lines[-1])
    except (IndexError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def fix_in(document: Mapping[str, Any]) -> str:
    """Return how to fix the problem that a worker's document or check reports; empty if it does not say."""
    return str(document.get("fix") or "")


def result_of(outcome: Outcome) -> dict[str, Any]:
    """Return the command's result. Raises WorkerRefused or WorkerFailed with the worker's message."""
    if outcome.exit_code == DONE:
        return outcome.document
    raise failure_of(outcome)


def failure_of(outcome: Outcome) -> WorkerFailed | WorkerRefused:
    """Return the error for a command that failed."""
    code, command = outcome.exit_code, outcome.command
    if code in NEVER_RETRY:
        return WorkerRefused(f"{command} refused (exit {code}): {outcome.problem}")
    if code in (STOPPED, -signal.SIGTERM):
        return WorkerFailed(f"{command} was stopped by SIGTERM. Finished cases are kept; a retry resumes from them.")
    if code < 0:
        name = signal.Signals(-code).name
        hint = " The usual cause is too little memory: see the host's kernel log." if name == "SIGKILL" else ""
        return WorkerFailed(f"{command} was killed by {name}. Finished cases are kept.{hint} {outcome.problem}")
    return WorkerFailed(f"{command} failed (exit {code}): {outcome.problem}")
