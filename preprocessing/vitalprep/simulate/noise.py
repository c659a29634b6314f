"""Random processes for a patient's values, at 1 Hz as float64 of shape (n,)."""

from __future__ import annotations

from itertools import accumulate
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "autocorrelated", "by_hand", "lagged"]

Floats: TypeAlias = npt.NDArray[np.float64]


def lagged(target: Floats, seconds: float) -> Floats:
    """Return a first-order lag of a target, shape (n,) at 1 Hz, starting at the first target; time constant in s."""
    gain = -np.expm1(-1 / seconds)
    return np.fromiter(accumulate(target.tolist(), lambda state, aim: state + gain * (aim - state)), np.float64)


def autocorrelated(rng: np.random.Generator, count: int, seconds: float, deviation: float) -> Floats:
    """Return AR(1) Gaussian noise, shape (count,) at 1 Hz, with a time constant in s and a standard deviation."""
    keep = float(np.exp(-1 / seconds))
    steps = rng.normal(0.0, deviation * np.sqrt(1 - keep**2), count)
    steps[:1] = rng.normal(0.0, deviation, min(count, 1))  # begin in the stationary state

    states = accumulate(steps.tolist(), lambda state, step: keep * state + step)
    return np.fromiter(states, np.float64)


def by_hand(rng: np.random.Generator, count: int, spread: float) -> Floats:
    """Return a factor around 1, shape (count,), that changes stepwise every 5 to 15 minutes."""
    times = np.cumsum(rng.uniform(300, 900, count // 300 + 2))
    levels = np.exp(rng.normal(0, spread, len(times) + 1))
    factor: Floats = levels[np.searchsorted(times, np.arange(count), side="right")]
    return factor
