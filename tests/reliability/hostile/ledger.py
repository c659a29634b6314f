"""Shared memory in which a fuzzing process reports its progress to its parent, so that it may die at any moment."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

from tests.reliability.hostile.outcomes import OUTCOMES

__all__ = ["LONGEST_INPUT", "Ledger", "opened"]

LONGEST_INPUT = 1 << 16


class Ledger(ctypes.Structure):
    """The input that is being read, and sums over those before it."""

    _fields_ = (
        ("begun", ctypes.c_uint64),  # inputs begun, of which the last is here
        ("done", ctypes.c_uint64),
        ("length", ctypes.c_uint64),
        ("input", ctypes.c_char * LONGEST_INPUT),
        ("outcomes", ctypes.c_uint64 * len(OUTCOMES)),
        ("harmonized", ctypes.c_uint64),
        ("wrong", ctypes.c_uint64),
        ("kept", ctypes.c_uint64),  # inputs that showed something new
        ("edges", ctypes.c_uint64),
        ("slowest", ctypes.c_double),  # s of a core, of one input
        ("peak_rss", ctypes.c_uint64),  # bytes
    )

    def begin(self, data: bytes) -> None:
        """Show the input that is read next."""
        ctypes.memmove(ctypes.addressof(self) + Ledger.input.offset, data, len(data))
        self.length = len(data)
        self.begun += 1

    def current(self) -> bytes:
        """Return the input that was begun last."""
        return ctypes.string_at(ctypes.addressof(self) + Ledger.input.offset, self.length)


def opened(path: Path, *, new: bool = False) -> Ledger:
    """Map a ledger's file."""
    with path.open("w+b" if new else "r+b") as file:
        if new:
            file.truncate(ctypes.sizeof(Ledger))
        return Ledger.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(Ledger)))
