"""Filling the gaps of a series, and remembering which samples were measured (DESIGN 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT", "HELD", "OBSERVED", "impute"]

OBSERVED, HELD, DEFAULT = 0, 1, 2
_HELD, _DEFAULT = np.uint8(HELD), np.uint8(DEFAULT)


def impute(
    values: NDArray[np.float32], *, default: float, hold: int, causal: bool
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Carry the last observation forward, and put the default where there is none to carry.

    Before the first observed second stands the default; between observed seconds the last value, without limit; after
    the last one the value for `hold` seconds, then the default. There is no back fill and no mean: both leak the
    future.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        One input of a harmonized table; NaN where nothing was live.
    default : float
        In the input's unit.
    hold : int
        In seconds.
    causal : bool
        Treat every gap like the last one, so that no sample depends on the future.

    Returns
    -------
    filled : ndarray of float64, shape (n,)
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
