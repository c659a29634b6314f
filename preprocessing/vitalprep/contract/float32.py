"""Which numbers a record can hold: those of float32, without its subnormal ones."""

from __future__ import annotations

__all__ = ["LARGEST", "SMALLEST", "held"]

LARGEST = 3.4028234663852886e38  # largest finite float32
SMALLEST = 1.1754943508222875e-38  # smallest normal float32; below it, precision is lost and a reciprocal overflows


def held(number: float) -> float | None:
    """Return a number, or None if float32 cannot hold it: it is not finite, too large, or too close to 0.

    A value that cannot be held is a missing value (docs/design.md, ruling 31).

    Examples
    --------
    >>> [held(number) for number in (70.0, 0.0, 1e308, 1e-200, float("nan"))]
    [70.0, 0.0, None, None, None]
    """
    return number if number == 0 or SMALLEST <= abs(number) <= LARGEST else None
