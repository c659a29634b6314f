"""What a careful statistician would point out before anybody trains on a data set.

Pure functions of counts and receipts. Each threshold stands with its source in `Thresholds`.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from preprocessing.config import Config
from preprocessing.documents import Model
from preprocessing.layout import SPLITS
from preprocessing.plan.case_list import short_case_list
from preprocessing.plan.plan import Plan
from preprocessing.publish.accounting import Account
from preprocessing.records.statistics import FeatureStatistics, OriginCounts
from preprocessing.report.demographics import Demographic, demographics_of
from preprocessing.report.duplicates import near_duplicates
from preprocessing.report.signals import chance_distance, distance

__all__ = ["DataWarning", "Thresholds", "warnings_of"]

Code = Literal[
    "rarely_observed",
    "mostly_default",
    "often_clipped",
    "splits_differ",
    "distributions_differ",
    "near_duplicate",
    "static_all_default",
]
MOST_GROUPS = 100
Level = Literal["warning", "note"]


@dataclass(frozen=True)
class Thresholds:
    """From where on something is pointed out.

    Attributes
    ----------
    observed_share : float
        Least share of measured seconds. Our choice: under it, a feature is its default with rare exceptions.
    default_share : float
        Greatest share of windows whose target is the default. Our choice: "most".
    clipped_share : float
        Greatest share of observed or held seconds outside of the normalization range. Our choice: a range of 5th to
        95th percentile would lose more, so the range does not fit the data.
    difference : float
        Greatest standardized mean difference: 0.1 (Austin, Stat Med 2009; 28:3083-3107, section 3.1).
    errors : float
        Standard errors that a difference has to exceed to be no play of chance: the normal distribution's 95 %.
    distance : float
        Greatest distance of Kolmogorov and Smirnov. Our choice, that of the demographics: two normal distributions of
        equal spread are 0.1 apart if their means differ by a quarter of it.
    """

    observed_share: float = 0.01
    default_share: float = 0.5
    clipped_share: float = 0.05
    difference: float = 0.1
    errors: float = 1.96
    distance: float = 0.1


class DataWarning(Model):
    """One thing to point out.

    `level` is ``note`` where groups of this size differ as much by chance. `item` is the input, target or static,
    `values` what was found by split, `cases` the cases concerned.
    """

    code: Code
    level: Level
    item: str | None = None
    threshold: float | None = None
    values: Mapping[str, float] = Field(default_factory=dict)
    cases: tuple[int, ...] = ()
    message: str


Statistics = Mapping[str, Mapping[str, FeatureStatistics]]
"""Split -> input -> statistics."""
Targets = Mapping[str, Mapping[str, OriginCounts]]
"""Split -> target -> windows by origin."""


def warnings_of(plan: Plan, account: Account, thresholds: Thresholds | None = None) -> list[DataWarning]:
    """Return all warnings of a data set, those of level ``warning`` first."""
    limits = thresholds or Thresholds()
    statistics: Statistics = {split: summary.statistics for split, summary in account.summaries.items()}
    targets: Targets = {split: summary.targets for split, summary in account.summaries.items()}
    demographics = demographics_of(plan, account.outcomes)
    found = [
        *near_duplicate_cases(plan, account),
        *static_all_default(demographics),
        *rarely_observed(plan.config, statistics, limits),
        *mostly_default(plan.config, targets, limits),
        *often_clipped(plan.config, statistics, limits),
        *splits_differ(demographics, limits),
        *distributions_differ(plan.config, statistics, limits),
    ]
    return sorted(found, key=lambda warning: warning.level != "warning")


def rarely_observed(config: Config, statistics: Statistics, limits: Thresholds) -> Iterator[DataWarning]:
    """Yield inputs that are almost never measured in a split."""
    for item in config.inputs:
        shares = {}
        for split, features in statistics.items():
            counts = features.get(item.name)
            total = counts.observed + counts.held + counts.default if counts else 0
            if counts and total:
                shares[split] = counts.observed / total
        low = {split: share for split, share in shares.items() if share < limits.observed_share}
        if low:
            yield DataWarning(
                code="rarely_observed",
                level="warning",
                item=item.name,
                threshold=limits.observed_share,
                values=low,
                message=f"{item.name} is measured in less than {_percent(limits.observed_share)} of the seconds of "
                f"{_listed(low)}: what a model sees there is almost only the default {item.default:g}.",
            )


def mostly_default(config: Config, targets: Targets, limits: Thresholds) -> Iterator[DataWarning]:
    """Yield targets that are the default in most windows of a split."""
    for target in config.targets:
        high = {}
        for split, counts in targets.items():
            count = counts.get(target.name, OriginCounts())
            total = count.observed + count.held + count.default
            if total and count.default / total > limits.default_share:
                high[split] = count.default / total
        if high:
            default = next(item.default for item in config.inputs if item.name == target.input)
            yield DataWarning(
                code="mostly_default",
                level="warning",
                item=target.name,
                threshold=limits.default_share,
                values=high,
                message=f"The target {target.name} is the default {default:g} in most windows of {_listed(high)}: "
                "always to predict it scores well there. Weight or select windows by target_origin, and report "
                "errors on observed targets alone.",
            )


def often_clipped(config: Config, statistics: Statistics, limits: Thresholds) -> Iterator[DataWarning]:
    """Yield inputs whose values lie outside of their normalization range too often."""
    for item in config.inputs:
        high = {}
        for split, features in statistics.items():
            counts = features.get(item.name)
            known = counts.observed + counts.held if counts else 0
            if counts and known and counts.clipped / known > limits.clipped_share:
                high[split] = counts.clipped / known
        if high:
            yield DataWarning(
                code="often_clipped",
                level="warning",
                item=item.name,
                threshold=limits.clipped_share,
                values=high,
                message=f"More than {_percent(limits.clipped_share)} of the values of {item.name} lie outside of its "
                f"normalization range {item.range[0]:g} to {item.range[1]:g} {item.unit} in {_listed(high)}; "
                "the model sees the bound.",
            )


def splits_differ(demographics: list[Demographic], limits: Thresholds) -> Iterator[DataWarning]:
    """Yield statics whose mean differs between train and another split."""
    for item in demographics:
        apart = {
            split: (difference, limits.errors * (item.errors[split] or 0))
            for split, difference in item.differences.items()
            if difference is not None and abs(difference) > limits.difference
        }
        for level, high in _by_level(apart):
            yield DataWarning(
                code="splits_differ",
                level=level,
                item=item.static.name,
                threshold=limits.difference,
                values=high,
                message=f"The mean of {item.static.name} in {_listed(high)} is more than {limits.difference:g} "
                f"standard deviations from that in train{_more_than_chance(level)}.",
            )


def distributions_differ(config: Config, statistics: Statistics, limits: Thresholds) -> Iterator[DataWarning]:
    """Yield inputs whose distribution of measured seconds differs between train and another split."""
    train = statistics.get("train", {})
    for item in config.inputs:
        apart: dict[str, tuple[float, float]] = {}
        for split in SPLITS[1:]:
            first, second = train.get(item.name), statistics.get(split, {}).get(item.name)
            found = distance(first, second)
            if found is not None and found > limits.distance and first and second:
                apart[split] = found, chance_distance(first.cases, second.cases)
        for level, high in _by_level(apart):
            yield DataWarning(
                code="distributions_differ",
                level=level,
                item=item.name,
                threshold=limits.distance,
                values=high,
                message=f"{item.name} is distributed otherwise in {_listed(high)} than in train, with a distance over "
                f"{limits.distance:g}{_more_than_chance(level)}.",
            )


def _by_level(apart: Mapping[str, tuple[float, float]]) -> Iterator[tuple[Level, dict[str, float]]]:
    """Yield what exceeds its play of chance as warnings, and the rest as notes."""
    levels: tuple[Level, Level] = ("warning", "note")
    for level in levels:
        high = {
            split: value for split, (value, chance) in apart.items() if (abs(value) > chance) == (level == "warning")
        }
        if high:
            yield level, high


def _more_than_chance(level: Level) -> str:
    return ", more than chance gives for so many cases" if level == "warning" else ""


def near_duplicate_cases(plan: Plan, account: Account) -> Iterator[DataWarning]:
    """Yield groups of written cases that are the same recording, at most a hundred and then how many more there are."""
    written = {case: account.receipts[case] for case, outcome in account.outcomes.items() if outcome.windows}
    groups = near_duplicates(written, plan.config)
    for group in groups[:MOST_GROUPS]:
        splits = dict.fromkeys(split for split in SPLITS if any(plan.by_id[case].split == split for case in group))
        subjects = {plan.by_id[case].subject_id for case in group}
        whose = "one subject" if len(subjects) == 1 else f"{len(subjects)} subjects"
        yield DataWarning(
            code="near_duplicate",
            level="warning",
            cases=group,
            message=f"Cases {short_case_list(group)} are nearly the same recording, under {whose}, in "
            f"{_listed(splits)}{': the split leaks' if len(splits) > 1 else ''}.",
        )
    if len(groups) > MOST_GROUPS:
        yield DataWarning(
            code="near_duplicate",
            level="warning",
            message=f"{len(groups) - MOST_GROUPS} more groups of cases are nearly the same recording.",
        )


def static_all_default(demographics: list[Demographic]) -> Iterator[DataWarning]:
    """Yield statics that no written case of a split has."""
    for item in demographics:
        splits = {split: 1.0 for split, summary in item.splits.items() if summary.default and not summary.known}
        if splits:
            yield DataWarning(
                code="static_all_default",
                level="warning",
                item=item.static.name,
                values=splits,
                message=f"{item.static.name} is missing in every case of {_listed(splits)}: the records hold the "
                f"default {item.static.default:g}. Look at the clinical table.",
            )


def _listed(splits: Container[str]) -> str:
    names = [split for split in SPLITS if split in splits]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
