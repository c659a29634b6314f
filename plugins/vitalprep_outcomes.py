"""What the end of a worker command means to the scheduler, wherever the command ran."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

__all__ = ["DONE", "NEVER_RETRY", "REFUSED", "Outcome", "WorkerFailed", "WorkerRefused", "document_in", "result_of"]

DONE, USAGE, REFUSED, STOPPED = 0, 2, 65, 143
NEVER_RETRY = (USAGE, REFUSED)


class WorkerFailed(AirflowException):
    """The command failed in a way that a retry may help; finished cases are kept."""


class WorkerRefused(AirflowFailException):
    """The command refused its input, its configuration or its result; a retry would be refused again."""


@dataclass(frozen=True)
class Outcome:
    """How a worker command ended."""

    arguments: tuple[str, ...]
    exit_code: int  # negative: ended by that signal
    document: dict[str, Any]  # the last line of stdout; empty if the command died before it could say anything
    last_lines: tuple[str, ...] = field(repr=False, default=())

    @property
    def problem(self) -> str:
        """What went wrong and how to mend it, in the worker's own words where there are any."""
        message = self.document.get("message") or " | ".join(self.last_lines) or "the worker said nothing"
        mend = self.document.get("mend")
        return f"{message} To mend: {mend}" if mend else str(message)


def document_in(lines: Sequence[str]) -> dict[str, Any]:
    """Return the command's result, which is its last line of output; empty if that is none."""
    try:
        document = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def result_of(outcome: Outcome) -> dict[str, Any]:
    """Return the command's result. Raises WorkerRefused or WorkerFailed with the worker's message."""
    code, command = outcome.exit_code, outcome.arguments[0]
    if code == DONE:
        return outcome.document
    if code in NEVER_RETRY:
        raise WorkerRefused(f"{command} refused (exit {code}): {outcome.problem}")
    if code in (STOPPED, -signal.SIGTERM):
        raise WorkerFailed(f"{command} was stopped by SIGTERM; finished cases are kept and a retry goes on from there.")
    if code < 0:
        name = signal.Signals(-code).name
        hint = " Out of memory is the usual cause: see the host's kernel log." if name == "SIGKILL" else ""
        raise WorkerFailed(f"{command} was killed by {name}; finished cases are kept.{hint} {outcome.problem}")
    raise WorkerFailed(f"{command} failed (exit {code}): {outcome.problem}")
