"""The checks of a data set. They use records, tables, plan and receipts, and compare them with what was reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.accounting import Accounting, plan_of_dataset
from vitalprep.contract.build_summary import BuildSummary, listing_problem
from vitalprep.contract.identity import harmonize_digest, identity_of, input_id, recorded_subject, salt_of
from vitalprep.contract.paths import SplitName
from vitalprep.contract.plan import Plan
from vitalprep.contract.splits import assign_splits, kept_splits
from vitalprep.contract.verdict import Check
from vitalprep.features.windows import window_starts
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage
from vitalprep.validate.descriptions import content_problems, description_problems
from vitalprep.validate.proof import SplitProof

__all__ = [
    "Checks",
]

MOST_PLACES = 3
CLOSE = 1e-9  # relative; sums of another NumPy may differ in their last digits


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
        accounting: Accounting,
        stored: Accounting,
        proofs: Mapping[SplitName, SplitProof],
    ) -> None:
        self.plan = plan
        self.output = output
        self.accounting = accounting
        self.stored = stored
        self.proofs = proofs
        self.summaries = {split: proof.summary for split, proof in proofs.items()}
        self.found = [problem for proof in proofs.values() for problem in proof.problems]
        digests = {
            file.name: found.sha256
            for proof in proofs.values()
            for file, found in zip(proof.summary.files, proof.files, strict=True)
        }
        self._content, self.content_id = content_problems(output, plan.dataset_id, digests)
        self.windows: dict[str, NDArray[np.int64]] = {split: proof.windows for split, proof in proofs.items()}
        self.every = np.concatenate(list(self.windows.values()))

    def all(self) -> tuple[Check, ...]:
        """Return the outcome of each check."""
        total, tables = len(self.every), sum(proof.tables for proof in self.proofs.values())
        listing = listing_problem(self.output, self.plan.dataset_id, self.summaries)
        descriptions, described = description_problems(self.output, self.plan.dataset_id, self.summaries.values())
        files = sum(len(summary.files) for summary in self.summaries.values())
        return (
            _check("identity", self._identity(), f"the plan's content gives the id {self.plan.dataset_id}"),
            _check(
                "lineage",
                self._problems("lineage") + self._lineage(),
                f"{len(self.plan.cases)} receipts name the recordings of the plan (size, etag), harmonized under its "
                "configuration; input ids and digests computed anew",
            ),
            _check("tables", self._problems("tables"), f"{tables} tables hold the values that their receipts state"),
            _check(
                "files", ([listing] if listing else []) + self._problems("files"), f"{files} files as they were built"
            ),
            _check("records", self._problems("records"), f"{total} records with both checksums, all keys and shapes"),
            _check("values", self._problems("values"), "all values finite and in [-1, 1], all origins consistent"),
            _check(
                "recomputed",
                self._problems("recomputed"),
                f"{total} records are byte for byte what tables, clinical rows and configuration give",
            ),
            *self._causal(),
            _check("windows", self._twice(), "no window is there twice"),
            _check("subjects", self._subjects(), "no subject is in two splits"),
            _check("cases", self._cases(), "every record stands in its case's split under its case's subject"),
            _check("splits", self._splits(), self._splits_proved()),
            _check("counts", self._problems("counts") + self._counts(), f"{total} windows, as each case's length asks"),
            _check(
                "summaries",
                self._problems("summaries") + self._summaries(),
                f"{len(self.summaries)} build summaries as the tables give them",
            ),
            _check("accounting", self._accounting(), f"{self.accounting.requested} cases requested, all accounted for"),
            _check("descriptions", descriptions + self._content, described),
        )

    def _causal(self) -> list[Check]:
        if not self.plan.config.imputation.causal:
            return []
        replayed = sum(file.replayed for proof in self.proofs.values() for file in proof.files)
        proved = f"{replayed} drawn windows are the same if their recording ends with their target"
        return [_check("causal", self._problems("causal"), proved)]

    def _problems(self, name: str) -> list[str]:
        return [place for check, place in self.found if check == name]

    def _summaries(self) -> list[str]:
        problems = []
        for split, proof in self.proofs.items():
            wanted = proof.recomputed
            if wanted is None:  # a check above says why
                continue
            for key in ("statistics", "targets", "coverage", "sketches", "without_vital"):
                if not _agrees(wanted, proof.summary, key):
                    problems.append(f"{key} of build-{split}.json are not what the tables give")
        return problems

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
        try:
            earlier = kept_splits(plan.append, subject_of_case) if plan.append else None
        except RefusedError as error:
            return [error.message.rstrip(".")]
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
                if len(found) != outcome.windows or len(found) + outcome.left_out != len(possible):
                    problems.append(
                        f"case {outcome.case_id} has {len(found)} windows, {outcome.unobserved} unobserved and "
                        f"{outcome.dropped} dropped, {len(possible)} are possible"
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
        names = set(Accounting.model_fields) - {"stage_seconds"}  # run times, which no document repeats
        other = [name for name in sorted(names) if getattr(self.stored, name) != getattr(self.accounting, name)]
        if other:
            problems.append(f"accounting.json has another {', '.join(other)} than receipts and summaries give")
        return problems

    def _lineage(self) -> list[str]:
        """Compute anew what receipts are found by. `read_receipt` has held each receipt against its case."""
        plan = self.plan
        problems = []
        if harmonize_digest(plan.config) != plan.harmonize_digest:
            problems.append(f"the plan's configuration does not give the harmonize digest {plan.harmonize_digest}")
        for case in plan.cases:
            body = case.settled_body(plan.config)
            if input_id(case.stamp, body, case.cells) != case.input_id:
                problems.append(f"recording and clinical row of case {case.case_id} do not give its input id")
        return problems


def _agrees(now: BuildSummary, stored: BuildSummary, key: str) -> bool:
    """Compare one part of two summaries. Coverage is compared input by input: as plain JSON all of it is large."""
    if key == "coverage":
        return stored.coverage.keys() <= now.coverage.keys() and all(
            _alike(_known(dict(now.coverage[name].items()), old), old)
            for name, old in ((name, dict(found.items())) for name, found in stored.coverage.items())
        )
    new, old = (one.model_dump(mode="json", include={key}).get(key) for one in (now, stored))
    return old is None or old == {} or _alike(_known(new, old), old)


def _known(now: Any, stored: Any) -> Any:
    """Return what is stored of the present content: summaries of earlier versions lack some of it."""
    if isinstance(now, dict) and isinstance(stored, dict) and stored.keys() <= now.keys():
        return {key: _known(now[key], stored[key]) for key in stored}
    return now


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_alike(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_alike, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(left == right)


def _check(name: str, places: list[str], proved: str) -> Check:
    if not places:
        return Check(name=name, passed=True, detail=proved)
    more = f" (and {len(places) - MOST_PLACES} more)" if len(places) > MOST_PLACES else ""
    return Check(name=name, passed=False, detail="; ".join(places[:MOST_PLACES]) + more)
