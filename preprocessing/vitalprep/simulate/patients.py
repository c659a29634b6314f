"""Simulated patients, and their clinical table with VitalDB's columns.

A case's patient depends only on seed and case number. Patients are drawn from aggregates of VitalDB's clinical table,
documented with their sources in ``demographics.yaml``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, TypeVar

import numpy as np

from vitalprep.simulate.demographics import Sex, Urgency, demographics
from vitalprep.simulate.streams import Purpose, case_rng

__all__ = [
    "CLINICAL_COLUMNS", "ClinicalTimes", "Patient",
    "clinical_table", "clinical_times", "drawn_length", "founder_case", "patient_of_case",
]  # fmt: skip

CLINICAL_COLUMNS: Final = (
    "caseid", "subjectid", "casestart", "caseend", "anestart", "aneend", "opstart", "opend",
    "age", "sex", "height", "weight", "bmi", "asa", "emop", "department", "ane_type",
)  # fmt: skip

_SUBJECT_OFFSET: Final = 100_000  # keeps subject ids and case ids distinct
_ADULT: Final = 18  # years
_TENTHS_BELOW: Final = 2  # years; tables give older ages in whole years
_MAX_AGE: Final = 100.0

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Patient:
    """The patient of one case. Age in years, height in cm, weight in kg; `asa` is None if not documented."""

    case_id: int
    subject_id: int
    age: float
    sex: Sex
    height: float
    weight: float
    asa: int | None
    emergency: bool
    department: str

    @property
    def bmi(self) -> float:
        """Body mass index in kg/m2."""
        return self.weight / (self.height / 100) ** 2


@dataclass(frozen=True, kw_only=True)
class ClinicalTimes:
    """Times of the clinical table in whole seconds after the recording's start; negative if before it."""

    case_end: int
    anaesthesia_start: int
    anaesthesia_end: int
    operation_start: int
    operation_end: int


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """A subject's constants: exact age at the first case (years), height z-score, other quantiles (0 to 1)."""

    department: str
    sex: Sex
    age: float
    tall: float
    heavy: float
    obese_bmi: float | None
    severity: float


def founder_case(seed: int, case_id: int) -> int:
    """Return the first case of a case's subject; it is the case itself unless the patient is a returning one.

    The probability of a returning patient is 1/8 in the first hundred cases, so that small sets have some; afterwards
    it is VitalDB's.
    """
    rules = demographics().subjects
    while case_id > 1:
        rng = case_rng(seed, case_id, Purpose.SUBJECT)
        if rng.random() >= (rules.first_share if case_id <= rules.first_cases else rules.later_share):
            break
        case_id = int(rng.integers(max(1, case_id - rules.within), case_id))  # continue with that earlier case
    return case_id


def patient_of_case(seed: int, case_id: int) -> Patient:
    """Return the patient of a case. Sex, department and adult height belong to the subject; age grows between cases."""
    data = demographics()
    founder = founder_case(seed, case_id)
    subject = _subject(seed, founder)
    rng = case_rng(seed, case_id, Purpose.PATIENT, "case")

    age = min(_noted(subject.age + (case_id - founder) / data.subjects.cases_per_year), _MAX_AGE)
    height, mass_index = _build(subject, age)
    weight = mass_index * (height / 100) ** 2
    severity = subject.severity
    if case_id != founder:
        weight *= _drawn(data.subjects.weight_ratio, rng)
        severity = severity if rng.random() < data.subjects.asa_kept else rng.random()

    likelier = _from_age(data.emergency_by_age, age)
    emergency = bool(rng.random() < data.departments[subject.department].emergency * likelier)
    urgency: Urgency = "emergency" if emergency else "elective"
    asa = _chosen(_from_age(data.asa[urgency], age), severity)
    return Patient(
        case_id=case_id,
        subject_id=_SUBJECT_OFFSET + founder,
        age=age,
        sex=subject.sex,
        height=round(height, 1),
        weight=round(weight, 1),
        asa=None if rng.random() < data.asa_missing[urgency] else asa,
        emergency=emergency,
        department=subject.department,
    )


def clinical_times(rng: np.random.Generator, *, incision: float, closure: float, end: float) -> ClinicalTimes:
    """Draw the times of the clinical table.

    As in VitalDB, the anaesthesia chart mostly begins before the recording and may end after it. It begins at least 15
    minutes before the incision, or with the recording if that is later, and never ends before the closure.

    Parameters
    ----------
    rng : numpy.random.Generator
        The case's random generator.
    incision, closure, end : float
        Seconds after the recording's start; its last second is `end`.
    """
    data = demographics()
    latest = max(0.0, incision - data.shortest_before_incision)
    return ClinicalTimes(
        case_end=round(end),
        anaesthesia_start=round(min(_drawn(data.times["anaesthesia_start"], rng), latest)),
        anaesthesia_end=round(max(closure, end + _drawn(data.times["anaesthesia_end"], rng))),
        operation_start=round(incision),
        operation_end=round(closure),
    )


