"""Reports of a data set and of a single case: reads what the stages stored, and returns a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from vitalprep.contract.accounting import Account, account, plan_of_dataset
from vitalprep.contract.build_summary import CaseCoverage
from vitalprep.contract.config import Input
from vitalprep.contract.identity import BUILD_VERSION, HARMONIZE_VERSION
from vitalprep.contract.judgement import objection_to
from vitalprep.contract.measured import gaps_in_words, measured_of, standing_of
from vitalprep.contract.metadata import read_metadata
from vitalprep.contract.paths import SPLITS, output_of_dataset
from vitalprep.contract.plan import Plan
from vitalprep.contract.reasons import REASONS
from vitalprep.contract.receipt import read_receipt
from vitalprep.contract.table import read_table
from vitalprep.contract.warning import DataWarning, Level
from vitalprep.features.samples import samples_of
from vitalprep.report.account_of_cases import case_lines, funnel, reasons_of
from vitalprep.report.charts import HistogramChart, histogram_chart
from vitalprep.report.demographics import Demographic, demographics_of
from vitalprep.report.examples import CaseDrawing, Example, chosen_examples, drawing_of
from vitalprep.report.headings import headings
from vitalprep.report.inputs import rejected_sources, signals_of, sources_by_split, written_in
from vitalprep.report.page import rendered
from vitalprep.report.person import person_of
from vitalprep.report.signals import conflicts_of, gaps_of, implausible_of, mismatches_of, timings_of
from vitalprep.report.thresholds import Thresholds
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.runtime.version import __version__
from vitalprep.storage import Storage

__all__ = ["Stored", "case_html", "report_html", "stored_dataset"]

MOST_LINES = 5000  # of cases.csv, excluded cases first: a page of a million lines opens nowhere


@dataclass(frozen=True)
class Stored:
    """A data set as stored by the stages. `content_id` is None if it is not published or its metadata have none."""

    plan: Plan
    account: Account
    output: Storage
    content_id: str | None = None


def stored_dataset(dataset_uri: str) -> Stored:
    """Read the plan and the account of a data set.

    Raises
    ------
    RefusedError
        If its plan or a split's build summary is missing.
    """
    output_uri, dataset_id = output_of_dataset(dataset_uri)
    output = Storage(output_uri)
    plan = plan_of_dataset(output, dataset_id)
    if plan is None:
        raise RefusedError(
            f"The report of {dataset_uri} cannot be drawn: its accounting or plan is missing below "
            f"{output.uri_of('runs')}.",
            fix="run `vitalprep publish` first, or restore the output's folder runs/.",
        )
    found = account(plan, output)
    if found.accounting.unbuilt:
        raise RefusedError(
            f"The report of {dataset_uri} cannot be drawn: {' and '.join(found.accounting.unbuilt)} is not built.",
            fix="run `vitalprep build` for it, then publish.",
        )
    metadata = read_metadata(output, dataset_id)
    return Stored(plan, found, output, metadata.content_id if metadata else None)


def report_html(stored: Stored, warnings: Sequence[DataWarning]) -> bytes:
    """Return the report of a data set as one page.

    It depends only on the files in the output. Of its numbers, only the timings differ between two runs.
    """
    plan, found = stored.plan, stored.account
    examples = chosen_examples(plan, found)
    lines, unlisted = case_lines(plan, found, {example.case_id for example in examples}, most=MOST_LINES)
    written = {case: found.receipts[case] for split in SPLITS for case in written_in(found, split)}
    demographics = demographics_of(plan, found.outcomes)
    return rendered(
        "report.html.j2",
        plan=plan,
        config=plan.config,
        content_id=stored.content_id,
        splits=SPLITS,
        accounting=found.accounting,
        summaries=found.summaries,
        subjects=_subjects(stored),
        shared=_shared_subjects(plan),
        objection=objection_to(plan, found.accounting),
        settled=plan.settled_provenance,
        seconds={split: _seconds(stored, split) for split in SPLITS},
        funnel=funnel(found.accounting.requested, found.accounting.excluded),
        warnings=warnings,
        measured=measured_of(plan.config, found.summaries.values()),
        measured_in={split: measured_of(plan.config, [summary]) for split, summary in found.summaries.items()},
        standing=standing_of(plan.config),
        gaps_in_words=gaps_in_words(plan.config),
        limits=Thresholds(),
        headings={level: headings(level, Thresholds()) for level in get_args(Level)},
        demographics=[(item, _demographic_chart(item)) for item in demographics],
        signals=signals_of(plan, found),
        gaps=[
            (item, gaps_of(_coverage(stored, item)), implausible_of(item.name, written.values()))
            for item in plan.config.inputs
        ],
        rejected=rejected_sources(plan, found),
        sources=[sources_by_split(found, item) for item in plan.config.inputs],
        conflicts=conflicts_of(found.receipts),
        mismatches=mismatches_of(found.receipts),
        person_of=person_of,
        words_of=REASONS,
        drawings=[_drawing(stored, example) for example in examples],
        lines=lines,
        unlisted=unlisted,
        reasons=reasons_of(lines),
        timings=timings_of(found.receipts),
        versions={"vitalprep": __version__, "harmonize": HARMONIZE_VERSION, "build": BUILD_VERSION},
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
            f"Case {case_id} is not in data set {plan.dataset_id}.", fix="give a case that its cases.csv lists."
        )
    lines, _ = case_lines(plan, found, set(), most=len(plan.requested))
    line = next(line for line in lines if line.case_id == case_id)
    receipt = read_receipt(plan, stored.output, case_id) if case_id in found.receipts else None
    drawn = receipt is not None and receipt.status == "ok"
    return rendered(
        "case.html.j2",
        plan=plan,
        config=plan.config,
        line=line,
        case=plan.by_id.get(case_id),
        receipt=receipt,
        person_of=person_of,
        words_of=REASONS,
        settled=plan.settled_provenance,
        objection=objection_to(plan, found.accounting),
        drawing=_drawing(stored, Example(case_id, f"case of {line.split}")) if drawn else None,
    )


def _drawing(stored: Stored, example: Example) -> CaseDrawing:
    """Read a case's table and draw it. The page does not identify the subject."""
    plan, case = stored.plan, stored.plan.by_id[example.case_id]
    receipt = read_receipt(plan, stored.output, case.case_id)
    names = [item.name for item in plan.config.inputs]
    table = read_table(stored.output, receipt.table(plan.stem(case.case_id)), names)
    samples = samples_of(table, case.static, case.static_origin, plan.config)
    return drawing_of(case, samples, plan.config, why=example.why)


def _coverage(stored: Stored, item: Input) -> dict[int, CaseCoverage]:
    parts = (summary.coverage.get(item.name, {}) for summary in stored.account.summaries.values())
    return {case: found for part in parts for case, found in part.items()}


def _demographic_chart(item: Demographic) -> HistogramChart | None:
    low, high = item.static.range
    classes = item.static.measure == "asa"
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


def _shared_subjects(plan: Plan) -> int:
    """Return how many subjects have cases in more than one split."""
    splits: dict[int, set[str]] = {}
    for case in plan.cases:
        splits.setdefault(case.subject_id, set()).add(case.split)
    return sum(len(own) > 1 for own in splits.values())


def _seconds(stored: Stored, split: str) -> dict[str, int]:
    outcomes = [stored.account.outcomes[case] for case in written_in(stored.account, split)]
    return {"cases": len(outcomes), "seconds": sum(case.seconds or 0 for case in outcomes)}
