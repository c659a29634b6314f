"""The input of a data set's card: plan, accounting, build summaries, and figures computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from vitalprep.contract.accounting import Accounting
from vitalprep.contract.build_summary import BuildSummary, FeatureStatistics
from vitalprep.contract.config import Config
from vitalprep.contract.measured import Measured, measured_of
from vitalprep.contract.paths import SPLITS, SplitName
from vitalprep.contract.plan import Plan
from vitalprep.contract.provenance import Provenance, SettledProvenance
from vitalprep.contract.warning import DataWarning
from vitalprep.features.statistics import added

__all__ = ["Coverage", "Described"]


@dataclass(frozen=True)
class Coverage:
    """Shares of all seconds of the written cases, 0 to 1; None if they have no second.

    `clipped` are observed or held seconds outside the normalization range.
    """

    observed: float | None
    held: float | None
    default: float | None
    clipped: float | None
    observed_in: dict[SplitName, float | None]


@dataclass(frozen=True)
class Described:
    """An accounted data set whose description is to be written.

    `warnings` are those of the report, `content_id` is that of the records.
    """

    plan: Plan
    accounting: Accounting
    summaries: Mapping[SplitName, BuildSummary]
    warnings: Sequence[DataWarning] = ()
    content_id: str | None = None

    @property
    def config(self) -> Config:
        """The settled configuration."""
        return self.plan.config

    @property
    def settled(self) -> SettledProvenance:
        """Where the recordings come from, and how that is known."""
        return self.plan.settled_provenance

    @property
    def source(self) -> Provenance:
        """Where the recordings come from."""
        return self.settled.source

    @property
    def windows(self) -> int:
        """Windows over all splits."""
        return sum(self.accounting.windows.values())

    @cached_property
    def measured(self) -> Measured:
        """How much was measured."""
        return measured_of(self.config, self.summaries.values())

    @cached_property
    def measured_in(self) -> dict[SplitName, Measured]:
        """How much was measured in each split."""
        return {split: measured_of(self.config, [summary]) for split, summary in self.summaries.items()}

    @cached_property
    def coverage(self) -> dict[str, Coverage]:
        """Each input's coverage, over all splits and by split."""
        return _coverage_of(self.config, self.summaries)


def _coverage_of(config: Config, summaries: Mapping[SplitName, BuildSummary]) -> dict[str, Coverage]:
    whole: dict[str, FeatureStatistics] = {}
    for summary in summaries.values():
        whole = whole | added(whole, summary.statistics)
    return {item.name: _coverage(item.name, whole, summaries) for item in config.inputs}


def _coverage(
    name: str, whole: Mapping[str, FeatureStatistics], summaries: Mapping[SplitName, BuildSummary]
) -> Coverage:
    sums = whole.get(name, FeatureStatistics())
    seconds = _seconds(sums)
    observed_in: dict[SplitName, float | None] = {}
    for split in SPLITS:
        part = summaries[split].statistics.get(name, FeatureStatistics()) if split in summaries else FeatureStatistics()
        observed_in[split] = _share(part.observed, _seconds(part))
    return Coverage(
        observed=_share(sums.observed, seconds),
        held=_share(sums.held, seconds),
        default=_share(sums.default, seconds),
        clipped=_share(sums.clipped, seconds),
        observed_in=observed_in,
    )


def _seconds(statistics: FeatureStatistics) -> int:
    return statistics.observed + statistics.held + statistics.default


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
