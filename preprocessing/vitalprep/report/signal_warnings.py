"""Warnings about the values of the records: what is a default, what is old, what is clipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vitalprep.contract.accounting import Account
from vitalprep.contract.build_summary import FeatureStatistics, OriginCounts
from vitalprep.contract.config import Config
from vitalprep.contract.warning import DataWarning
from vitalprep.report.thresholds import Thresholds
from vitalprep.report.words import listed

__all__ = [
    "input_mostly_default", "mostly_default", "often_clipped", "origin_tells_future", "rarely_observed",
    "warnings_of_signals",
]  # fmt: skip


Statistics = Mapping[str, Mapping[str, FeatureStatistics]]
"""Split -> input -> statistics."""
Targets = Mapping[str, Mapping[str, OriginCounts]]
"""Split -> target -> windows by origin."""


def warnings_of_signals(config: Config, account: Account, limits: Thresholds) -> Iterator[DataWarning]:
    """Yield the warnings about inputs and targets."""
    statistics: Statistics = {split: summary.statistics for split, summary in account.summaries.items()}
    targets: Targets = {split: summary.targets for split, summary in account.summaries.items()}
    yield from input_mostly_default(config, statistics, limits)
    yield from rarely_observed(config, statistics, limits)
    yield from mostly_default(config, targets, limits)
    yield from often_clipped(config, statistics, limits)


def input_mostly_default(config: Config, statistics: Statistics, limits: Thresholds) -> Iterator[DataWarning]:
    """Warn of inputs that hold the default in most seconds of a split."""
    for item in config.inputs:
        high = {}
        for split, features in statistics.items():
            counts = features.get(item.name, FeatureStatistics())
            total = counts.observed + counts.held + counts.default
            if total and counts.default / total > limits.default_share:
                high[split] = counts.default / total
        if high:
            yield DataWarning(
                code="input_mostly_default",
                level="warning",
                item=item.name,
                threshold=limits.default_share,
                values=high,
                message=f"{item.name} holds the default {item.default:g} in most seconds of {listed(high)}: nothing "
                "was recorded there. Only timeseries_origin tells the default from a measured value.",
            )


def origin_tells_future(config: Config) -> Iterator[DataWarning]:
    """Warn that the origin mask leaks the future unless imputation is causal."""
    if not config.imputation.causal:
        yield DataWarning(
            code="origin_tells_future",
            level="note",
            message="The origin mask leaks the future: a gap between two values is held without limit, a gap after the "
            "last value only for `hold` seconds. A value that is held longer shows that another one will come. For "
            "online use set imputation.causal=true.",
        )


def rarely_observed(config: Config, statistics: Statistics, limits: Thresholds) -> Iterator[DataWarning]:
    """Warn of inputs that are almost never observed in a split and whose values there are held."""
    for item in config.inputs:
        low = {}
        for split, features in statistics.items():
            counts = features.get(item.name, FeatureStatistics())
            total = counts.observed + counts.held + counts.default
            if total and counts.default / total <= limits.default_share:
                low[split] = counts.observed / total
        low = {split: share for split, share in low.items() if share < limits.observed_share}
        if low:
            yield DataWarning(
                code="rarely_observed",
                level="warning",
                item=item.name,
                threshold=limits.observed_share,
                values=low,
                message=f"{item.name} is observed in less than {_percent(limits.observed_share)} of the seconds of "
                f"{listed(low)}: most of its values there are old ones, carried forward.",
            )


def mostly_default(config: Config, targets: Targets, limits: Thresholds) -> Iterator[DataWarning]:
    """Warn of targets that hold the default in most windows of a split."""
    for target in config.targets:
        high = {}
        for split, counts in targets.items():
            count = counts.get(target.name, OriginCounts())
            if count.total and count.default / count.total > limits.default_share:
                high[split] = count.default / count.total
        if high:
            default = next(item.default for item in config.inputs if item.name == target.input)
            yield DataWarning(
                code="mostly_default",
                level="warning",
                item=target.name,
                threshold=limits.default_share,
                values=high,
                message=f"The target {target.name} holds the default {default:g} in most windows of {listed(high)}: "
                "a model that always predicts it scores well there. Weight or select windows by target_origin, and "
                "report errors on observed targets alone.",
            )


def often_clipped(config: Config, statistics: Statistics, limits: Thresholds) -> Iterator[DataWarning]:
    """Warn of inputs whose values often lie outside their normalization range."""
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
                message=f"More than {_percent(limits.clipped_share)} of the values of {item.name} lie outside its "
                f"normalization range {item.range[0]:g} to {item.range[1]:g} {item.unit} in {listed(high)}; "
                "the records hold the bound instead.",
            )


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
