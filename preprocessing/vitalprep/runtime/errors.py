"""The project's errors. Each says what is wrong, where, and how to fix it.

The class determines the exit code, which determines whether Airflow retries: it never retries 2 and 65.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from vitalprep.runtime.printable import printable, printable_lines

__all__ = ["CaseRefused", "ReasonCode", "RefusedError", "RetryableError", "Stopped", "UsageError", "VitalprepError"]

ReasonCode = Literal[
    "raw_object_missing",
    "no_clinical_row",
    "not_vital",
    "truncated",
    "corrupt",
    "too_large",
    "too_long",
    "clock_set_back",
    "unit_mismatch",
    "no_signal",
    "too_short",
    "no_window",
]


class VitalprepError(Exception):
    """Base class of errors shown to the user. Control characters in the texts are escaped.

    Parameters
    ----------
    message : str
        What is wrong and where (case, track, byte, config key, object).
    fix : str
        What the reader can do about it.
    lines : bool
        Keep line breaks in the message instead of escaping them.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str, lines: bool = False) -> None:
        self.message = printable_lines(message) if lines else printable(message)
        self.fix = printable(fix)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} Fix: {self.fix}"

    def __reduce__(self) -> tuple[Callable[..., VitalprepError], tuple[type[VitalprepError], str, str]]:
        return _rebuilt, (type(self), self.message, self.fix)  # worker processes send errors to their parent


def _rebuilt(kind: type[VitalprepError], message: str, fix: str) -> VitalprepError:
    return kind(message, fix=fix, lines=True)  # the message is already escaped


class RetryableError(VitalprepError):
    """A fault that a retry may resolve (exit 1)."""


class UsageError(VitalprepError):
    """The command line or the configuration is wrong (exit 2)."""

    exit_code = 2


class RefusedError(VitalprepError):
    """The input or the result is unacceptable; a retry cannot help (exit 65)."""

    exit_code = 65


class Stopped(VitalprepError):  # noqa: N818  not a fault
    """A signal stopped the process; finished cases are committed, a retry resumes (exit 143)."""

    exit_code = 143


class CaseRefused(Exception):  # noqa: N818  it ends one case, not the run
    """One recording is unusable. Reason and detail go into the case's receipt.

    Parameters
    ----------
    reason : ReasonCode
        Reason code (docs/design.md, 5); the accounting counts cases by it.
    detail : str
        Human-readable sentence naming the place (track, byte position).
    """

    def __init__(self, reason: ReasonCode, detail: str) -> None:
        super().__init__(reason, detail)  # both arguments, so that the exception can be pickled
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
