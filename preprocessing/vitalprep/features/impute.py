"""Imputation by last observation carried forward, with the origin of each sample (docs/design.md, 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT", "HELD", "OBSERVED", "impute"]

OBSERVED, HELD, DEFAULT = 0, 1, 2
_HELD, _DEFAULT = np.uint8(HELD), np.uint8(DEFAULT)


def impute(
    values: NDArray[np.float32], *, default: float, hold: int, causal: bool
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Carry the last observation forward, and use the default where there is none.

    Before the first observation: the default. Between observations: the last value, without limit. After the last
    observation: its value for `hold` seconds, then the default. No back fill and no mean, because both leak the future.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        One input of a harmonized table, in the input's unit; NaN where no source was live.
    default : float
        In the input's unit.
    hold : int
        In seconds.
    causal : bool
        Limit every gap to `hold` seconds, so that no sample and no origin depends on the future.

    Returns
    -------
    filled : ndarray of float64, shape (n,)
        In the input's unit, without NaN.
    origin : ndarray of uint8, shape (n,)
        0 observed, 1 held, 2 default.
    """
    n = len(values)
    if not n:
        return np.empty(0, dtype=np.float64), np.empty(0, dtype=np.uint8)
    seconds = np.arange(n)
    observed = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(observed, seconds, -1))
    within_hold = seconds - last <= hold
    carried = within_hold if causal else within_hold | (seconds <= last[-1])
    carried &= last >= 0
    origin = np.where(carried, _HELD, _DEFAULT)
    origin[observed] = OBSERVED
    return np.where(carried, values[last], np.float64(default)), origin
