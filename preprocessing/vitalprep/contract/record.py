"""One record of a data set: the arrays of a window, and their sizes (docs/design.md, 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Config

__all__ = ["Record", "RecordShape", "record_shape"]


@dataclass(frozen=True)
class RecordShape:
    """Sizes of a record's arrays: samples per window, inputs, statics, targets."""

    window: int
    inputs: int
    statics: int
    targets: int


@dataclass(frozen=True)
class Record:
    """One window.

    `timeseries` has shape (window, inputs), `static` (statics,), `target` (targets,): float32 in [-1, 1]. Each has
    origin codes of the same shape: uint8, 0 observed, 1 held, 2 default.
    """

    case_id: int
    subject_id: int
    start_second: int
    static: NDArray[np.float32]
    static_origin: NDArray[np.uint8]
    target: NDArray[np.float32]
    target_origin: NDArray[np.uint8]
    timeseries: NDArray[np.float32]
    timeseries_origin: NDArray[np.uint8]

    @classmethod
    def zeros(cls, shape: RecordShape, *, case_id: int = 0, subject_id: int = 0, start_second: int = 0) -> Record:
        """A record of zeros."""
        series = (shape.window, shape.inputs)
        return cls(
            case_id=case_id,
            subject_id=subject_id,
            start_second=start_second,
            static=np.zeros(shape.statics, dtype=np.float32),
            static_origin=np.zeros(shape.statics, dtype=np.uint8),
            target=np.zeros(shape.targets, dtype=np.float32),
            target_origin=np.zeros(shape.targets, dtype=np.uint8),
            timeseries=np.zeros(series, dtype=np.float32),
            timeseries_origin=np.zeros(series, dtype=np.uint8),
        )


def record_shape(config: Config) -> RecordShape:
    """Return the sizes of the arrays of a record under a configuration."""
    return RecordShape(
        window=config.windowing.window,
        inputs=len(config.inputs),
        statics=len(config.statics),
        targets=len(config.targets),
    )
