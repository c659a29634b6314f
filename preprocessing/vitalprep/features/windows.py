"""Start seconds and target seconds of the windows of a recording (docs/design.md, 4)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Windowing
from vitalprep.features.impute import OBSERVED

__all__ = ["observed_enough", "target_second", "window_starts"]


def window_starts(seconds: int, windowing: Windowing) -> NDArray[np.int64]:
    """Return the start second of every window of a recording of `seconds` seconds, int64 of shape (windows,).

    Window j starts at ``s = j * step`` and exists if ``s + window - 1 + target_horizon <= seconds - 1``.
    """
    last = seconds - windowing.window - windowing.target_horizon
    return np.arange(0, last + 1, windowing.step, dtype=np.int64) if last >= 0 else np.empty(0, dtype=np.int64)


def observed_enough(
    starts: NDArray[np.int64], vital_origins: NDArray[np.uint8], windowing: Windowing
) -> NDArray[np.bool_]:
    """Return which windows have at least `min_observed_fraction` observed samples over the vitals.

    Parameters
    ----------
    starts : ndarray of int64, shape (windows,)
    vital_origins : ndarray of uint8, shape (n, vitals)
        Origin codes of the inputs marked `vital`.

    Returns
    -------
    ndarray of bool, shape (windows,)
    """
    if windowing.min_observed_fraction == 0:
        return np.ones(len(starts), dtype=np.bool_)
    observed = np.concatenate(([0], np.cumsum((vital_origins == OBSERVED).sum(axis=1))))
    counts = observed[starts + windowing.window] - observed[starts]
    share = counts / (windowing.window * vital_origins.shape[1])
    return np.asarray(share >= windowing.min_observed_fraction)


Second = TypeVar("Second", int, NDArray[np.int64])


def target_second(start: Second, windowing: Windowing) -> Second:
    """Return the second of the targets of the window that starts at `start`; also for an array of starts.

    ``start + window - 1 + target_horizon``: `target_horizon` seconds after the window's last second.
    """
    return start + windowing.window - 1 + windowing.target_horizon
