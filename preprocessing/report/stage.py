"""The report of a data set and of a single case: gathered from storage, drawn, returned as the bytes of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import preprocessing
from preprocessing.config import Input
from preprocessing.errors import RefusedError, UsageError
from preprocessing.layout import SPLITS, output_of_dataset
from preprocessing.plan.identity import BUILD_VERSION, HARMONIZE_VERSION
from preprocessing.plan.parent import plan_of_dataset
from preprocessing.plan.plan import Plan
from preprocessing.publish.accounting import Account, account
from preprocessing.records.statistics import FeatureStatistics, OriginCounts
from preprocessing.records.write_file import BuildCase, load_samples
from preprocessing.report.account_of_cases import case_lines, funnel, reasons_of
from preprocessing.report.charts import HistogramChart, histogram_chart
from preprocessing.report.demographics import Demographic, demographics_of
from preprocessing.report.examples import CaseDrawing, Example, chosen_examples, drawing_of
from preprocessing.report.page import rendered
from preprocessing.report.signals import conflicts_of, distance, gaps_of, implausible_of, sources_of, timings_of
from preprocessing.report.thresholds import Thresholds
from preprocessing.report.warnings import DataWarning
from preprocessing.storage import Storage

__all__ = ["Stored", "case_html", "report_html", "stored_dataset"]

MOST_LINES = 5000  # of cases.csv, excluded cases first: a page of a million lines opens nowhere


@dataclass(frozen=True)
class Stored:
    """A data set as its stages left it."""

    plan: Plan
    account: Account
    output: Storage


@dataclass(frozen=True)
class Signal:
    """One input in all splits: counts, chart and distances of validation and test from train."""

    item: Input
    splits: Mapping[str, FeatureStatistics]
    chart: HistogramChart | None
    distances: Mapping[str, float | None]
    targets: Mapping[str, OriginCounts]


def stored_dataset(dataset_uri: str) -> Stored:
    """Find what a data set was made of.

    Raises
    ------
    RefusedError
        If its plan or the summary of a split is no longer there.
    """
    output_uri, dataset_id = output_of_dataset(dataset_uri)
    output = Storage(output_uri)
    plan = plan_of_dataset(output, dataset_id)
    if plan is None:
        raise RefusedError(
            f"The report of {dataset_uri} cannot be drawn: it has no accounting or no plan below "
            f"{output.uri_of('runs')}.",
            mend="run `vitalprep publish` first, or put the folder runs/ of its making back.",
        )
    found = account(plan, output)
    if found.accounting.unbuilt:
        raise RefusedError(
            f"The report of {dataset_uri} cannot be drawn: {' and '.join(found.accounting.unbuilt)} is not built.",
            mend="run `vitalprep build` for it, then publish.",
        )
    return Stored(plan, found, output)


def report_html(stored: Stored, warnings: Sequence[DataWarning]) -> bytes:
    """Return the report of a data set as one page.

    It depends on what lies in the output alone. Of that, only the timings differ between two runs of one data set.
    """
    plan, found = stored.plan, stored.account
    examples = chosen_examples(plan, found)
    lines, unlisted = case_lines(plan, found, {example.case_id for example in examples}, most=MOST_LINES)
    receipts = {case: receipt for case, receipt in found.receipts.items() if receipt.status == "ok"}
    demographics = demographics_of(plan, found.outcomes)
    return rendered(
        "report.html.j2",
        plan=plan,
        config=plan.config,
        splits=SPLITS,
        accounting=found.accounting,
        summaries=found.summaries,
        subjects=_subjects(stored),
        seconds={split: _seconds(stored, split) for split in SPLITS},
        funnel=funnel(found.accounting.requested, found.accounting.excluded),
        warnings=warnings,
        limits=Thresholds(),
        demographics=[(item, _demographic_chart(item)) for item in demographics],
        signals=_signals(stored),
        gaps=[
            (item, gaps_of(item.name, receipts), implausible_of(item.name, receipts.values()))
            for item in plan.config.inputs
        ],
        sources=[(item, sources_of(item, receipts.values())) for item in plan.config.inputs],
        harmonized=len(receipts),
        conflicts=conflicts_of(receipts),
        drawings=[_drawing(stored, example) for example in examples],
        lines=lines,
        unlisted=unlisted,
        reasons=reasons_of(lines),
        timings=timings_of(found.receipts),
        versions={"vitalprep": preprocessing.__version__, "harmonize": HARMONIZE_VERSION, "build": BUILD_VERSION},
    )


def case_html(stored: Stored, case_id: int) -> bytes:
    """Return the page of one case.

    Raises
    ------
    UsageError
        If the data set has no such case.
    """
    plan, found = stored.plan, stored.account
    if case_id not in plan.requested:
        raise UsageError(
            f"Case {case_id} is not in data set {plan.dataset_id}.", mend="name one of those in its cases.csv."
        )
    lines, _ = case_lines(plan, found, set(), most=len(plan.requested))
    line = next(line for line in lines if line.case_id == case_id)
    receipt = found.receipts.get(case_id)
    drawn = receipt is not None and receipt.status == "ok"
    return rendered(
        "case.html.j2",
        plan=plan,
        config=plan.config,
        line=line,
        case=plan.by_id.get(case_id),
        receipt=receipt,
        drawing=_drawing(stored, Example(case_id, f"case of {line.split}")) if drawn else None,
    )


def _drawing(stored: Stored, example: Example) -> CaseDrawing:
    """Read a case's table and draw it; nothing on the page tells its subject."""
    plan, case = stored.plan, stored.plan.by_id[example.case_id]
    built = BuildCase(
        case_id=case.case_id,
        subject_id=0,
        parquet=f"{plan.stem(case.case_id)}.parquet",
        parquet_sha256=stored.account.receipts[case.case_id].parquet_sha256 or "",
        static=case.static,
        static_origin=case.static_origin,
    )
    return drawing_of(case, load_samples(stored.output, built, plan.config), plan.config, why=example.why)


