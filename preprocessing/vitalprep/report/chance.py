"""Tests of whether two groups of subjects differ by more than chance, with a correction for multiple testing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["effective_number", "holm", "smirnov_p", "student_p"]

STEPS = 20_000  # of the integral; its error is far below what decides anything
TERMS = 100


def student_p(first: Sequence[float] | NDArray[np.float64], second: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the two-sided p value of Student's t test (Biometrika 1908; 6:1-25), with one value for each subject.

    With one variance for both groups, because if the split is chance both are drawn from the same subjects. 1 where
    neither group varies: nothing is to be told of such.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    free = len(a) + len(b) - 2
    squares = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    if squares == 0:
        return 1.0
    t = abs(a.mean() - b.mean()) / math.sqrt(squares / free * (1 / len(a) + 1 / len(b)))
    # With t = sqrt(free) tan(x) the density is a power of cos(x).
    angle = math.atan(t / math.sqrt(free))
    width = (math.pi / 2 - angle) / STEPS
    places = angle + width * (np.arange(STEPS) + 0.5)
    constant = math.exp(math.lgamma((free + 1) / 2) - math.lgamma(free / 2)) / math.sqrt(math.pi)
    return min(1.0, float(2 * constant * width * (np.cos(places) ** (free - 1)).sum()))


def smirnov_p(distance: float, first: float, second: float) -> float:
    """Return the p value of a Kolmogorov-Smirnov distance between two samples (Smirnov 1948; 19:279-281).

    The samples are seconds and the units subjects: how often the seconds of one lie below a value is a number from 0 to
    1, which varies at most as much as if it were always 0 or 1 (Kish, Survey Sampling, 1965: the design effect). So the
    p value is at most too great.
    """
    x = distance**2 * first * second / (first + second)
    if x < 0.04:  # the series does not converge there, and its sum is 1
        return 1.0
    signs = (-1 if k % 2 == 0 else 1 for k in range(1, TERMS))
    return min(1.0, 2 * sum(sign * math.exp(-2 * k * k * x) for k, sign in enumerate(signs, start=1)))


def effective_number(weights: Sequence[int]) -> float:
    """Return the effective sample size of weighted subjects: ``(sum w)^2 / sum w^2`` (Kish 1965, 11.2C)."""
    squares = sum(weight * weight for weight in weights)
    return sum(weights) ** 2 / squares if squares else 0.0


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Return which hypotheses are rejected at a family-wise error rate of `level`.

    Holm, Scand J Stat 1979; 6:65-70: the least p value against ``level / n``, the next one against ``level / (n - 1)``,
    until one is greater.
    """
    rejected = [False] * len(p_values)
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if p_values[index] > level / (len(p_values) - place):
            break
        rejected[index] = True
    return rejected
