"""Figures of each input for the report, by split and source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitalprep.contract.accounting import Account
from vitalprep.contract.build_summary import FeatureStatistics
from vitalprep.contract.config import Input, Source
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan
from vitalprep.contract.rejections import SourceRejections
from vitalprep.report.charts import HistogramChart, histogram_chart
from vitalprep.report.signals import Quantile, SourceUse, distance, quantile, sources_of

__all__ = ["RejectedSource", "Signal", "Sources", "rejected_sources", "signals_of", "sources_by_split", "written_in"]

QUANTILES = (0.05, 0.5, 0.95)
SLOW = 60  # s; a source whose values stand for longer is named where it is used


@dataclass(frozen=True)
class Signal:
    """One input in all splits: counts, chart and distances of validation and test from train.

    `cases` are the written ones with an observed second. `slow` holds, by track, the seconds with a value of a source
    whose `stale_after` is over a minute. `quantiles` are those of `QUANTILES`.
    """

    item: Input
    splits: Mapping[str, FeatureStatistics]
    chart: HistogramChart | None
    distances: Mapping[str, float | None]
    slow: Mapping[str, Mapping[str, int]]
    quantiles: Mapping[str, Sequence[Quantile | None]]


@dataclass(frozen=True)
class Sources:
    """The sources of one input over the written cases, and the share of each by split."""

    item: Input
    uses: Sequence[SourceUse]
    shares: Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class RejectedSource:
    """What was rejected of one source in the written cases."""

    item: Input
    source: Source
    found: SourceRejections


def written_in(account: Account, split: str) -> list[int]:
    """Return the written cases of a split."""
    summary = next((summary for name, summary in account.summaries.items() if name == split), None)
    return [case.case_id for case in summary.cases if case.windows] if summary else []


def sources_by_split(account: Account, item: Input) -> Sources:
    """Return how much each of an input's sources was used, in all and by split."""
    receipts = account.receipts
    of_split = {split: sources_of(item, (receipts[case] for case in written_in(account, split))) for split in SPLITS}
    known = {split: any(use.seconds for use in uses) for split, uses in of_split.items()}
    return Sources(
        item=item,
        uses=sources_of(item, (receipts[case] for split in SPLITS for case in written_in(account, split))),
        shares=[
            {split: uses[place].share if known[split] else None for split, uses in of_split.items()}
            for place in range(len(item.sources))
        ],
    )


def signals_of(plan: Plan, account: Account) -> list[Signal]:
    """Return the figures of all inputs."""
    summaries, receipts = account.summaries, account.receipts
    result = []
    for item in plan.config.inputs:
        splits: dict[str, FeatureStatistics] = {
            split: summaries[split].statistics.get(item.name, FeatureStatistics()) for split in SPLITS
        }
        counts: dict[str, tuple[int, Sequence[int], int]] = {
            split: (statistics.histogram[0], statistics.histogram[1:-1], statistics.histogram[-1])
            for split, statistics in splits.items()
            if statistics.histogram
        }
        uses = {split: sources_of(item, (receipts[case] for case in written_in(account, split))) for split in SPLITS}
        result.append(
            Signal(
                item=item,
                splits=splits,
                chart=histogram_chart(counts, item.range),
                distances={split: distance(splits["train"], splits[split]) for split in SPLITS[1:]},
                slow={
                    source.name: {split: uses[split][place].seconds for split in SPLITS}
                    for place, source in enumerate(item.sources)
                    if source.stale_after > SLOW and len(item.sources) > 1
                },
                quantiles={
                    split: [quantile(statistics, item.range, share) for share in QUANTILES]
                    for split, statistics in splits.items()
                },
            )
        )
    return result


def rejected_sources(plan: Plan, account: Account) -> list[RejectedSource]:
    """Return what was rejected of each recorded source, in the registry's order."""
    return [
        RejectedSource(item, source, account.rejections[item.name][source.name])
        for item in plan.config.inputs
        for source in item.sources
        if source.name in account.rejections.get(item.name, {})
    ]
