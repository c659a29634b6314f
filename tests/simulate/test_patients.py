"""Simulated patients against the aggregates from which they are drawn."""

from __future__ import annotations

import csv
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from vitalprep.simulate.demographics import demographics
from vitalprep.simulate.patients import (
    ClinicalTimes,
    Patient,
    clinical_table,
    clinical_times,
    drawn_length,
    founder_case,
    patient_of_case,
)

Floats: TypeAlias = npt.NDArray[np.float64]
CASES = 6388  # as many as VitalDB has
DATA = demographics()
PATIENTS = [patient_of_case(2, case_id) for case_id in range(1, CASES + 1)]
ADULTS = [patient for patient in PATIENTS if 18 <= patient.age <= 89]


def values(name: str, patients: Iterable[Patient] = PATIENTS) -> Floats:
    return np.array([getattr(patient, name) for patient in patients], dtype=np.float64)


def of(**fields: object) -> list[Patient]:
    return [patient for patient in ADULTS if all(getattr(patient, name) == value for name, value in fields.items())]


def assert_share(count: int, total: int, share: float, deviations: float = 4) -> None:
    """Within so many standard deviations of a binomial count, and one case for the rounding of the share."""
    assert abs(count - share * total) <= deviations * math.sqrt(share * (1 - share) * total) + 1, (count / total, share)


def assert_quantiles(sample: Sequence[float] | Floats, quantiles: dict[float, float], step: float = 0.0) -> None:
    """A Kolmogorov-Smirnov distance at the quantiles: 1.95 / sqrt(n) is passed once in a thousand times.

    Values that are rounded to `step` count as anything that rounds to them.
    """
    ordered, tolerance = np.sort(np.asarray(sample)), 1.95 / math.sqrt(len(sample))
    for percent, value in quantiles.items():
        below = np.searchsorted(ordered, value - step / 2 - 1e-9, side="left") / len(ordered)
        up_to = np.searchsorted(ordered, value + step / 2 + 1e-9, side="right") / len(ordered)
        assert below - tolerance <= percent / 100 <= up_to + tolerance, (percent, value, below, up_to)


def test_a_case_is_a_pure_function_of_seed_and_number_and_quickly_drawn() -> None:
    start = time.process_time()  # another process on the machine does not count
    again = [patient_of_case(2, case_id) for case_id in range(CASES, CASES - 500, -1)]
    assert (time.process_time() - start) / 500 < 1e-3
    assert again == PATIENTS[: -500 - 1 : -1]
    assert patient_of_case(3, 1) != patient_of_case(2, 1)
    assert patient_of_case(0, 10_000_000).case_id == 10_000_000


def test_departments_sexes_and_emergencies_have_their_shares() -> None:
    for name, department in DATA.departments.items():
        found = [patient for patient in PATIENTS if patient.department == name]
        assert_share(len(found), CASES, department.share)
        assert_share(sum(patient.sex == "F" for patient in found), len(found), department.female)
        assert_share(sum(patient.emergency for patient in found), len(found), department.emergency)
    assert all(patient.sex == "F" for patient in PATIENTS if patient.department == "Gynecology")
    assert_share(sum(patient.sex == "F" for patient in PATIENTS), CASES, DATA.overall["female"])
    assert_share(sum(patient.emergency for patient in PATIENTS), CASES, DATA.overall["emergency"])
    assert_share(sum(patient.asa is None for patient in PATIENTS), CASES, DATA.overall["asa_missing"])


def test_the_young_and_the_very_old_come_as_emergencies_more_often() -> None:
    factors = DATA.emergency_by_age
    for (low, high), factor in zip(pairwise([*factors, 200]), factors.values(), strict=True):
        found = [patient for patient in PATIENTS if low <= patient.age < high]
        expected = np.mean([factor * DATA.departments[patient.department].emergency for patient in found])
        assert_share(sum(patient.emergency for patient in found), len(found), float(expected), deviations=3)


def test_ages_follow_the_quantiles_of_department_and_sex() -> None:
    for name, department in DATA.departments.items():
        for sex, quantiles in department.age.items():
            ages = values("age", of(department=name, sex=sex))
            assert np.all(ages == np.floor(ages))
            assert_quantiles(ages, quantiles, step=1)


