"""Compares the distributions of inputs and the origins of targets in two data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vitalprep.contract.build_summary import FeatureStatistics, OriginCounts
from vitalprep.contract.paths import SPLITS
from vitalprep.diff.comparison import Distribution, Shares, TargetOrigins
from vitalprep.diff.described import Described
from vitalprep.report.signals import distance

__all__ = ["distributions", "target_origins"]

OTHER_RANGES = "ranges differ"


def distributions(a: Described, b: Described) -> list[Distribution]:
    """Return all inputs of all splits, largest change first.

    What is measured on one side alone, or has another range, comes before distances; what neither measured is last.
    """
    return sorted(_distributions(a, b), key=_rank)


def _rank(item: Distribution) -> tuple[int, float]:
    if item.distance is not None:
        return 1, -item.distance
    if not item.cases_a and not item.cases_b and not item.a.observed and not item.b.observed:
        return 2, 0.0
    return 0, 0.0 if item.no_distance == OTHER_RANGES else 1 - abs((item.a.observed or 0) - (item.b.observed or 0))


def _distributions(a: Described, b: Described) -> Iterator[Distribution]:
    ranges = [{item["name"]: item["range"] for item in side.metadata.config["inputs"]} for side in (a, b)]
    for name in dict.fromkeys([*ranges[0], *ranges[1]]):
        for split in SPLITS:
            first, second = (side.summaries[split].statistics.get(name, FeatureStatistics()) for side in (a, b))
            why = _no_distance(name, ranges, (first, second))
            yield Distribution(
                item=name,
                split=split,
                a=_shares(first),
                b=_shares(second),
                mean_a=_mean(first),
                mean_b=_mean(second),
                cases_a=first.cases,
                cases_b=second.cases,
                distance=None if why else distance(first, second),
                no_distance=why,
                same=first == second,
            )


def _no_distance(
    name: str, ranges: list[dict[str, list[float]]], statistics: tuple[FeatureStatistics, FeatureStatistics]
) -> str | None:
    """Return why two distributions cannot be compared, or None if they can."""
    missing = [letter for letter, own in zip("AB", ranges, strict=True) if name not in own]
    if missing:
        return f"no input of {missing[0]}"
    if ranges[0][name] != ranges[1][name]:
        return OTHER_RANGES
    unmeasured = [letter for letter, item in zip("AB", statistics, strict=True) if not item.observed]
    if unmeasured:
        return f"not measured in {' and '.join(unmeasured)}"
    uncounted = [letter for letter, item in zip("AB", statistics, strict=True) if not item.histogram]
    return f"not counted in {' and '.join(uncounted)}" if uncounted else None


def target_origins(a: Described, b: Described) -> list[TargetOrigins]:
    """Return the origins of all targets of all splits, in the order of the configuration."""
    names = [target["name"] for side in (a, b) for target in _targets(side.metadata.config)]
    return [
        TargetOrigins(item=name, split=split, a=_target(a, split, name), b=_target(b, split, name))
        for name in dict.fromkeys(names)
        for split in SPLITS
    ]


def _targets(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(config.get("targets", ()))


def _target(side: Described, split: str, name: str) -> Shares | None:
    counts = side.summaries[split].targets.get(name)
    return None if counts is None else _shares(counts)


def _shares(counts: FeatureStatistics | OriginCounts) -> Shares:
    total = counts.observed + counts.held + counts.default
    known = counts.observed + counts.held
    clipped = counts.clipped if isinstance(counts, FeatureStatistics) else None
    return Shares(
        observed=counts.observed / total if total else None,
        held=counts.held / total if total else None,
        default=counts.default / total if total else None,
        clipped=clipped / known if clipped is not None and known else None,
    )


def _mean(statistics: FeatureStatistics) -> float | None:
    return statistics.total / statistics.observed if statistics.observed else None
