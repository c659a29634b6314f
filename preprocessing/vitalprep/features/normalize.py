"""Clinical units to [-1, 1] and back (ruling 3)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bounds", "denormalize", "normalize"]

Bounds: TypeAlias = tuple[float, float] | tuple[NDArray[np.float64], NDArray[np.float64]]
"""Low and high: of all values, or of each column."""


def normalize(values: ArrayLike, bounds: Bounds) -> NDArray[np.float32]:
    """Return ``clip((value - lo) / (hi - lo) * 2 - 1, -1, 1)``, computed in float64, as float32."""
    low, high = bounds
    scaled = (np.asarray(values, dtype=np.float64) - low) / (high - low) * 2 - 1
    return np.clip(scaled, -1.0, 1.0).astype(np.float32)


def denormalize(values: ArrayLike, bounds: Bounds) -> NDArray[np.float64]:
    """Return normalized values in clinical units; what was clipped comes back as the bound."""
    low, high = bounds
    return (np.asarray(values, dtype=np.float64) + 1) / 2 * (high - low) + low
