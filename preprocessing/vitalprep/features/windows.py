"""Start seconds and target seconds of the windows of a recording (docs/design.md, 4)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Windowing
from vitalprep.contract.receipt import Runs
from vitalprep.features.impute import OBSERVED

__all__ = [
    "depends_on_runs_alone",
    "in_runs",
    "inputs_observed",
    "observed_enough",
    "seconds_within",
    "target_second",
    "targets_observed",
    "window_starts",
]


def window_starts(seconds: int, windowing: Windowing) -> NDArray[np.int64]:
    """Return the start second of every window of a recording of `seconds` seconds, int64 of shape (windows,).

    Window j starts at ``s = j * step`` and exists if ``s + window - 1 + target_horizon <= seconds - 1``.
    """
    last = seconds - windowing.window - windowing.target_horizon
    return np.arange(0, last + 1, windowing.step, dtype=np.int64) if last >= 0 else np.empty(0, dtype=np.int64)


def depends_on_runs_alone(windowing: Windowing) -> bool:
    """Whether `in_runs` decides which windows are kept, so that no table has to be read for it."""
    return (
        windowing.min_observed_inputs <= 1
        and windowing.min_observed_fraction == 0
        and windowing.min_target_observed == 0
    )


def in_runs(starts: NDArray[np.int64], runs: Runs, windowing: Windowing) -> NDArray[np.bool_]:
    """Return which windows have a second in one of the runs, bool of shape (windows,); all if none is demanded.

    Parameters
    ----------
    starts : ndarray of int64, shape (windows,)
    runs : sequence of (int, int)
        Runs of seconds in which at least one input is observed.
    """
    if windowing.min_observed_inputs == 0:
        return np.ones(len(starts), dtype=np.bool_)
    firsts, stops = np.array(runs, dtype=np.int64).reshape(-1, 2).T
    begun = np.searchsorted(firsts, starts + windowing.window)  # before the window's end
    ended = np.searchsorted(stops, starts, side="right")  # at or before its start
    return np.asarray(begun > ended)


def inputs_observed(starts: NDArray[np.int64], origins: NDArray[np.uint8], windowing: Windowing) -> NDArray[np.bool_]:
    """Return which windows have at least `min_observed_inputs` inputs with an observed second.

    Parameters
    ----------
    starts : ndarray of int64, shape (windows,)
    origins : ndarray of uint8, shape (n, inputs)

    Returns
    -------
    ndarray of bool, shape (windows,)
    """
    wanted = windowing.min_observed_inputs
    if wanted == 0:
        return np.ones(len(starts), dtype=np.bool_)
    observed = origins == OBSERVED
    if wanted == 1:
        return seconds_within(starts, observed.any(axis=1), windowing) > 0
    inputs = np.zeros(len(starts), dtype=np.int64)
    for column in observed.T:
        inputs += seconds_within(starts, column, windowing) > 0
    return np.asarray(inputs >= wanted)


def seconds_within(starts: NDArray[np.int64], seconds: NDArray[np.bool_], windowing: Windowing) -> NDArray[np.int64]:
    """Return how many of the marked seconds each window has, int64 of shape (windows,)."""
    until = np.concatenate(([0], np.cumsum(seconds)))
    return np.asarray(until[starts + windowing.window] - until[starts])


def targets_observed(
    starts: NDArray[np.int64], target_origins: NDArray[np.uint8], windowing: Windowing
) -> NDArray[np.bool_]:
    """Return which windows have at least `min_target_observed` of their targets observed.

    Parameters
    ----------
    starts : ndarray of int64, shape (windows,)
    target_origins : ndarray of uint8, shape (n, targets)
        Origin codes of the inputs that are targets.

    Returns
    -------
    ndarray of bool, shape (windows,)
    """
    if windowing.min_target_observed == 0:
        return np.ones(len(starts), dtype=np.bool_)
    observed = target_origins[target_second(starts, windowing)] == OBSERVED
    return np.asarray(observed.mean(axis=1) >= windowing.min_target_observed)


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
