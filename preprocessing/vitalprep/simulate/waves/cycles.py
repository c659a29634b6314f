"""Waves that repeat: a shape as a table over one cycle, and where in which cycle a sample lies.

A wave of beats or breaths is a phase that runs from knot to knot of each cycle, looked up in a table: no sample is
computed twice, no loop runs over samples, and a cycle's parts can stretch differently (a QRS complex keeps its width
when the heart slows down, diastole does not).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from vitalprep.simulate.noise import Floats

__all__ = ["TABLE_SIZE", "Cycles", "Indices", "Singles", "shape_table"]

Singles: TypeAlias = npt.NDArray[np.float32]
Indices: TypeAlias = npt.NDArray[np.intp]

_TABLE_BITS: Final = 12
TABLE_SIZE: Final = 1 << _TABLE_BITS


@dataclass(frozen=True, kw_only=True)
class Cycles:
    """When each cycle passes through which phase.

    Attributes
    ----------
    times : ndarray of float64, shape (cycles * knots,)
        Seconds after the recording's start, rising.
    positions : ndarray of float64, shape (cycles * knots,)
        The cycle's number plus the phase, 0 to below 1, that is reached then.
    """

    times: Floats
    positions: Floats

    @classmethod
    def through(cls, phases: Sequence[float], times: Sequence[Floats]) -> Cycles:
        """Cycles that pass each of `phases` (knots, the first 0) at its `times` (each (cycles,), seconds)."""
        grid = np.stack(times, axis=1)
        positions = np.arange(len(grid))[:, np.newaxis] + np.asarray(phases)
        # Cycles that overlap, such as an early beat's, give way instead of running backwards.
        return cls(times=np.maximum.accumulate(grid.ravel()), positions=positions.ravel())

    def locate(self, seconds: Floats) -> tuple[Indices, Indices]:
        """Number of the cycle and place in a table of `TABLE_SIZE` at each of the seconds, all of shape (n,)."""
        first = max(int(np.searchsorted(self.times, seconds[0])) - 1, 0)
        last = int(np.searchsorted(self.times, seconds[-1])) + 2
        positions = np.interp(seconds, self.times[first:last], self.positions[first:last])
        places = (positions * TABLE_SIZE).astype(np.intp)
        return places >> _TABLE_BITS, places & (TABLE_SIZE - 1)


def shape_table(points: Sequence[tuple[float, float]], width: float) -> Singles:
    """One cycle drawn through points (phase 0 to 1, height), rounded, from 0 to 1, as a table of `TABLE_SIZE`.

    `width` is the standard deviation of the rounding, a share of the cycle.
    """
    phases, heights = zip(*points, strict=True)
    phase = np.arange(TABLE_SIZE) / TABLE_SIZE
    drawn = np.interp(phase, phases, heights)
    distance = np.minimum(phase, 1 - phase)
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    rounded = np.fft.irfft(np.fft.rfft(drawn) * np.fft.rfft(kernel / kernel.sum()), TABLE_SIZE)
    return np.asarray((rounded - rounded.min()) / np.ptp(rounded), dtype=np.float32)