def test_adults_have_the_heights_and_masses_of_sex_and_age() -> None:
    for sex, adults in DATA.adults.items():
        people = of(sex=sex)
        age, height, bmi = (values(name, people) for name in ("age", "height", "bmi"))
        mean = np.interp(age, list(adults.height), list(adults.height.values()))
        assert np.mean(height - mean) == pytest.approx(0, abs=4 * adults.height_sd / math.sqrt(len(people)))
        assert np.std(height - mean) == pytest.approx(adults.height_sd, rel=0.06)
        ratio = bmi / np.interp(age, list(adults.bmi), list(adults.bmi.values()))
        assert_quantiles(ratio, adults.bmi_ratio, step=0.01)
        assert abs(np.corrcoef(height - mean, np.log(ratio))[0, 1]) < 0.1
        assert np.corrcoef(age, height)[0, 1] < -0.35  # the old are shorter, as in VitalDB (-0.50 and -0.46)


def test_mass_index_is_that_of_height_and_weight() -> None:
    for patient in PATIENTS:
        assert patient.bmi == pytest.approx(patient.weight / (patient.height / 100) ** 2)


def test_extremes_occur_in_every_thousand_and_at_their_rates_in_all() -> None:
    rare: dict[str, Callable[[Patient], bool]] = {
        "children": lambda patient: patient.age < 18,
        "over 89": lambda patient: patient.age > 89,
        "BMI below 15": lambda patient: patient.bmi < 15,
        "BMI above 40": lambda patient: patient.bmi > 40,
        "under 146 cm": lambda patient: patient.height < 146,
    }
    for seed in range(5):
        thousand = [patient_of_case(seed, case_id) for case_id in range(1, 1001)]
        for name, applies in rare.items():
            assert any(map(applies, thousand)), (seed, name)
    late = [patient_of_case(1, case_id) for case_id in range(20_000, 30_000)]
    shares = {
        "children": DATA.children.share,
        "over 89": DATA.oldest.share,
        "BMI below 15": DATA.overall["bmi_below_15"],
        "BMI above 40": DATA.overall["bmi_above_40"],
        "under 146 cm": DATA.overall["height_below_146"],
    }
    for name, share in shares.items():
        # Subjects return, so that cases are not quite independent.
        assert_share(sum(map(rare[name], late)), len(late), share, deviations=5)


def test_children_grow() -> None:
    children = [patient_of_case(5, case_id) for case_id in range(1, 20_000)]
    children = [patient for patient in children if patient.age < 18]
    assert len(children) > 100
    for patient in children:
        growth = DATA.growth[patient.sex]
        exact = min(patient.age + (0.05 if patient.age < 2 else 0.5), DATA.growth_until)
        rows = [np.interp(exact, list(growth), column) for column in zip(*growth.values(), strict=True)]
        score = (patient.height - rows[0]) / rows[1]
        assert abs(score) < 3.05
        mass_score = ((patient.bmi / rows[3]) ** rows[2] - 1) / (rows[2] * rows[4])
        assert abs(mass_score) < 4.5  # 3 at the first case; weights move by up to 22 %
    assert_quantiles(values("age", children), DATA.children.age, step=1)
    small, big = ([patient for patient in children if (patient.age < 8) == is_small] for is_small in (True, False))
    assert np.median(values("height", small)) + 20 < np.median(values("height", big))
    assert np.median(values("weight", small)) * 1.5 < np.median(values("weight", big))


def test_the_old_and_the_urgent_have_higher_asa_classes() -> None:
    noted = [patient for patient in ADULTS if patient.asa is not None]
    assert 0.15 < np.corrcoef(values("age", noted), values("asa", noted))[0, 1] < 0.35  # VitalDB: 0.27
    elective, urgent = ([patient for patient in noted if patient.emergency == is_urgent] for is_urgent in (False, True))
    assert np.mean(values("asa", urgent)) > np.mean(values("asa", elective)) + 0.15
    for bands, people in ((DATA.asa["elective"], elective), (DATA.asa["emergency"], urgent)):
        edges = [*bands, math.inf]
        for (low, high), shares in zip(pairwise(edges), bands.values(), strict=True):
            classes = Counter(patient.asa for patient in people if low <= patient.age < high)
            assert set(classes) <= set(shares)
            for asa, share in shares.items():
                assert_share(classes[asa], classes.total(), share / sum(shares.values()))


