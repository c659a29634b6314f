"""Periodic waves: the shape of one cycle as a lookup table, and each sample's cycle and phase.

The phase is interpolated between the knots of each cycle and then looked up in the table, without loops over samples.
Parts of a cycle can stretch differently: a QRS complex keeps its width when the heart slows down, diastole does not.
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
    """The time at which each cycle reaches each of its phases.

    Attributes
    ----------
    times : ndarray of float64, shape (cycles * knots,)
        Seconds after the recording's start, ascending.
    positions : ndarray of float64, shape (cycles * knots,)
        Number of the cycle plus the phase, in [0, 1), reached at that time.
    """

    times: Floats
    positions: Floats

    @classmethod
    def through(cls, phases: Sequence[float], times: Sequence[Floats]) -> Cycles:
        """Return cycles that reach each of `phases` (knots, the first is 0) at its `times` ((cycles,) each, in s)."""
        grid = np.stack(times, axis=1)
        positions = np.arange(len(grid))[:, np.newaxis] + np.asarray(phases)
        # Overlapping cycles, such as those of premature beats, are shortened so that time never runs backwards.
        return cls(times=np.maximum.accumulate(grid.ravel()), positions=positions.ravel())

    def locate(self, seconds: Floats) -> tuple[Indices, Indices]:
        """Return cycle number and index into a table of `TABLE_SIZE` at each of the seconds, all of shape (n,)."""
        first = max(int(np.searchsorted(self.times, seconds[0])) - 1, 0)
        last = int(np.searchsorted(self.times, seconds[-1])) + 2
        positions = np.interp(seconds, self.times[first:last], self.positions[first:last])
        places = (positions * TABLE_SIZE).astype(np.intp)
        return places >> _TABLE_BITS, places & (TABLE_SIZE - 1)


def shape_table(points: Sequence[tuple[float, float]], width: float) -> Singles:
    """Return a table of `TABLE_SIZE` with one cycle through points (phase 0 to 1, height), smoothed and scaled to 0-1.

    `width` is the standard deviation of the smoothing as a share of the cycle.
    """
    phases, heights = zip(*points, strict=True)
    phase = np.arange(TABLE_SIZE) / TABLE_SIZE
    drawn = np.interp(phase, phases, heights)
    distance = np.minimum(phase, 1 - phase)
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    rounded = np.fft.irfft(np.fft.rfft(drawn) * np.fft.rfft(kernel / kernel.sum()), TABLE_SIZE)
    return np.asarray((rounded - rounded.min()) / np.ptp(rounded), dtype=np.float32)
