"""What separates a difference of the splits from chance, and what is said of splits too small to tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.report.synthetic import planned_case, receipt, stored
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import PlannedCase
from vitalprep.contract.warning import DataWarning
from vitalprep.report.chance import effective_number, holm, smirnov_p, student_p
from vitalprep.report.differences import differences_of
from vitalprep.report.report import Stored
from vitalprep.report.warnings import warnings_of

DIFFERENCES = {"splits_differ", "distributions_differ", "coverage_differs", "sources_differ"}


def _data(folder: Path, cases: list[PlannedCase]) -> Stored:
    return stored(folder, cases, {case.case_id: receipt(case) for case in cases})


def _older(case: PlannedCase, years: float) -> PlannedCase:
    return case.model_copy(update={"static": (case.static[0] + years, *case.static[1:])})


def _found(data: Stored, code: str, item: str) -> list[DataWarning]:
    return [w for w in warnings_of(data.plan, data.account) if (w.code, w.item) == (code, item)]


def test_p_values_are_those_of_scipy() -> None:
    scipy = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(5)
    for first, second in ((3, 4), (10, 70), (400, 2100)):
        for shift in (0.0, 0.5, 1.5):
            a, b = random.normal(0, 1, first), random.normal(shift, 1, second)
            expected = float(scipy.ttest_ind(a, b).pvalue)
            assert student_p(a, b) == pytest.approx(expected, rel=1e-4, abs=1e-12)
    for x in (0.3, 0.8276, 1.3581, 2.5):  # Smirnov's table has 1.36 at 5 %
        expected = float(scipy.kstwobign.sf(x))
        assert smirnov_p(x / np.sqrt(50), 100, 100) == pytest.approx(expected, abs=1e-9)
    assert student_p([1.0, 1.0], [1.0, 1.0, 1.0]) == 1
    assert smirnov_p(0, 10, 10) == 1


def test_holm_takes_the_least_first() -> None:
    """Holm's own steps: 0.01 against 0.05 / 4, 0.015 against 0.05 / 3, 0.03 against 0.05 / 2, and there it ends."""
    assert holm([0.03, 0.01, 0.04, 0.015], 0.05) == [False, True, False, True]
    assert holm([], 0.05) == []


def test_a_long_case_counts_for_less_than_its_seconds() -> None:
    assert effective_number([5, 5, 5, 5]) == pytest.approx(4)
    assert effective_number([97, 1, 1, 1]) == pytest.approx(10000 / 9412)
    assert effective_number([]) == 0


def test_splits_that_differ_are_told_apart_from_chance(tmp_path: Path) -> None:
    cases = [planned_case(number, SPLITS[number % 3]) for number in range(1, 301)]
    older = [_older(case, 12 if case.split == "test" else 0) for case in cases]
    (found,) = _found(_data(tmp_path, older), "splits_differ", "age")
    ages = {split: np.array([case.static[0] for case in older if case.split == split]) for split in SPLITS}
    spread = np.sqrt((ages["train"].var(ddof=1) + ages["test"].var(ddof=1)) / 2)
    assert (found.level, set(found.values)) == ("warning", {"test"})
    assert found.values["test"] == pytest.approx((ages["test"].mean() - ages["train"].mean()) / spread)


def test_fewer_than_ten_subjects_give_no_verdict_and_a_large_difference_is_noted(tmp_path: Path) -> None:
    cases = [planned_case(n, "train" if n < 60 else "validation" if n < 90 else "test") for n in range(1, 99)]
    older = [_older(case, 60 if case.split == "test" else 0) for case in cases]
    (found,) = _found(_data(tmp_path, older), "splits_differ", "age")
    assert (found.level, set(found.values)) == ("note", {"test"})
    assert found.values["test"] > 2
    assert "chance cannot be excluded" in found.message


def test_subjects_are_the_units_and_not_their_cases(tmp_path: Path) -> None:
    """Nine people who came ten times each are nine."""
    cases = [planned_case(number, SPLITS[number % 3]) for number in range(1, 271)]
    often = [
        _older(case.model_copy(update={"subject_id": case.case_id % 27}), 30 if case.split == "test" else 0)
        for case in cases
    ]
    assert {warning.level for warning in _found(_data(tmp_path, often), "splits_differ", "age")} == {"note"}


def test_splits_by_lot_rarely_give_a_false_alarm(tmp_path: Path) -> None:
    """At most one data set in twenty; of the statics alone it was every second one."""
    alarms = 0
    for trial in range(40):
        lot = np.random.default_rng(trial)
        cases = [
            planned_case(10_000 * trial + n, SPLITS[place])
            for n, place in enumerate(lot.choice(3, p=(0.7, 0.15, 0.15), size=160), start=1)
        ]
        plan, account = (data := _data(tmp_path / str(trial), cases)).plan, data.account
        statics = [item for item in differences_of(plan, account, fewest=10) if item.kind == "splits_differ"]
        assert len(statics) == 12
        alarms += any(holm([item.p for item in statics if item.p is not None], 0.05))
    assert alarms <= 5
