"""One case ready for cutting: imputed, normalized, with origins and the starts of its windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Config
from vitalprep.contract.record import Record
from vitalprep.features.impute import DEFAULT, impute
from vitalprep.features.normalize import normalize
from vitalprep.features.windows import (
    inputs_observed,
    observed_enough,
    target_second,
    targets_observed,
    window_starts,
)

__all__ = ["Samples", "samples_of"]


@dataclass(frozen=True)
class Samples:
    """A case's series and statics in record form.

    Attributes
    ----------
    series : ndarray of float32, shape (n, inputs), in [-1, 1]
    origin : ndarray of uint8, shape (n, inputs)
    static : ndarray of float32, shape (statics,), in [-1, 1]
    static_origin : ndarray of uint8, shape (statics,)
    measured : ndarray of float32, shape (n, inputs)
        The harmonized table in clinical units, NaN where nothing was live.
    clipped : ndarray of int64, shape (inputs,)
        Observed or held seconds outside of the normalization range.
    starts : ndarray of int64
        First second of each window kept.
    unobserved : int
        Windows left out by ``min_observed_inputs``.
    dropped : int
        Of the others, windows left out by ``min_observed_fraction`` or ``min_target_observed``.
    """

    series: NDArray[np.float32]
    origin: NDArray[np.uint8]
    static: NDArray[np.float32]
    static_origin: NDArray[np.uint8]
    measured: NDArray[np.float32]
    clipped: NDArray[np.int64]
    starts: NDArray[np.int64]
    unobserved: int
    dropped: int

    def record(self, start: int, *, case_id: int, subject_id: int, config: Config) -> Record:
        """Cut the window that begins at second `start`, with its target."""
        stop = start + config.windowing.window
        target = target_second(start, config.windowing)
        outputs = config.target_columns
        return Record(
            case_id=case_id,
            subject_id=subject_id,
            start_second=start,
            static=self.static,
            static_origin=self.static_origin,
            target=self.series[target, outputs],
            target_origin=self.origin[target, outputs],
            timeseries=self.series[start:stop],
            timeseries_origin=self.origin[start:stop],
        )


def samples_of(
    table: NDArray[np.float32], static: tuple[float, ...], static_origin: tuple[int, ...], config: Config
) -> Samples:
    """Impute and normalize a harmonized table of shape (n, inputs), and find its windows."""
    series = np.empty(table.shape, dtype=np.float32)
    origin = np.empty(table.shape, dtype=np.uint8)
    clipped = np.empty(table.shape[1], dtype=np.int64)
    for column, item in enumerate(config.inputs):
        filled, codes = impute(table[:, column], default=item.default, hold=item.hold, causal=config.imputation.causal)
        low, high = item.range
        clipped[column] = np.count_nonzero(((filled < low) | (filled > high)) & (codes != DEFAULT))
        series[:, column] = normalize(filled, item.range)
        origin[:, column] = codes
    possible = window_starts(len(table), config.windowing)
    starts = possible[inputs_observed(possible, origin, config.windowing)]
    kept = observed_enough(starts, origin[:, [item.vital for item in config.inputs]], config.windowing)
    kept &= targets_observed(starts, origin[:, config.target_columns], config.windowing)
    return Samples(
        series=series,
        origin=origin,
        static=np.array(
            [normalize(value, item.range) for value, item in zip(static, config.statics, strict=True)], dtype=np.float32
        ),
        static_origin=np.array(static_origin, dtype=np.uint8),
        measured=table,
        clipped=clipped,
        starts=starts[kept],
        unobserved=len(possible) - len(starts),
        dropped=int(np.count_nonzero(~kept)),
    )