def drawn_length(
    rng: np.random.Generator, *, median_hours: float, spread: float, department: str | None = None
) -> float:
    """Draw a case's length in hours.

    Parameters
    ----------
    rng : numpy.random.Generator
        The case's random generator.
    median_hours : float
        Median of the set in hours; VitalDB's is 2.75.
    spread : float
        Exponent of a length's ratio to the median: 1 is VitalDB's distribution (0.16 to 6.3 times the median), 0 makes
        all cases equal.
    department : str, optional
        Department, whose cases are longer or shorter than the overall median.
    """
    data = demographics()
    minutes = data.recordings["minutes"]
    ratio = np.exp(np.interp(100 * rng.random(), list(minutes), np.log(list(minutes.values())))) / minutes[50]
    if department is not None:
        ratio *= data.departments[department].length
    return float(median_hours * np.clip(ratio**spread, minutes[0] / minutes[50], minutes[100] / minutes[50]))


def clinical_table(rows: Iterable[tuple[Patient, ClinicalTimes]]) -> str:
    """Return CSV text with a header line and one line per case. Ages over 89 are `>89`, as in de-identified tables."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CLINICAL_COLUMNS)
    writer.writerows(_row(patient, times) for patient, times in rows)
    return text.getvalue()


def _subject(seed: int, founder: int) -> _Subject:
    """Draw the constants of a subject from its first case."""
    data = demographics()
    rng = case_rng(seed, founder, Purpose.PATIENT, "body")
    early = founder <= data.early_cases
    department = _chosen({name: item.share for name, item in data.departments.items()}, rng.random())
    sex: Sex = "F" if rng.random() < data.departments[department].female else "M"

    ages, place = data.departments[department].age[sex], rng.random()
    for group in (data.children, data.oldest):
        share = group.early_share if early else group.share
        if 0 <= place < share:
            ages = group.age
        place -= share
    age = _drawn(ages, rng)
    age = _noted(age) if age < _ADULT else float(round(age))
    return _Subject(
        department=department,
        sex=sex,
        age=age + rng.random() * (0.1 if age < _TENTHS_BELOW else 1.0),  # a random birthday
        tall=float(rng.normal()),
        heavy=rng.random(),
        obese_bmi=_drawn(data.obese_bmi, rng) if early and rng.random() < data.obese_early_share else None,
        severity=rng.random(),
    )


def _build(subject: _Subject, age: float) -> tuple[float, float]:
    """Return height in cm and BMI in kg/m2 at a documented age in years."""
    data = demographics()
    if subject.age < _ADULT:
        exact = min(age + (0.05 if age < _TENTHS_BELOW else 0.5), data.growth_until)
        growth = data.growth[subject.sex]
        median, deviation, skew, mass_index, spread = (
            float(np.interp(exact, list(growth), column)) for column in zip(*growth.values(), strict=True)
        )
        heavy = NormalDist().inv_cdf(max(subject.heavy, 1e-9))
        tall, heavy = np.clip((subject.tall, heavy), -data.growth_most, data.growth_most).tolist()
        return median + deviation * tall, float(mass_index * (1 + skew * spread * heavy) ** (1 / skew))
    adults = data.adults[subject.sex]
    height = _at(adults.height, _noted(subject.age)) + adults.height_sd * subject.tall
    return height, subject.obese_bmi or _at(adults.bmi, age) * _at(adults.bmi_ratio, 100 * subject.heavy)


def _noted(age: float) -> float:
    """Return an exact age as tables document it: whole years, tenths for the youngest."""
    return float(np.floor(age * 10 + 1e-9) / 10 if age < _TENTHS_BELOW else np.floor(age))


def _at(curve: Mapping[float, float], place: float) -> float:
    return float(np.interp(place, list(curve), list(curve.values())))


def _drawn(quantiles: Mapping[float, float], rng: np.random.Generator) -> float:
    return _at(quantiles, 100 * rng.random())


def _from_age(bands: Mapping[float, Value], age: float) -> Value:
    return bands[max(start for start in bands if start <= age)]


def _chosen(shares: Mapping[Key, float], uniform: float) -> Key:
    """Return the key at which the cumulative shares exceed a uniform number in [0, 1)."""
    reached = np.cumsum(list(shares.values()))
    return list(shares)[int(np.searchsorted(reached / reached[-1], uniform, side="right"))]


def _row(patient: Patient, times: ClinicalTimes) -> tuple[object, ...]:
    oldest = demographics().ages_noted_to
    age = f">{oldest:g}" if patient.age > oldest else f"{patient.age:g}"
    asa = "" if patient.asa is None else patient.asa
    return (
        patient.case_id, patient.subject_id,
        0, times.case_end, times.anaesthesia_start, times.anaesthesia_end, times.operation_start, times.operation_end,
        age, patient.sex, f"{patient.height:.1f}", f"{patient.weight:.1f}", f"{patient.bmi:.1f}",
        asa, int(patient.emergency), patient.department, "General",
    )  # fmt: skip
