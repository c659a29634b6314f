"""Detects use of the storage in a forked process, where `obstore` would deadlock."""

from __future__ import annotations

import os

from vitalprep.runtime.errors import UsageError

__all__ = ["refuse_fork"]

_first_user: int | None = None  # process id; a forked child inherits it


def refuse_fork() -> None:
    """Refuse to use the storage in a process forked from one that has already used it.

    Raises
    ------
    UsageError
        In such a process: `obstore` would wait forever for threads that a fork does not copy.
    """
    global _first_user
    if _first_user is None:
        _first_user = os.getpid()
    elif _first_user != os.getpid():
        raise UsageError(
            "This process was forked from one that has already used the storage; storage calls would hang here.",
            fix="start worker processes with spawn (PyTorch: DataLoader(..., multiprocessing_context='spawn')).",
        )
