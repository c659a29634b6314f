"""What is pointed out, and from where on. Expected values are worked out by hand or with NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.report.synthetic import CONFIG, excluded_receipt, planned_case, receipt, stored
from vitalprep.contract.build_summary import FeatureStatistics, OriginCounts
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Person
from vitalprep.contract.warning import DataWarning
from vitalprep.report.demographics import demographics_of, standardized_difference
from vitalprep.report.signal_warnings import (
    input_mostly_default,
    mostly_default,
    often_clipped,
    origin_tells_future,
    rarely_observed,
)
from vitalprep.report.signals import distance
from vitalprep.report.thresholds import Thresholds
from vitalprep.report.warnings import cases_dominate, warnings_of

LIMITS = Thresholds()


def _only(found: list[DataWarning], code: str, item: str | None = None) -> DataWarning:
    chosen = [warning for warning in found if warning.code == code and item in (None, warning.item)]
    assert len(chosen) == 1, found
    return chosen[0]


def _codes(found: list[DataWarning]) -> set[tuple[str, str | None]]:
    return {(warning.code, warning.item) for warning in found}


def test_an_input_below_one_percent_is_named_where_it_is_held() -> None:
    rare, common = FeatureStatistics(observed=99, held=9901), FeatureStatistics(observed=100, held=9900)
    found = list(rarely_observed(CONFIG, {"train": {"BIS": rare}, "test": {"BIS": common}}, LIMITS))
    assert _only(found, "rarely_observed").values == {"train": 0.0099}
    assert "BIS" in found[0].message
    assert "train" in found[0].message
    assert not list(rarely_observed(CONFIG, {"train": {"BIS": FeatureStatistics()}}, LIMITS)), "no seconds, no share"
    missing = FeatureStatistics(observed=99, default=9901)
    assert not list(rarely_observed(CONFIG, {"train": {"BIS": missing}}, LIMITS)), "the default is another matter"


def test_an_input_that_is_mostly_the_default_is_named_in_every_such_split() -> None:
    statistics = {
        "train": {"HR": FeatureStatistics(observed=12, held=1, default=87)},
        "validation": {"HR": FeatureStatistics(observed=30, held=20, default=50)},
        "test": {"HR": FeatureStatistics(default=100)},
    }
    found = list(input_mostly_default(CONFIG, statistics, LIMITS))
    assert _only(found, "input_mostly_default", "HR").values == {"train": 0.87, "test": 1.0}
    assert len(found) == 1


def test_a_target_that_is_the_default_in_most_windows_is_named() -> None:
    most, half = OriginCounts(observed=49, default=51), OriginCounts(observed=30, held=20, default=50)
    found = list(mostly_default(CONFIG, {"validation": {"Noradrenalin": most, "TV": half}}, LIMITS))
    assert _codes(found) == {("mostly_default", "Noradrenalin")}
    assert found[0].values == {"validation": 0.51}


def test_a_range_that_does_not_fit_is_named() -> None:
    found = list(often_clipped(CONFIG, {"test": {"HR": FeatureStatistics(observed=900, held=100, clipped=51)}}, LIMITS))
    assert _only(found, "often_clipped", "HR").values == {"test": 0.051}
    fits = {"test": {"HR": FeatureStatistics(observed=900, held=100, clipped=50)}}
    assert not list(often_clipped(CONFIG, fits, LIMITS))


def test_the_standardized_difference_is_austins() -> None:
    """Means 10 and 12, variances 4 and 16: (12 - 10) / sqrt((4 + 16) / 2)."""
    a = np.array([8.0, 12.0, 8.0, 12.0]) * np.sqrt(3 / 4) + 10 * (1 - np.sqrt(3 / 4))
    b = np.array([8.0, 16.0, 8.0, 16.0]) * np.sqrt(3 / 4) + 12 * (1 - np.sqrt(3 / 4))
    difference, error = standardized_difference(a, b)
    assert difference == pytest.approx(2 / np.sqrt(10))
    assert error == pytest.approx(np.sqrt(8 / 16 + 0.4 / 16))
    assert standardized_difference([1.0], [1.0, 2.0]) == (None, None)
    assert standardized_difference([1.0, 1.0], [1.0, 1.0]) == (None, None)


def test_the_distance_is_the_greatest_gap_of_the_cumulative_shares() -> None:
    a = FeatureStatistics(observed=10, histogram=(0, 5, 5, 0, 0))
    b = FeatureStatistics(observed=4, histogram=(0, 0, 1, 1, 2))
    assert distance(a, b) == pytest.approx(0.75)  # after the second bin 1.0 against 0.25
    assert distance(a, a) == 0
    assert distance(a, FeatureStatistics(observed=4)) is None, "a build of before had no histograms"


def _split(number: int) -> str:
    return SPLITS[number % 3]


def test_a_static_that_no_case_has_is_named(tmp_path: Path) -> None:
    missing = (0, 0, 0, 0, 0, 2)
    cases = [
        planned_case(n, _split(n), static_origin=missing if _split(n) != "train" or n > 3 else (0,) * 6)
        for n in range(1, 61)
    ]
    data = stored(tmp_path, cases, {case.case_id: receipt(case) for case in cases})
    warning = _only(warnings_of(data.plan, data.account), "static_all_default")
    assert (warning.item, set(warning.values)) == ("asa", {"validation", "test"})


def test_values_outside_of_limits_are_named_with_their_cases(tmp_path: Path) -> None:
    config = load_config(None, ["statics.asa.limits=[1, 6]"])
    cases = [
        planned_case(n, _split(n), **({"outside_limits": ("asa",)} if n in (3, 4, 5, 7) else {})) for n in range(1, 61)
    ]
    receipts = {case.case_id: receipt(case) for case in cases}
    receipts[7] = excluded_receipt(cases[6], "cut")
    data = stored(tmp_path, cases, receipts, config=config)
    warning = _only(warnings_of(data.plan, data.account), "static_outside_limits")
    assert (warning.level, warning.item, warning.cases) == ("warning", "asa", (3, 4, 5))
    assert warning.values == {"train": 1 / 20, "validation": 1 / 19, "test": 1 / 20}
    assert warning.message == (
        "asa lies outside of its limits 1 to 6 in cases 3-5: the records hold the default 2. Look at column asa of the "
        "clinical table."
    )


def test_a_weight_that_nobody_has_is_named_where_it_is_no_static(tmp_path: Path) -> None:
    config = _without(tmp_path, "age", "weight", body={"weight": 71})
    people = [Person(age=50 + n % 7, weight=80 if _split(n) == "train" else None) for n in range(1, 61)]
    cases = [
        planned_case(n, _split(n), static=(1, 170, 24, 2), static_origin=(0,) * 4, body=people[n - 1])
        for n in range(1, 61)
    ]
    data = stored(tmp_path, cases, {case.case_id: receipt(case) for case in cases}, config=config)
    warning = _only(warnings_of(data.plan, data.account), "static_all_default")
    assert (warning.item, set(warning.values)) == ("weight", {"validation", "test"})
    assert "doses and tidal volumes use the default 71" in warning.message


def test_patients_are_compared_by_age_and_build_that_are_no_statics(tmp_path: Path) -> None:
    config = _without(tmp_path, "age", "weight", body={"weight": 71})
    ages = {n: 40 + n % 11 + 30 * (_split(n) == "test") for n in range(1, 61)}
    cases = [
        planned_case(n, _split(n), static=(1, 170, 24, 2), static_origin=(0,) * 4, body=Person(age=ages[n]))
        for n in range(1, 61)
    ]
    data = stored(tmp_path, cases, {case.case_id: receipt(case) for case in cases}, config=config)
    shown = {item.static.name: item for item in demographics_of(data.plan, data.account.outcomes)}
    assert [(name, item.in_records) for name, item in shown.items()] == [
        ("sex", True), ("height", True), ("bmi", True), ("asa", True), ("age", False), ("weight", False),
    ]  # fmt: skip
    for split in SPLITS:
        assert shown["age"].splits[split].mean == pytest.approx(np.mean([ages[n] for n in ages if _split(n) == split]))
    assert (shown["weight"].splits["train"].known, shown["weight"].splits["train"].default) == (0, 20)
    warning = _only(warnings_of(data.plan, data.account), "splits_differ", "age")
    assert set(warning.values) == {"test"}


def _without(tmp_path: Path, *names: str, body: dict[str, float]) -> Config:
    content = load_config().content()
    content["statics"] = [item for item in content["statics"] if item["name"] not in names]
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(content | {"body": body}))
    return load_config(str(own))


def test_splits_of_few_subjects_are_named_with_their_number(tmp_path: Path) -> None:
    """34 subjects of train say something, 12 of validation little, and 4 of test, whatever their cases, nothing."""
    cases = [
        planned_case(n, "train" if n <= 34 else "validation" if n <= 46 else "test", subject_id=n if n <= 46 else n % 4)
        for n in range(1, 71)
    ]
    data = stored(tmp_path, cases, {case.case_id: receipt(case) for case in cases})
    warning = _only(warnings_of(data.plan, data.account), "few_subjects")
    assert warning.values == {"validation": 12, "test": 4}
    assert warning.message.endswith("fewer than 5 allow no conclusion.")


def test_a_case_that_gives_much_of_a_split_is_named(tmp_path: Path) -> None:
    cases = [planned_case(number, _split(number)) for number in range(1, 61)]
    data = stored(tmp_path, cases, {case.case_id: receipt(case) for case in cases})
    assert not list(cases_dominate(data.plan, data.account, LIMITS))
    train = data.account.summaries["train"]
    files = (train.files[0].model_copy(update={"windows": 1000}),)
    windows = {3: 210, 6: 390, 9: 200, 12: 100, 15: 100}
    outcomes = tuple(case.model_copy(update={"windows": windows.get(case.case_id, 0)}) for case in train.cases)
    changed = train.model_copy(update={"files": files, "cases": outcomes})
    account = data.account._replace(summaries={**data.account.summaries, "train": changed})
    (warning,) = cases_dominate(data.plan, account, LIMITS)
    assert (warning.cases, warning.values) == ((3, 6), {"train": pytest.approx(0.6)})


def test_that_origins_tell_the_future_is_noted_unless_gaps_are_causal() -> None:
    assert not list(origin_tells_future(CONFIG))
    imputation = CONFIG.imputation.model_copy(update={"causal": False})
    found = origin_tells_future(CONFIG.model_copy(update={"imputation": imputation}))
    assert [warning.level for warning in found] == ["note"]
