"""Assigns subjects to train, validation and test. All cases of a subject are in the same split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

from vitalprep.contract.config import Split
from vitalprep.contract.paths import SPLITS, SplitName
from vitalprep.contract.plan import Append
from vitalprep.runtime.errors import RefusedError

__all__ = ["assign_splits", "kept_splits", "refuse_empty_splits"]

MOST_NAMED = 5


def assign_splits(
    subject_of_case: Mapping[int, int], split: Split, earlier: Mapping[int, SplitName] | None = None
) -> dict[int, SplitName]:
    """Return the split of every subject.

    Subjects are visited in the order of ``sha256("<seed>:<subject_id>")``, with a running count of their cases: train
    while the count is below the train share of all cases, then validation, then test. Shares therefore apply to cases,
    up to one subject.

    In an appended data set, earlier subjects keep their split, however many cases they add. New subjects, in the same
    order, go to train while train holds less than its share of all cases, otherwise to validation under the same
    condition, otherwise to test.

    Parameters
    ----------
    subject_of_case : mapping of int to int
        The subject of every case with a recording and a clinical row.
    split : Split
        Seed and shares.
    earlier : mapping of int to str, optional
        The split of every subject of the parent data sets, see `kept_splits`. None if the data set has no parents.
    """
    cases_of = Counter(subject_of_case.values())
    subjects = sorted(cases_of, key=lambda subject: _order(split.seed, subject))
    if earlier is not None:
        return _continued(earlier, subjects, cases_of, split)
    total = len(subject_of_case)
    until_train = split.train * total
    until_validation = (split.train + split.validation) * total
    assigned: dict[int, SplitName] = {}
    before = 0
    for subject in subjects:
        assigned[subject] = "train" if before < until_train else "validation" if before < until_validation else "test"
        before += cases_of[subject]
    return assigned


def _continued(
    earlier: Mapping[int, SplitName], subjects: list[int], cases_of: Mapping[int, int], split: Split
) -> dict[int, SplitName]:
    total = sum(cases_of.values())
    assigned = {subject: earlier[subject] for subject in subjects if subject in earlier}
    held: Counter[SplitName] = Counter()
    for subject, name in assigned.items():
        held[name] += cases_of[subject]
    for subject in subjects:
        if subject not in earlier:
            wants_train = held["train"] < split.train * total
            wants_validation = held["validation"] < split.validation * total
            assigned[subject] = "train" if wants_train else "validation" if wants_validation else "test"
            held[assigned[subject]] += cases_of[subject]
    return assigned


def kept_splits(append: Append, subject_of_case: Mapping[int, int]) -> dict[int, SplitName]:
    """Return the split of every subject whose records a data set before this one holds.

    The clinical table may say today that an earlier case is of another subject. If that subject was unknown, it takes
    the split of the case's records.

    Raises
    ------
    RefusedError
        If that subject is in another split than the case's records.
    """
    kept = dict(append.split_of_subject)
    torn = []
    for case in append.cases:
        subject = subject_of_case.get(case.case_id)
        if subject is not None and kept.setdefault(subject, case.split) != case.split:
            torn.append(
                f"case {case.case_id} was of subject {case.subject_id} in {case.split} and is now of subject "
                f"{subject}, which is in {kept[subject]}"
            )
    if torn:
        more = f" (and {len(torn) - MOST_NAMED} more)" if len(torn) > MOST_NAMED else ""
        raise RefusedError(
            f"Appending to {append.parents[-1]} would put one subject into two splits: {'; '.join(torn[:MOST_NAMED])}"
            f"{more}.",
            fix="correct the subject in the clinical table, or make a new data set without --append-to.",
        )
    return kept


def refuse_empty_splits(split_of_subject: Mapping[int, SplitName], split: Split) -> None:
    """Raise `RefusedError` if a split has no subject, unless ``split.allow_empty`` is set."""
    empty = [name for name in SPLITS if name not in split_of_subject.values()]
    if empty and not split.allow_empty:
        raise RefusedError(
            f"{len(split_of_subject)} subjects are too few: the {' and '.join(empty)} split would be empty.",
            fix="add cases (seven subjects with one case each suffice), or use --set split.allow_empty=true.",
        )


def _order(seed: int, subject: int) -> str:
    return hashlib.sha256(f"{seed}:{subject}".encode()).hexdigest()
