"""A forked process, in which the store's threads are not: told instead of waited for without end."""

from __future__ import annotations

import os

from vitalprep.runtime.errors import UsageError

__all__ = ["refuse_fork"]

_first_user: int | None = None  # process id; a fork takes it along


def refuse_fork() -> None:
    """Refuse to use the storage in a process that was forked from one that has used it.

    Raises
    ------
    UsageError
        There `obstore` would wait for threads that the fork did not take along.
    """
    global _first_user
    if _first_user is None:
        _first_user = os.getpid()
    elif _first_user != os.getpid():
        raise UsageError(
            "This process was forked from one that has already read or written storage; here nothing would answer.",
            fix="start worker processes by spawn (PyTorch: DataLoader(..., multiprocessing_context='spawn')).",
        )
