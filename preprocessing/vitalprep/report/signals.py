"""Figures of the signals over all cases: coverage, distributions, gaps, sources, unit conflicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vitalprep.contract.build_summary import CaseCoverage, FeatureStatistics
from vitalprep.contract.config import Input
from vitalprep.contract.finished import FinishedCase

__all__ = [
    "Conflict", "Gaps", "Quantile", "SourceUse", "Step",
    "conflicts_of", "distance", "gaps_of", "implausible_of", "mismatches_of",
    "quantile", "sources_of", "timings_of",
]  # fmt: skip


@dataclass(frozen=True)
class Gaps:
    """Gaps of one input in the cases that recorded it, in seconds.

    `before` and `after` are medians of the time before the first and after the last value. The longest gap between two
    values of each case is given as median (`inside`), 95th percentile and maximum, the latter of case `case_id`.
    `recorded` and `unrecorded` are numbers of cases.
    """

    recorded: int
    unrecorded: int
    before: float | None
    inside: float | None
    high: float | None
    longest: int | None
    case_id: int | None
    after: float | None


class Quantile(NamedTuple):
    """A quantile of a histogram. `mark` is ``<`` or ``>`` if it lies outside the range, where only a bound is known."""

    mark: str
    value: float


@dataclass(frozen=True)
class SourceUse:
    """Use of one source: seconds, cases, and its share of the input's seconds with a value.

    `stands` is the source's `stale_after`, in seconds.
    """

    track: str
    stands: int
    seconds: int
    cases: int
    share: float


@dataclass(frozen=True)
class Conflict:
    """A track that was not used because of its unit, and the cases concerned."""

    track: str
    unit: str
    cases: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """Seconds that one step of harmonizing took, over all cases."""

    name: str
    total: float
    median: float
    high: float
    slowest: float
    case_id: int


def distance(first: FeatureStatistics | None, second: FeatureStatistics | None) -> float | None:
    """Return the Kolmogorov-Smirnov distance of two histograms of observed seconds.

    It is the largest difference of the cumulative distributions at the edges of the bins (Smirnov, Ann Math Stat 1948;
    19:279-281), which is at most the exact distance. None if one has no histogram or no observed second.
    """
    if first is None or second is None or not first.observed or not second.observed:
        return None
    if not first.histogram or len(first.histogram) != len(second.histogram):
        return None
    a, b = (np.cumsum(item.histogram) / sum(item.histogram) for item in (first, second))
    return float(np.abs(a - b).max())


def gaps_of(coverage: Mapping[int, CaseCoverage]) -> Gaps:
    """Return the gaps of one input over the written cases."""
    recorded = {case: found for case, found in sorted(coverage.items()) if found.observed}
    unrecorded = len(coverage) - len(recorded)
    if not recorded:
        return Gaps(0, unrecorded, None, None, None, None, None, None)
    case_id = max(recorded, key=lambda case: (recorded[case].inside, -case))
    inside, high = (float(value) for value in np.percentile([found.inside for found in recorded.values()], [50, 95]))
    return Gaps(
        recorded=len(recorded),
        unrecorded=unrecorded,
        before=float(np.median([found.before for found in recorded.values()])),
        inside=inside,
        high=high,
        longest=recorded[case_id].inside,
        case_id=case_id,
        after=float(np.median([found.after for found in recorded.values()])),
    )


def quantile(statistics: FeatureStatistics, bounds: tuple[float, float], share: float) -> Quantile | None:
    """Return a quantile of the observed seconds from the histogram, interpolated linearly within a bin."""
    if not statistics.histogram or not statistics.observed:
        return None
    below, *inside, _ = statistics.histogram
    left = share * statistics.observed - below
    if left <= 0 < below:
        return Quantile("<", bounds[0])
    width = (bounds[1] - bounds[0]) / len(inside)
    for place, count in enumerate(inside):
        if count and left <= count:
            return Quantile("", bounds[0] + width * (place + max(left, 0) / count))
        left -= count
    return Quantile(">", bounds[1])


def sources_of(item: Input, receipts: Iterable[FinishedCase]) -> list[SourceUse]:
    """Return the use of each of an input's sources, in the registry's order."""
    seconds: dict[str, int] = defaultdict(int)
    cases: dict[str, int] = defaultdict(int)
    for receipt in receipts:
        if item.name not in receipt.features:
            continue
        for track, live in receipt.features[item.name].live_seconds.items():
            seconds[track] += live
            cases[track] += live > 0
    total = sum(seconds.values())
    return [
        SourceUse(
            track=source.name,
            stands=source.stale_after,
            seconds=seconds[source.name],
            cases=cases[source.name],
            share=seconds[source.name] / total if total else 0.0,
        )
        for source in item.sources
    ]


def implausible_of(name: str, receipts: Iterable[FinishedCase]) -> int:
    """Return how many records of an input's sources were dropped as outside the device's limits."""
    return sum(receipt.features[name].implausible for receipt in receipts if name in receipt.features)


def conflicts_of(receipts: Mapping[int, FinishedCase]) -> list[Conflict]:
    """Return the unit conflicts of all cases, the most frequent first."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for case, receipt in sorted(receipts.items()):
        for conflict in receipt.unit_conflicts:
            found[conflict.track, conflict.unit].append(case)
    ordered = sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    return [Conflict(track, unit, tuple(cases)) for (track, unit), cases in ordered]


def mismatches_of(receipts: Mapping[int, FinishedCase]) -> dict[str, tuple[int, ...]]:
    """Return the cases excluded because of the unit of an input's only source, by the detail in their receipts."""
    found: dict[str, list[int]] = defaultdict(list)
    for case, receipt in sorted(receipts.items()):
        if receipt.reason == "unit_mismatch":
            found[receipt.detail or ""].append(case)
    return {detail: tuple(cases) for detail, cases in sorted(found.items(), key=lambda entry: -len(entry[1]))}


def timings_of(receipts: Mapping[int, FinishedCase]) -> list[Step]:
    """Return the duration of each step of harmonizing, in the order of the steps."""
    seconds: dict[str, dict[int, float]] = defaultdict(dict)
    for case, receipt in sorted(receipts.items()):
        for step, value in receipt.timings.items():
            seconds[step][case] = value
    order = {name: place for place, name in enumerate(("read", "parse", "harmonize", "write"))}
    result = []
    for step in sorted(seconds, key=lambda name: (order.get(name, len(order)), name)):
        values = seconds[step]
        slowest = min(values, key=lambda case: (-values[case], case))
        median, high = (float(value) for value in np.percentile(list(values.values()), [50, 95]))
        result.append(Step(step, sum(values.values()), median, high, values[slowest], slowest))
    return result
