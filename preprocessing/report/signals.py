"""What the signals hold: coverage, distributions, gaps, sources and unit conflicts, added up over cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from preprocessing.config import Input
from preprocessing.harmonize.receipt import Receipt
from preprocessing.records.statistics import FeatureStatistics

__all__ = [
    "Conflict", "Gaps", "SourceUse", "Step",
    "conflicts_of", "distance", "gaps_of", "implausible_of", "sources_of", "timings_of",
]  # fmt: skip


@dataclass(frozen=True)
class Gaps:
    """The longest gap of one input in each case that recorded it, in seconds.

    `case_id` is the case with the longest of all; `recorded` and `unrecorded` are cases.
    """

    recorded: int
    unrecorded: int
    median: float | None
    high: float | None
    longest: int | None
    case_id: int | None


@dataclass(frozen=True)
class SourceUse:
    """Seconds in which a source's value was used, in how many cases, and the share of the input's used seconds."""

    track: str
    seconds: int
    cases: int
    share: float


@dataclass(frozen=True)
class Conflict:
    """A track that was not used for its unit, and the cases in which."""

    track: str
    unit: str
    cases: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """Seconds that one step of harmonizing took over the cases."""

    name: str
    total: float
    median: float
    high: float
    slowest: float
    case_id: int


def distance(first: FeatureStatistics | None, second: FeatureStatistics | None) -> float | None:
    """Return the greatest difference of the two cumulative distributions of observed seconds, at the edges of the bins.

    The statistic of Kolmogorov and Smirnov (Smirnov, Ann Math Stat 1948; 19:279-281), from histograms: it is at most
    the exact one. None where one has no histogram or no observed second.
    """
    if first is None or second is None or not first.observed or not second.observed:
        return None
    if not first.histogram or len(first.histogram) != len(second.histogram):
        return None
    a, b = (np.cumsum(item.histogram) / sum(item.histogram) for item in (first, second))
    return float(np.abs(a - b).max())


def gaps_of(name: str, receipts: Mapping[int, Receipt]) -> Gaps:
    """Return the longest gaps of one input over the harmonized cases."""
    gaps = {
        case: receipt.features[name].longest_gap
        for case, receipt in receipts.items()
        if name in receipt.features and receipt.features[name].mean is not None
    }
    unrecorded = sum(name in receipt.features for receipt in receipts.values()) - len(gaps)
    if not gaps:
        return Gaps(0, unrecorded, None, None, None, None)
    values = list(gaps.values())
    case_id = min(gaps, key=lambda case: (-gaps[case], case))
    median, high = (float(value) for value in np.percentile(values, [50, 95]))
    return Gaps(len(gaps), unrecorded, median, high, gaps[case_id], case_id)


def sources_of(item: Input, receipts: Iterable[Receipt]) -> list[SourceUse]:
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
            source.track, seconds[source.track], cases[source.track], seconds[source.track] / total if total else 0.0
        )
        for source in item.sources
    ]


def implausible_of(name: str, receipts: Iterable[Receipt]) -> int:
    """Return how many records of an input's sources were dropped as outside of the device's limits."""
    return sum(receipt.features[name].implausible for receipt in receipts if name in receipt.features)


def conflicts_of(receipts: Mapping[int, Receipt]) -> list[Conflict]:
    """Return the unit conflicts of all cases, those of most cases first."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for case, receipt in sorted(receipts.items()):
        for conflict in receipt.unit_conflicts:
            found[conflict.track, conflict.unit].append(case)
    ordered = sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    return [Conflict(track, unit, tuple(cases)) for (track, unit), cases in ordered]


def timings_of(receipts: Mapping[int, Receipt]) -> list[Step]:
    """Return what each step of harmonizing took, in the order of the steps."""
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
