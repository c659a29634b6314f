"""The checks of a data set. They use records, plan and receipts, and compare them with what the stages reported."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.accounting import Accounting, plan_of_dataset
from vitalprep.contract.build_summary import BuildSummary, listing_problem
from vitalprep.contract.identity import identity_of, recorded_subject, salt_of
from vitalprep.contract.paths import SplitName, harmonized_folder, receipt_path, table_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.receipt import Receipt, receipts_of
from vitalprep.contract.splits import assign_splits
from vitalprep.contract.verdict import Check
from vitalprep.features.windows import window_starts
from vitalprep.storage import Storage
from vitalprep.validate.descriptions import content_problems, description_problems
from vitalprep.validate.file import FileFindings

__all__ = [
    "Checks",
]

MOST_PLACES = 3


class Checks:
    """All checks of a data set. Each returns the places where it fails.

    Attributes
    ----------
    content_id : str or None
        The content id that the metadata state.
    """

    def __init__(
        self,
        plan: Plan,
        output: Storage,
        summaries: Mapping[SplitName, BuildSummary],
        findings: Mapping[SplitName, list[FileFindings]],
        accounting: Accounting,
    ) -> None:
        self.plan = plan
        self.output = output
        self.summaries = summaries
        self.accounting = accounting
        self.found = [problem for files in findings.values() for item in files for problem in item.problems]
        named = [
            (file.name, item)
            for split in findings
            for file, item in zip(summaries[split].files, findings[split], strict=True)
        ]
        digests = {name: item.sha256 for name, item in named}
        self._content, self.content_id = content_problems(output, plan.dataset_id, digests)
        empty = np.empty((0, 3), dtype=np.int64)
        self.windows: dict[str, NDArray[np.int64]] = {
            split: np.concatenate([empty, *(item.windows for item in files)]) for split, files in findings.items()
        }
        self.every = np.concatenate(list(self.windows.values()))

    def all(self) -> tuple[Check, ...]:
        """Return the outcome of each check."""
        total = len(self.every)
        listing = listing_problem(self.output, self.plan.dataset_id, self.summaries)
        descriptions, described = description_problems(self.output, self.plan.dataset_id, self.summaries.values())
        files = sum(len(summary.files) for summary in self.summaries.values())
        return (
            _check("identity", self._identity(), f"the plan's content gives the id {self.plan.dataset_id}"),
            _check(
                "files", ([listing] if listing else []) + self._problems("files"), f"{files} files as they were built"
            ),
            _check("records", self._problems("records"), f"{total} records with both checksums, all keys and shapes"),
            _check("values", self._problems("values"), "all values finite and in [-1, 1], all origins consistent"),
            _check("windows", self._twice(), "no window is there twice"),
            _check("subjects", self._subjects(), "no subject is in two splits"),
            _check("cases", self._cases(), "every record stands in its case's split under its case's subject"),
            _check("splits", self._splits(), self._splits_proved()),
            _check("counts", self._problems("counts") + self._counts(), f"{total} windows, as each case's length asks"),
            _check("accounting", self._accounting(), f"{self.accounting.requested} cases requested, all accounted for"),
            _check("lineage", self._lineage(), "every case has its receipt, table and input object"),
            _check("descriptions", descriptions + self._content, described),
        )

    def _problems(self, name: str) -> list[str]:
        return [place for check, place in self.found if check == name]

    def _identity(self) -> list[str]:
        plan = self.plan
        identity = identity_of(plan, append_parent=plan.parent)
        return [] if identity == plan.dataset_id else [f"the plan's content gives the id {identity}"]

    def _twice(self) -> list[str]:
        pairs, counts = np.unique(self.every[:, :2], axis=0, return_counts=True)
        return [
            f"the window of case {case} at second {start} occurs {count} times"
            for (case, start), count in zip(pairs[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True)
        ]

    def _subjects(self) -> list[str]:
        split_of: dict[int, str] = {}
        problems = []
        for split, windows in self.windows.items():
            for subject in np.unique(windows[:, 2]).tolist():
                if split_of.setdefault(subject, split) != split:
                    problems.append(f"subject {subject} is in {split_of[subject]} and in {split}")
        return problems

    def _cases(self) -> list[str]:
        salt = salt_of(self.plan)
        problems = []
        for split, windows in self.windows.items():
            for case_id, subject in np.unique(windows[:, [0, 2]], axis=0).tolist():
                case = self.plan.by_id.get(case_id)
                if case is None:
                    problems.append(f"case {case_id} in {split} is not in the plan")
                elif case.split != split or recorded_subject(case.subject_id, salt) != subject:
                    problems.append(
                        f"case {case_id} is in {split} with subject {subject}, but is planned for {case.split}"
                    )
        return problems

    def _splits(self) -> list[str]:
        """Compare the plan's splits with the split rule, and, if appended, the records with the parent's splits."""
        plan = self.plan
        subject_of_case = {case.case_id: case.subject_id for case in plan.cases}
        earlier = plan.append.split_of_subject if plan.append else None
        ruled = assign_splits(subject_of_case, plan.config.split, earlier)
        problems = [
            f"case {case.case_id} is planned for {case.split}, but the split rule gives {ruled[case.subject_id]}"
            for case in plan.cases
            if case.split != ruled[case.subject_id]
        ]
        salt = salt_of(plan)
        kept = {recorded_subject(subject, salt): split for subject, split in self._earlier.items()}
        for split, windows in self.windows.items():
            for subject in np.unique(windows[:, 2]).tolist():
                if kept.get(subject, split) != split:
                    problems.append(f"subject {subject} is in {split} and was in {kept[subject]}")
        return problems

    def _splits_proved(self) -> str:
        if self.plan.append is None:
            return "every subject is in the split that seed and shares give it"
        source = (
            f"the plan of {self.plan.parent} has it"
            if self._parent
            else f"this plan recorded it; the plan of {self.plan.parent} is no longer there to compare with"
        )
        return f"each of {len(self._earlier)} earlier subjects is in the split that it had, as {source}"

    @cached_property
    def _parent(self) -> Plan | None:
        return plan_of_dataset(self.output, self.plan.parent) if self.plan.parent else None

    @cached_property
    def _earlier(self) -> dict[int, SplitName]:
        """The split of every earlier subject, from the parent's plan or, if that is missing, from this plan."""
        if self.plan.append is None:
            return {}
        return self._parent.split_of_subject if self._parent else self.plan.append.split_of_subject

    def _counts(self) -> list[str]:
        """Compare each case's windows with the length of its table."""
        problems = []
        for split, summary in self.summaries.items():
            windows = self.windows[split]
            for outcome in summary.cases:
                found = np.sort(windows[windows[:, 0] == outcome.case_id, 1])
                possible = window_starts(outcome.seconds or 0, self.plan.config.windowing)
                if len(found) != outcome.windows or len(found) + outcome.dropped != len(possible):
                    problems.append(
                        f"case {outcome.case_id} has {len(found)} windows and {outcome.dropped} dropped, "
                        f"{len(possible)} are possible"
                    )
                elif not np.isin(found, possible).all():
                    problems.append(f"case {outcome.case_id} has a window that starts between two steps")
        return problems

    def _accounting(self) -> list[str]:
        written = len(np.unique(self.every[:, 0]))
        problems = []
        if not self.accounting.adds_up:
            problems.append(f"cases {list(self.accounting.unfinished)} are neither written nor excluded")
        if written != self.accounting.written:
            problems.append(f"{written} cases have records, but the accounting counts {self.accounting.written}")
        return problems

    def _lineage(self) -> list[str]:
        there = {stored.path for stored in self.output.list(harmonized_folder(self.plan.harmonize_digest))}
        finished = [case for case in self.plan.cases if receipt_path(self.plan.stem(case.case_id)) in there]
        receipts = receipts_of(self.plan, self.output, finished, quality=False)
        seconds = {case.case_id: case.seconds for summary in self.summaries.values() for case in summary.cases}
        problems = []
        for case_id in np.unique(self.every[:, 0]).tolist():
            if case_id in receipts:
                problems += self._lineage_of(case_id, receipts[case_id], seconds.get(case_id), there)
            else:
                problems.append(f"case {case_id} has records but no receipt")
        return problems

    def _lineage_of(self, case_id: int, receipt: Receipt, seconds: int | None, there: set[str]) -> list[str]:
        case = self.plan.by_id[case_id]
        problems = []
        if receipt.status != "ok" or receipt.seconds != seconds:
            problems.append(f"the receipt of case {case_id} does not agree with its build")
        if receipt.input.etag != case.etag or receipt.input.size != case.size or receipt.input_id != case.input_id:
            problems.append(f"the receipt of case {case_id} names another input object than the plan")
        if receipt.harmonize_digest != self.plan.harmonize_digest or receipt.case_id != case_id:
            problems.append(f"the receipt of case {case_id} belongs to another case or configuration")
        if table_path(self.plan.stem(case_id)) not in there:
            problems.append(f"the table of case {case_id} is missing")
        return problems


def _check(name: str, places: list[str], proved: str) -> Check:
    if not places:
        return Check(name=name, passed=True, detail=proved)
    more = f" (and {len(places) - MOST_PLACES} more)" if len(places) > MOST_PLACES else ""
    return Check(name=name, passed=False, detail="; ".join(places[:MOST_PLACES]) + more)
