"""Assigns subjects to train, validation and test. All cases of a subject are in the same split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

from vitalprep.contract.config import Split
from vitalprep.contract.paths import SPLITS, SplitName
from vitalprep.runtime.errors import RefusedError

__all__ = ["assign_splits", "refuse_empty_splits"]


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
        The split of every subject of the parent data sets. None if the data set has no parents.
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
