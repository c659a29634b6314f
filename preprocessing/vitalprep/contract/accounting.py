"""The accounting: every requested case ends in written windows or exactly one reason, or the run is unfinished."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, get_args

from pydantic import Field

from vitalprep.contract.build_summary import BuildSummary, CaseOutcome, is_summary_of, read_build_summary
from vitalprep.contract.document import Document
from vitalprep.contract.finished import FinishedCase
from vitalprep.contract.paths import SPLITS, Digest, PlanPath, SplitName, accounting_path
from vitalprep.contract.plan import Plan, read_plan
from vitalprep.contract.profiles import profiles_of
from vitalprep.contract.receipt import each_receipt, finished_cases
from vitalprep.contract.rejections import Rejections, SourceRejections, add_rejections
from vitalprep.runtime.errors import ReasonCode, RefusedError
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["UNREADABLE", "Account", "Accounting", "account", "plan_of_dataset", "store_accounting"]

_Reason = Annotated[str, Field(pattern=f"^({'|'.join(get_args(ReasonCode))})$")]

UNREADABLE = ("not_vital", "truncated", "corrupt", "too_large", "too_long", "clock_set_back", "unit_mismatch")


class Accounting(Document):
    """The numbers of a run.

    `unfinished` cases have no receipt yet; `unbuilt` splits have no files. `salvaged` counts written cases from
    unfinished files. `windows_unobserved` and `windows_dropped` are the windows of each built split that were left out
    (`CaseOutcome`); accountings of vitalprep 0.1.0 have neither.
    """

    dataset_id: Digest
    plan: PlanPath
    requested: int
    present: int
    written: int
    excluded: dict[_Reason, int]
    unfinished: tuple[int, ...]
    unbuilt: tuple[SplitName, ...]
    windows: dict[SplitName, int]
    windows_unobserved: dict[SplitName, int] = Field(default_factory=dict, exclude_if=lambda counts: not counts)
    windows_dropped: dict[SplitName, int] = Field(default_factory=dict, exclude_if=lambda counts: not counts)
    success_rate: float
    salvaged: int = Field(default=0, exclude_if=lambda count: not count)
    stage_seconds: dict[str, float]

    @property
    def adds_up(self) -> bool:
        """Whether requested = written + excluded, with no unfinished case."""
        return not self.unfinished and self.requested == self.written + sum(self.excluded.values())


class Account(NamedTuple):
    """A plan's accounting with its sources: the outcome of each planned case, the build summaries and the receipts.

    Of the receipts it has what the report shows, so that those of many thousand cases fit into memory; `rejections` is
    what was rejected of each source, by input and track, over the written cases. `unnamed` are the cases that have each
    track which a packaged profile lists for an input of the configuration, but the configuration does not name.
    """

    accounting: Accounting
    outcomes: dict[int, CaseOutcome]
    summaries: Mapping[SplitName, BuildSummary]
    receipts: Mapping[int, FinishedCase]
    rejections: Mapping[str, Mapping[str, SourceRejections]] = {}
    unnamed: Mapping[str, Sequence[int]] = {}


def account(plan: Plan, output: Storage) -> Account:
    """Compute the account of a plan from its stored receipts and build summaries.

    A split whose summary is another split's, another data set's or lacks a case is not built.
    """
    path = plan.path
    plan.forget_json()  # which the path was computed from
    read = {split: read_build_summary(output, plan.dataset_id, split) for split in SPLITS}
    summaries = {
        split: summary for split, summary in read.items() if summary is not None and is_summary_of(summary, plan, split)
    }
    outcomes = {case.case_id: case for summary in summaries.values() for case in summary.cases}
    finished = finished_cases(plan, output)
    there = [case.case_id for case in plan.cases if case.case_id in finished]
    receipts: dict[int, FinishedCase] = {}
    rejections: Rejections = {}
    unnamed: dict[str, array[int]] = {}
    inputs = {item.name for item in plan.config.inputs}
    for case_id, whole in each_receipt(plan, output, there):
        receipts[case_id] = FinishedCase.of(whole)
        if case_id in outcomes and outcomes[case_id].windows:
            add_rejections(rejections, whole)
        listed = profiles_of((unused.track for unused in whole.unused), inputs)
        for track in {track for pairs in listed.values() for _, track in pairs}:
            unnamed.setdefault(track, array("q")).append(case_id)
    for case, receipt in receipts.items():
        if case not in outcomes and receipt.reason is not None:
            outcomes[case] = CaseOutcome(case_id=case, reason=receipt.reason)
    excluded = Counter(str(case.reason) for case in plan.excluded)
    excluded.update(str(outcome.reason) for outcome in outcomes.values() if outcome.reason is not None)
    requested = len(plan.cases) + len(plan.excluded)
    present = requested - excluded["raw_object_missing"]
    seconds: Counter[str] = Counter()
    for receipt in receipts.values():
        seconds.update(receipt.timings)
    accounting = Accounting(
        dataset_id=plan.dataset_id,
        plan=path,
        requested=requested,
        present=present,
        written=sum(1 for outcome in outcomes.values() if outcome.windows),
        excluded=dict(sorted((+excluded).items())),
        unfinished=tuple(case.case_id for case in plan.cases if case.case_id not in receipts),
        unbuilt=tuple(split for split in SPLITS if split not in summaries),
        windows={split: summary.windows for split, summary in summaries.items()},
        windows_unobserved={split: summary.unobserved for split, summary in summaries.items()},
        windows_dropped={split: summary.dropped for split, summary in summaries.items()},
        salvaged=sum(1 for case, receipt in receipts.items() if receipt.salvaged and _is_written(outcomes.get(case))),
        success_rate=1 - sum(excluded[reason] for reason in UNREADABLE) / present if present else 0.0,
        stage_seconds={name: round(value, 3) for name, value in sorted(seconds.items())},
    )
    return Account(accounting, outcomes, summaries, receipts, rejections, unnamed)


def _is_written(outcome: CaseOutcome | None) -> bool:
    return outcome is not None and outcome.windows > 0


def store_accounting(accounting: Accounting, output: Storage) -> None:
    """Write the accounting, the only document of a run that later runs replace."""
    output.put(accounting_path(accounting.dataset_id), accounting.to_bytes())


def plan_of_dataset(output: Storage, dataset_id: str) -> Plan | None:
    """Return the plan named in a data set's accounting, or None if accounting or plan no longer exist.

    Raises
    ------
    RefusedError
        If that plan belongs to another data set.
    """
    path = accounting_path(dataset_id)
    accounting = Accounting.from_storage(output, path)
    if accounting is None:
        return None
    try:
        plan = read_plan(output, accounting.plan)
    except ObjectMissing:
        return None
    if plan.dataset_id != dataset_id:
        raise RefusedError(
            f"{output.uri_of(accounting.plan)} is the plan of {plan.dataset_id}, not of {dataset_id}.",
            fix="restore the original documents of this data set below runs/.",
        )
    return plan
