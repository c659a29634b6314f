"""Turns an exception that nobody foresaw into an error with one line and a fix."""

from __future__ import annotations

import errno
import traceback

from vitalprep.runtime.errors import RetryableError

__all__ = ["FIX_SCARCE", "SCARCE", "traceback_of", "unforeseen"]

SCARCE = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN})
_SCARCE_TEXTS = (
    "can't start new thread",
    "resource temporarily unavailable",
    "cannot allocate memory",
    "failed to map segment",
    "Too many open files",
)
FIX_SCARCE = "raise the limits of memory, open files or processes (ulimit -v, -n, -u), or use fewer --workers."
_FIX = (
    "run it again; if it fails again, report it with the traceback, which --log-file FILE or --log-level debug gives."
)


def unforeseen(error: BaseException, *, where: str = "") -> RetryableError:
    """Return the error to show for an exception that is not the project's own.

    Parameters
    ----------
    where : str
        Task at which it was raised.
    """
    place = f" at {where}" if where else ""
    if _is_scarcity(error):
        what = "memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
        return RetryableError(f"The system's limits do not suffice{place}: {_one_line(what)}.", fix=FIX_SCARCE)
    return RetryableError(f"Unexpected error{place}: {type(error).__name__}: {_one_line(str(error))}.", fix=_FIX)


def _is_scarcity(error: BaseException) -> bool:
    """Return whether an exception says that memory, file descriptors, threads or processes have run out."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in SCARCE):
        return True
    return any(text.casefold() in str(error).casefold() for text in _SCARCE_TEXTS)


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception as text."""
    return "".join(traceback.format_exception(error))


def _one_line(text: str) -> str:
    return (text.strip().split("\n", 1)[0] or "no message").rstrip(".")