def _signals(stored: Stored) -> list[Signal]:
    summaries = stored.account.summaries
    target_of = {target.input: target.name for target in stored.plan.config.targets}
    result = []
    for item in stored.plan.config.inputs:
        splits: dict[str, FeatureStatistics] = {
            split: summaries[split].statistics.get(item.name, FeatureStatistics()) for split in SPLITS
        }
        counts: dict[str, tuple[int, Sequence[int], int]] = {
            split: (statistics.histogram[0], statistics.histogram[1:-1], statistics.histogram[-1])
            for split, statistics in splits.items()
            if statistics.histogram
        }
        target = target_of.get(item.name, "")
        result.append(
            Signal(
                item=item,
                splits=splits,
                chart=histogram_chart(counts, item.range),
                distances={split: distance(splits["train"], splits[split]) for split in SPLITS[1:]},
                targets={
                    split: summaries[split].targets[target] for split in SPLITS if target in summaries[split].targets
                },
            )
        )
    return result


def _demographic_chart(item: Demographic) -> HistogramChart | None:
    low, high = item.static.range
    classes = item.static.name == "asa"
    if classes:
        low, high = low - 0.5, high + 0.5
    found = item.splits.items()
    return histogram_chart(
        {split: (own.below, own.counts, own.above) for split, own in found}, (low, high), ends=not classes
    )


def _subjects(stored: Stored) -> dict[str, int]:
    return {
        split: len({stored.plan.by_id[case.case_id].subject_id for case in summary.cases if case.windows})
        for split, summary in stored.account.summaries.items()
    }


def _seconds(stored: Stored, split: str) -> dict[str, Any]:
    written = [case for name, item in stored.account.summaries.items() if name == split for case in item.cases]
    written = [case for case in written if case.windows]
    return {"cases": len(written), "seconds": sum(case.seconds or 0 for case in written)}
