"""The demographic aggregates: impossible ones are refused, and ours equal the real table if it is available."""

from __future__ import annotations

import csv
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from vitalprep.simulate.demographics import Demographics, demographics

Floats: TypeAlias = npt.NDArray[np.float64]
DATA = demographics()
CASES = 6388  # as many as VitalDB has


@pytest.mark.parametrize(
    "change",
    [
        {"children": {"share": 2, "early_share": 0, "age": {0: 1}}},
        {"oldest": {"share": 0, "early_share": 0, "age": {10: 5, 50: 4}}},
        {"emergency_by_age": {18: 1, 0: 2}},
        {"unknown": 1},
    ],
)
def test_impossible_aggregates_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Demographics.model_validate({**DATA.model_dump(), **change})


@pytest.fixture(scope="module")
def table(shared_data: Path) -> dict[str, npt.NDArray[Any]]:
    """VitalDB's clinical table by column; numbers as float64, empty ones NaN, ages as far as they are given."""
    with (shared_data / "vitaldb_open" / "clinical_data.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = {"sex", "department", "ane_type", "subjectid"}
    return {
        name: np.array([row[name] if name in texts else float(row[name].lstrip(">") or "nan") for row in rows])
        for name in rows[0]
    }


def assert_same_quantiles(sample: Floats, quantiles: dict[float, float], rounding: float) -> None:
    """Equal but for the rounding; 0 and 100 % are bounds that hold every value, rounded by up to 2 %."""
    for percent, value in quantiles.items():
        if percent not in (0, 100):
            assert np.quantile(sample, percent / 100) == pytest.approx(value, abs=rounding), percent
    assert sample.min() >= 0.98 * quantiles.get(0, -math.inf)
    assert sample.max() <= 1.02 * quantiles.get(100, math.inf)


def test_shares_equal_the_tables(table: dict[str, npt.NDArray[Any]]) -> None:
    overall, age, urgent = DATA.overall, table["age"], table["emop"] == 1
    assert (len(age), len(set(table["subjectid"]))) == (overall["cases"], overall["subjects"])
    found = {
        "female": table["sex"] == "F",
        "emergency": urgent,
        "asa_missing": np.isnan(table["asa"]),
        "height_below_146": table["height"] < 146,
        "bmi_below_15": table["bmi"] < 15,
        "bmi_above_40": table["bmi"] > 40,
    }
    for name, mask in found.items():
        assert np.mean(mask) == pytest.approx(overall[name], abs=0.0005), name
    for name, share in DATA.ane_type.items():
        assert np.mean(table["ane_type"] == name) == pytest.approx(share, abs=0.0005)
    assert np.mean(age < 18) == pytest.approx(DATA.children.share, abs=0.0001)
    assert np.mean(age > 89) == pytest.approx(DATA.oldest.share, abs=0.0001)
    for name, department in DATA.departments.items():
        here = table["department"] == name
        assert np.mean(here) == pytest.approx(department.share, abs=0.0005)
        assert np.mean(table["sex"][here] == "F") == pytest.approx(department.female, abs=0.005)
        assert np.mean(urgent[here]) == pytest.approx(department.emergency, abs=0.0005)
        length = np.median(table["caseend"][here]) / np.median(table["caseend"])
        assert length == pytest.approx(department.length, abs=0.005)


def test_ages_builds_and_classes_equal_the_tables(table: dict[str, npt.NDArray[Any]]) -> None:
    age, adult = table["age"], (table["age"] >= 18) & (table["age"] <= 89)
    for name, department in DATA.departments.items():
        for sex, quantiles in department.age.items():
            here = adult & (table["department"] == name) & ((table["sex"] == sex) | (name == "Urology"))
            assert_same_quantiles(age[here], quantiles, 0.51)
    assert_same_quantiles(age[age < 18], DATA.children.age, 0.05)
    edges = [18, 30, 40, 50, 60, 70, 80, 90]
    for sex, adults in DATA.adults.items():
        here = adult & (table["sex"] == sex)
        middles, years = list(adults.height), age[here]
        for (lower, upper), middle in zip(pairwise(edges), middles, strict=True):
            band = here & (age >= lower) & (age < upper)
            assert np.mean(table["height"][band]) == pytest.approx(adults.height[middle], abs=0.051)
            assert np.exp(np.mean(np.log(table["bmi"][band]))) == pytest.approx(adults.bmi[middle], abs=0.051)
        residual = table["height"][here] - np.interp(years, middles, list(adults.height.values()))
        assert np.std(residual) == pytest.approx(adults.height_sd, abs=0.05)
        ratio = table["bmi"][here] / np.interp(years, middles, list(adults.bmi.values()))
        assert_same_quantiles(ratio, adults.bmi_ratio, 0.0101)
    factors = DATA.emergency_by_age
    for (low, high), factor in zip(pairwise([*factors, 200]), factors.values(), strict=True):
        found = np.mean(table["emop"][(age >= low) & (age < high)]) / np.mean(table["emop"])
        assert found == pytest.approx(factor, abs=0.0051)
    for urgent, (urgency, missing) in enumerate(DATA.asa_missing.items()):
        here, bands = table["emop"] == urgent, DATA.asa[urgency]
        assert np.mean(np.isnan(table["asa"][here])) == pytest.approx(missing, abs=0.00005)
        for (low, high), shares in zip(pairwise([*bands, 200]), bands.values(), strict=True):
            counts = Counter(table["asa"][here & (age >= low) & (age < high)])
            total = sum(counts[asa] for asa in shares)
            assert shares == {asa: pytest.approx(counts[asa] / total, abs=0.0005) for asa in shares}
            assert all(counts[asa] >= 3 for asa in shares)


def test_times_and_sizes_equal_the_tables(table: dict[str, npt.NDArray[Any]], shared_data: Path) -> None:
    start, end = table["anestart"], table["caseend"]
    assert_same_quantiles(start, DATA.times["anaesthesia_start"], 5.1)
    assert_same_quantiles(table["opstart"], DATA.times["operation_start"], 5.1)
    assert_same_quantiles(end - table["opend"], DATA.times["case_end_after_operation"], 5.1)
    assert_same_quantiles(table["aneend"] - end, DATA.times["anaesthesia_end"], 5.1)
    assert np.mean(table["opstart"] - start < DATA.shortest_before_incision) == pytest.approx(0.01, abs=0.002)
    assert np.count_nonzero(table["aneend"] > end) == 2037
    assert_same_quantiles(end / 60, DATA.recordings["minutes"], 2)
    with (shared_data / "vitaldb_open" / "case_sizes.csv").open(encoding="utf-8-sig", newline="") as file:
        sizes = np.array([(float(row["duration_min"]), float(row["file_mb"])) for row in csv.DictReader(file)])
    minutes, mb = sizes[sizes[:, 0] > 0].T
    assert_same_quantiles(mb, DATA.recordings["mb"], 0.06)
    assert_same_quantiles(mb / minutes, DATA.recordings["mb_per_minute"], 0.0006)


def test_returns_equal_the_tables(table: dict[str, npt.NDArray[Any]]) -> None:
    order: dict[str, list[int]] = {}
    for place in np.argsort(table["caseid"]):
        order.setdefault(table["subjectid"][place], []).append(int(place))
    pairs = np.array([pair for places in order.values() for pair in pairwise(places)])
    rules, (before, after) = DATA.subjects, pairs.T
    assert_same_quantiles(table["caseid"][after] - table["caseid"][before], rules.interval, 6)
    assert_same_quantiles(table["weight"][after] / table["weight"][before], rules.weight_ratio, 0.03)
    expected = rules.first_share * (rules.first_cases - 1) + rules.later_share * (CASES - rules.first_cases)
    assert expected == pytest.approx(len(pairs), abs=1)
    both = ~np.isnan(table["asa"][before]) & ~np.isnan(table["asa"][after])
    assert np.mean(table["asa"][before][both] == table["asa"][after][both]) == pytest.approx(0.73, abs=0.005)
