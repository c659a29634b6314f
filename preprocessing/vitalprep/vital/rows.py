"""The numeric samples of a ``.vital`` stream, in blocks that the compiled scan fills."""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vitalprep.runtime.errors import CaseRefused
from vitalprep.vital.compiled import _records

__all__ = ["MOST_SAMPLES", "ROW", "ROWS", "NumericRows"]

ROWS = 1 << 16  # numeric samples per block
# Twenty times as many as in a case of VitalDB. At 32 bytes each, including time and value to sort by: 320 MiB.
MOST_SAMPLES = 160 * ROWS
ORDINARY_ROWS = 16 * ROWS
ROW = np.dtype([("time", np.float64), ("value", np.float64), ("track", np.int64)])  # as in _records.c

Samples = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Times (Unix, s) and values in the file's unit, each of shape (n,)."""


class NumericRows:
    """Samples in file order, each with the index of its track.

    Parameters
    ----------
    before : int
        Samples of the parts before this one, which count for the limit.

    Attributes
    ----------
    block : ndarray, shape (65536,)
        The block that is being filled.
    filled : int
        Samples in it.
    """

    def __init__(self, before: int = 0) -> None:
        self._before = before
        self._full: deque[NDArray[np.void]] = deque()
        self.block = _empty(0)
        self.filled = 0

    def __len__(self) -> int:
        return self._before + sum(map(len, self._full)) + self.filled

    def next_block(self, where: int) -> None:
        """Begin another block at decompressed byte `where`; ``too_large`` beyond the limit."""
        self._full.append(self.block)
        if self._before + len(self._full) * ROWS >= MOST_SAMPLES:
            raise CaseRefused(
                "too_large", f"the file has more than {MOST_SAMPLES} numeric samples, up to decompressed byte {where}"
            )
        self.block, self.filled = _empty(ROWS * len(self._full)), 0

    def copied(self, group_of: NDArray[np.int32], groups: int) -> list[Samples]:
        """Return copies of the samples of each group in file order. Nothing is released.

        One pass over the samples, however many groups there are.

        Parameters
        ----------
        group_of : ndarray of int32, shape (tracks,)
            Group of each track; -1 for tracks of none.
        groups : int
            How many there are.
        """
        found, times, values = [], [], []
        for block in [*self._full, self.block[: self.filled]]:
            own = group_of[block["track"]]
            chosen = own >= 0
            found.append(own[chosen])
            times.append(block["time"][chosen])
            values.append(block["value"][chosen])
        group = np.concatenate(found)
        order = np.argsort(group, kind="stable")
        ends = np.searchsorted(group, np.arange(groups + 1), sorter=order)
        time, value = np.concatenate(times)[order], np.concatenate(values)[order]
        return [(time[start:end], value[start:end]) for start, end in pairwise(ends)]

    def grouped(self, group_of: NDArray[np.int64], sizes: Sequence[int]) -> list[Samples]:
        """Return the samples of each group in file order, and release the blocks.

        Parameters
        ----------
        group_of : ndarray of int64, shape (tracks,)
            Group of each track.
        sizes : sequence of int
            Samples of each group.
        """
        ends = np.cumsum([0, *sizes], dtype=np.int64)
        places = ends[:-1].copy()
        times, values = np.empty(ends[-1]), np.empty(ends[-1])
        self._full.append(self.block[: self.filled])
        while self._full:  # frees each block after grouping
            _records.group_rows(self._full.popleft(), group_of, places, times, values)
        return [(times[start:end], values[start:end]) for start, end in pairwise(ends)]


def _empty(before: int) -> NDArray[np.void]:
    """Return a block, given the number of rows before it.

    Blocks within the size of an ordinary case come from the heap and are reused by the next case. Later blocks are
    mapped separately, so that freeing them returns their memory to the system.
    """
    if before < ORDINARY_ROWS:
        return np.empty(ROWS, dtype=ROW)
    return np.frombuffer(mmap.mmap(-1, ROWS * ROW.itemsize), dtype=ROW)
