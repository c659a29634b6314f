"""Min-max scaling between clinical units and [-1, 1] (docs/design.md, ruling 3)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bounds", "denormalize", "normalize"]

Bounds: TypeAlias = tuple[float, float] | tuple[NDArray[np.float64], NDArray[np.float64]]
"""Low and high bounds, in the input's unit: for all values, or one each per column."""


def normalize(values: ArrayLike, bounds: Bounds) -> NDArray[np.float32]:
    """Scale clinical units to [-1, 1]: ``clip((value - lo) / (hi - lo) * 2 - 1, -1, 1)``.

    Computed in float64, returned as float32 in the shape of `values`. NaN stays NaN.
    """
    low, high = bounds
    scaled = (np.asarray(values, dtype=np.float64) - low) / (high - low) * 2 - 1
    return np.clip(scaled, -1.0, 1.0).astype(np.float32)


def denormalize(values: ArrayLike, bounds: Bounds) -> NDArray[np.float64]:
    """Scale [-1, 1] back to clinical units: ``(value + 1) / 2 * (hi - lo) + lo``, as float64 in the shape of `values`.

    Values that were clipped come back as the bound.
    """
    low, high = bounds
    return (np.asarray(values, dtype=np.float64) + 1) / 2 * (high - low) + low
