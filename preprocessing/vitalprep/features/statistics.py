"""Statistics of a split by input: counts, sums and histograms that can be added over cases and files."""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import CaseCoverage, FeatureStatistics, OriginCounts
from vitalprep.contract.config import Config
from vitalprep.features.impute import DEFAULT, HELD, OBSERVED
from vitalprep.features.samples import Samples
from vitalprep.features.windows import seconds_within, target_second

__all__ = [
    "added", "bins_of", "coverage_of", "statistics_of", "target_origins_of", "windows_without_vital",
]  # fmt: skip

FEWEST_BINS, MOST_BINS = 24, 50
OTHER_BINS = 20


def bins_of(bounds: tuple[float, float]) -> int:
    """Return the number of equal bins in the histogram of a range.

    Monitors show whole numbers. Bins are therefore an integer wide if that gives 24 to 50 bins, otherwise there are 20.
    With other widths, bins would alternate between, say, three and four whole numbers, and the histogram would look
    like a comb.
    """
    width = bounds[1] - bounds[0]
    if width == int(width):
        for bins in range(MOST_BINS, FEWEST_BINS - 1, -1):
            if width % bins == 0:
                return bins
    return OTHER_BINS


def statistics_of(samples: Samples, config: Config) -> dict[str, FeatureStatistics]:
    """Return a case's statistics by input name."""
    result = {}
    # Column-major arrays make reading a column many times faster.
    origins, values = np.ascontiguousarray(samples.origin.T), samples.measured.T
    for column, item in enumerate(config.inputs):
        origin = origins[column]
        measured = values[column][origin == OBSERVED].astype(np.float64)
        result[item.name] = FeatureStatistics(
            observed=len(measured),
            held=int(np.count_nonzero(origin == HELD)),
            default=int(np.count_nonzero(origin == DEFAULT)),
            clipped=int(samples.clipped[column]),
            total=float(measured.sum()),
            total_of_squares=float((measured * measured).sum()),
            minimum=float(measured.min()) if len(measured) else None,
            maximum=float(measured.max()) if len(measured) else None,
            histogram=_histogram(measured, item.range),
            cases=int(len(measured) > 0),
        )
    return result


def coverage_of(samples: Samples, config: Config) -> dict[str, CaseCoverage]:
    """Return the coverage of each input of a case, by name."""
    seconds, result = len(samples.origin), {}
    for column, item in enumerate(config.inputs):
        observed = np.flatnonzero(samples.origin[:, column] == OBSERVED)
        if not len(observed):
            result[item.name] = CaseCoverage(0, seconds, 0, 0)
            continue
        inside = int(np.diff(observed).max()) - 1 if len(observed) > 1 else 0
        after = seconds - 1 - int(observed[-1])
        result[item.name] = CaseCoverage(len(observed), int(observed[0]), inside, after)
    return result


def target_origins_of(samples: Samples, config: Config) -> dict[str, OriginCounts]:
    """Return how many windows of a case have an observed, held and default target, by target name."""
    seconds = target_second(samples.starts, config.windowing)
    columns = {item.name: column for column, item in enumerate(config.inputs)}
    result = {}
    for target in config.targets:
        observed, held, default = np.bincount(samples.origin[seconds, columns[target.input]], minlength=3).tolist()
        result[target.name] = OriginCounts(observed=observed, held=held, default=default)
    return result


def windows_without_vital(samples: Samples, config: Config) -> int:
    """Return how many windows of a case have no observed second of any vital sign."""
    observed = (samples.origin[:, [item.vital for item in config.inputs]] == OBSERVED).any(axis=1)
    return int(np.count_nonzero(seconds_within(samples.starts, observed, config.windowing) == 0))


def _histogram(measured: NDArray[np.float64], bounds: tuple[float, float]) -> tuple[int, ...]:
    low, high = bounds
    bins = bins_of(bounds)
    below, above = int(np.count_nonzero(measured < low)), int(np.count_nonzero(measured > high))
    parts = measured - low
    parts /= (high - low) / bins
    np.minimum(parts, bins - 1, out=parts)
    np.maximum(parts, 0, out=parts)
    counts = np.bincount(parts.astype(np.intp), minlength=bins).tolist()
    counts[0] -= below
    counts[-1] -= above
    return (below, *counts, above)


def added(left: dict[str, FeatureStatistics], right: dict[str, FeatureStatistics]) -> dict[str, FeatureStatistics]:
    """Return the combined statistics of two disjoint sets of cases."""
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
        histogram=_summed(a, b),
        cases=a.cases + b.cases,
    )


def _summed(a: FeatureStatistics, b: FeatureStatistics) -> tuple[int, ...]:
    if not a.histogram or not b.histogram:
        return a.histogram or b.histogram
    return tuple(map(operator.add, a.histogram, b.histogram))
