"""What the seconds of a split hold, feature by feature: sums that add up over cases and files."""

from __future__ import annotations

import math

import numpy as np

from preprocessing.config import Config
from preprocessing.documents import Model
from preprocessing.records.impute import DEFAULT, HELD, OBSERVED
from preprocessing.records.samples import Samples

__all__ = ["FeatureStatistics", "added", "statistics_of"]


class FeatureStatistics(Model):
    """One input over some cases. Counts are seconds; sums are over observed seconds, in the input's unit.

    `clipped` counts observed or held seconds outside the normalization range.
    """

    observed: int = 0
    held: int = 0
    default: int = 0
    clipped: int = 0
    total: float = 0.0
    total_of_squares: float = 0.0
    minimum: float | None = None
    maximum: float | None = None

    def described(self) -> dict[str, float | int | None]:
        """Return counts, and mean, standard deviation and extremes of what was observed."""
        mean = self.total / self.observed if self.observed else None
        variance = self.total_of_squares / self.observed - mean * mean if mean is not None else None
        return {
            "observed_seconds": self.observed,
            "held_seconds": self.held,
            "default_seconds": self.default,
            "clipped_seconds": self.clipped,
            "mean": mean,
            "standard_deviation": None if variance is None else math.sqrt(max(variance, 0.0)),
            "minimum": self.minimum,
            "maximum": self.maximum,
        }


def statistics_of(samples: Samples, config: Config) -> dict[str, FeatureStatistics]:
    """Return a case's statistics by input name."""
    result = {}
    for column, item in enumerate(config.inputs):
        origin = samples.origin[:, column]
        measured = samples.measured[origin == OBSERVED, column].astype(np.float64)
        result[item.name] = FeatureStatistics(
            observed=len(measured),
            held=int(np.count_nonzero(origin == HELD)),
            default=int(np.count_nonzero(origin == DEFAULT)),
            clipped=int(samples.clipped[column]),
            total=float(measured.sum()),
            total_of_squares=float((measured * measured).sum()),
            minimum=float(measured.min()) if len(measured) else None,
            maximum=float(measured.max()) if len(measured) else None,
        )
    return result


def added(left: dict[str, FeatureStatistics], right: dict[str, FeatureStatistics]) -> dict[str, FeatureStatistics]:
    """Return the statistics of two sets of cases together."""
    return {name: _sum(left.get(name, FeatureStatistics()), statistics) for name, statistics in right.items()}


def _sum(a: FeatureStatistics, b: FeatureStatistics) -> FeatureStatistics:
    minima = [value for value in (a.minimum, b.minimum) if value is not None]
    maxima = [value for value in (a.maximum, b.maximum) if value is not None]
    return FeatureStatistics(
        observed=a.observed + b.observed,
        held=a.held + b.held,
        default=a.default + b.default,
        clipped=a.clipped + b.clipped,
        total=a.total + b.total,
        total_of_squares=a.total_of_squares + b.total_of_squares,
        minimum=min(minima, default=None),
        maximum=max(maxima, default=None),
    )