def test_subjects_return_as_often_as_in_vitaldb_and_sooner_in_small_sets() -> None:
    rules, returns = DATA.subjects, []
    for seed in range(5):
        founders = [founder_case(seed, case_id) for case_id in range(1, CASES + 1)]
        returns.append(CASES - len(set(founders)))
        assert founders[0] == 1
        assert all(founder <= case_id for case_id, founder in enumerate(founders, start=1))
        assert all(founders[founder - 1] == founder for founder in founders)
    expected = CASES - DATA.overall["subjects"]
    assert np.mean(returns) == pytest.approx(expected, abs=4 * math.sqrt(expected / 5))
    small = [sum(founder_case(seed, case_id) < case_id for case_id in range(1, 25)) for seed in range(200)]
    assert np.mean(small) == pytest.approx(23 * rules.first_share, abs=0.5)
    assert np.mean(np.array(small) == 0) < 0.1  # few demos of 24 have none


def test_a_subject_stays_who_they_are_and_gets_older() -> None:
    cases: dict[int, list[Patient]] = {}
    for patient in PATIENTS:
        cases.setdefault(patient.subject_id, []).append(patient)
    pairs = [pair for patients in cases.values() for pair in pairwise(patients)]
    assert len(pairs) > 200
    for before, after in pairs:
        assert (before.sex, before.department) == (after.sex, after.department)
        assert 0 <= after.age - before.age <= 1
        if before.age >= 18 or after.age == before.age:
            assert before.height == after.height
        assert 0.65 < after.weight / before.weight < 1.5  # both move by up to 22 % about the subject's own
    assert 0.6 < np.mean([before.age == after.age for before, after in pairs]) < 0.9  # VitalDB: 0.77
    assert 0.6 < np.mean([before.asa == after.asa for before, after in pairs if before.asa and after.asa]) < 0.85
    gaps = [after.case_id - before.case_id for before, after in pairs]
    assert 0.6 < np.median(gaps) / DATA.subjects.interval[50] < 1.3


def test_case_lengths_follow_the_quantiles() -> None:
    rng = np.random.default_rng(0)
    minutes = DATA.recordings["minutes"]
    hours = [drawn_length(rng, median_hours=2.75, spread=1) for _ in range(6000)]
    assert_quantiles(np.array(hours) * 60, minutes)
    assert minutes[0] <= min(hours) * 60 < max(hours) * 60 <= minutes[100]
    halved = [drawn_length(rng, median_hours=1, spread=0.5) for _ in range(6000)]
    assert_quantiles(halved, {percent: (value / minutes[50]) ** 0.5 for percent, value in minutes.items()})
    assert [drawn_length(rng, median_hours=0.2, spread=0) for _ in range(5)] == [0.2] * 5
    longer = [drawn_length(rng, median_hours=1, spread=1, department="Urology") for _ in range(3000)]
    assert np.median(longer) == pytest.approx(DATA.departments["Urology"].length, rel=0.08)
    wild = [drawn_length(rng, median_hours=1, spread=3, department="Urology") for _ in range(1000)]
    assert minutes[0] / minutes[50] <= min(wild) < max(wild) <= minutes[100] / minutes[50]


def test_clinical_times_follow_the_quantiles_and_their_order() -> None:
    rng = np.random.default_rng(0)
    times = [clinical_times(rng, incision=4000, closure=20_000, end=24_000) for _ in range(6000)]
    assert_quantiles([item.anaesthesia_start for item in times], DATA.times["anaesthesia_start"], step=1)
    assert_quantiles([item.anaesthesia_end - 24_000 for item in times], DATA.times["anaesthesia_end"], step=1)
    assert_share(sum(item.anaesthesia_end > item.case_end for item in times), len(times), 2037 / 6388)
    assert {(item.case_end, item.operation_start, item.operation_end) for item in times} == {(24_000, 4000, 20_000)}
    for _ in range(500):
        short = clinical_times(rng, incision=22.4, closure=60, end=72)
        assert short.anaesthesia_start <= 0 < short.operation_start < short.operation_end <= short.anaesthesia_end
    first, second = (clinical_times(np.random.default_rng(7), incision=1e3, closure=2e3, end=3e3) for _ in range(2))
    assert first == second


def test_the_table_hides_ages_over_89() -> None:
    times = ClinicalTimes(case_end=9, anaesthesia_start=0, anaesthesia_end=9, operation_start=1, operation_end=8)
    old = next(patient for patient in PATIENTS if patient.age > 89)
    young = next(patient for patient in PATIENTS if patient.age < 1)
    rows = list(csv.DictReader(clinical_table([(old, times), (young, times)]).splitlines()))
    assert rows[0]["age"] == ">89"
    assert rows[1]["age"] == f"{young.age:.1f}"
