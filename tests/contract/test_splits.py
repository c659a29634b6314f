"""Splits by subject: no subject is ever in two of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import design4
from vitalprep.contract.config import Split
from vitalprep.contract.splits import assign_splits, refuse_empty_splits
from vitalprep.plan.clinical import read_clinical_table
from vitalprep.runtime.errors import RefusedError

SPLIT = Split(seed=42, train=0.70, validation=0.15, allow_empty=False)


@given(
    subjects=st.lists(st.integers(1, 60), min_size=1, max_size=120),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=100, deadline=None)
def test_splits_are_the_reference_s(subjects: list[int], seed: int) -> None:
    subject_of_case = dict(enumerate(subjects, start=1))
    split = Split(seed=seed, train=0.70, validation=0.15, allow_empty=True)
    assert assign_splits(subject_of_case, split) == design4.assign_splits(list(subject_of_case.items()), seed)


@given(
    before=st.lists(st.integers(1, 40), min_size=1, max_size=60),
    added=st.lists(st.integers(1, 60), max_size=60),
    gone=st.sets(st.integers(1, 60)),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=100, deadline=None)
def test_appended_splits_are_the_reference_s(before: list[int], added: list[int], gone: set[int], seed: int) -> None:
    """Earlier cases may be gone, and new ones may be of earlier subjects."""
    split = Split(seed=seed, train=0.70, validation=0.15, allow_empty=True)
    earlier = assign_splits(dict(enumerate(before, start=1)), split)
    every = {case: subject for case, subject in enumerate([*before, *added], start=1) if case not in gone}
    assigned = assign_splits(every, split, earlier)
    reference = design4.assign_splits_appending(earlier, list(every.items()), seed)
    assert assigned == {subject: reference[subject] for subject in every.values()}
    assert all(assigned[subject] == earlier[subject] for subject in assigned.keys() & earlier.keys())


def test_the_real_clinical_table_splits_without_a_leak(shared_data: Path) -> None:
    path = shared_data / "vitaldb_open" / "clinical_data.csv"
    rows = read_clinical_table(path.read_bytes(), str(path), range(1, 7000))
    subject_of_case = {case: row.subject_id for case, row in rows.items()}
    cases_of = Counter(subject_of_case.values())
    assert len(subject_of_case) == 6388
    assert len(cases_of) == 6090
    assert sum(count > 1 for count in cases_of.values()) == 237
    assigned = assign_splits(subject_of_case, SPLIT)
    splits_of_subject = {
        subject: {assigned[subject_of_case[case]] for case in subject_of_case if subject_of_case[case] == subject}
        for subject, count in cases_of.items()
        if count > 1
    }
    assert all(len(splits) == 1 for splits in splits_of_subject.values())
    shares = Counter(assigned[subject] for subject in subject_of_case.values())
    most = max(cases_of.values())
    assert 0.70 * 6388 <= shares["train"] < 0.70 * 6388 + most
    assert 0.85 * 6388 <= shares["train"] + shares["validation"] < 0.85 * 6388 + most
    assert assigned == design4.assign_splits(list(subject_of_case.items()), 42)


def test_the_order_of_the_table_does_not_matter() -> None:
    forward = {case: case % 9 for case in range(1, 40)}
    assert assign_splits(forward, SPLIT) == assign_splits(dict(reversed(forward.items())), SPLIT)


def test_an_empty_split_is_refused_unless_allowed() -> None:
    assigned = assign_splits({1: 1, 2: 2}, SPLIT)
    with pytest.raises(RefusedError, match="test split would be empty"):
        refuse_empty_splits(assigned, SPLIT)
    refuse_empty_splits(assigned, SPLIT.model_copy(update={"allow_empty": True}))
    for subjects in range(7, 200):
        refuse_empty_splits(assign_splits({case: case for case in range(subjects)}, SPLIT), SPLIT)
