"""Made-up patients, and the clinical table that describes them in VitalDB's columns.

Whom a case belongs to and what they are like depends on the seed and the case alone. The distributions are rough
shapes of an adult surgical population (medians and 1st to 99th percentiles of VitalDB's clinical table, doi
10.1038/s41597-022-01411-5, rounded); fitting them is left to the data file of a later version.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from preprocessing.simulate.streams import Purpose, case_rng

__all__ = ["CLINICAL_COLUMNS", "ClinicalTimes", "Patient", "clinical_table", "founder_case", "patient_of_case"]

CLINICAL_COLUMNS: Final = (
    "caseid", "subjectid", "casestart", "caseend", "anestart", "aneend", "opstart", "opend",
    "age", "sex", "height", "weight", "bmi", "asa", "emop", "department", "ane_type",
)  # fmt: skip

_RETURNING: Final = 1 / 8  # 4.7 % in VitalDB; more here, so that small sets have subjects with several cases too
_SUBJECT_OFFSET: Final = 100_000  # so that nobody can take a subject for a case
_CHILDREN, _OLDEST, _EXTREME_BUILD = 0.03, 0.02, 0.04  # shares; rarer in VitalDB, where sets are larger
_ASA_MISSING: Final = 0.02  # 133 of 6,388 in VitalDB
_DEPARTMENTS: Final = ("General surgery", "Thoracic surgery", "Gynecology", "Urology")
_DEPARTMENT_SHARES: Final = (0.77, 0.17, 0.04, 0.02)  # VitalDB's, rounded


@dataclass(frozen=True, kw_only=True)
class Patient:
    """Who lies there in one case. Age in years, height in cm, weight in kg; `asa` is None where nobody noted it."""

    case_id: int
    subject_id: int
    age: float
    sex: Literal["F", "M"]
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
    """Times of the clinical table in whole seconds after the recording's start; negative is before it."""

    case_end: int
    anaesthesia_start: int
    anaesthesia_end: int
    operation_start: int
    operation_end: int


def founder_case(seed: int, case_id: int) -> int:
    """The first case of the subject that a case belongs to; the case itself unless the patient has been here before."""
    while case_id > 1:
        rng = case_rng(seed, case_id, Purpose.SUBJECT)
        if rng.random() >= _RETURNING:
            break
        case_id = int(rng.integers(1, case_id))  # any earlier case; follow it to whoever lay there
    return case_id


def patient_of_case(seed: int, case_id: int) -> Patient:
    """The patient of a case: sex and height are the subject's, age, weight and ASA move a little between cases."""
    founder = founder_case(seed, case_id)
    body = case_rng(seed, founder, Purpose.PATIENT, "body")
    sex: Literal["F", "M"] = "M" if body.random() < 0.51 else "F"
    age = _age(body)
    height, weight = _build(body, age, sex)

    rng = case_rng(seed, case_id, Purpose.PATIENT, "case")
    if case_id != founder and age >= 18:
        age += int(rng.integers(0, 4))
        weight *= rng.normal(1.0, 0.03)
    asa = int(rng.choice((1, 2, 3, 4, 6), p=(0.28, 0.59, 0.11, 0.01, 0.01)))  # VitalDB's shares, rounded
    return Patient(
        case_id=case_id,
        subject_id=_SUBJECT_OFFSET + founder,
        age=age,
        sex=sex,
        height=round(height, 1),
        weight=round(weight, 1),
        asa=None if rng.random() < _ASA_MISSING else asa,
        emergency=bool(rng.random() < 0.12),
        department=str(rng.choice(_DEPARTMENTS, p=_DEPARTMENT_SHARES)),
    )


def clinical_table(rows: Iterable[tuple[Patient, ClinicalTimes]]) -> str:
    """CSV text with a header line and one line per case. Ages over 89 read `>89`, as de-identified tables have it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CLINICAL_COLUMNS)
    writer.writerows(_row(patient, times) for patient, times in rows)
    return text.getvalue()


def _age(rng: np.random.Generator) -> float:
    """Years: whole ones for adults, tenths for infants."""
    kind = rng.random()
    if kind < _CHILDREN:
        child = rng.uniform(0.3, 17)
        return round(child, 1) if child < 2 else float(int(child))
    if kind < _CHILDREN + _OLDEST:
        return float(rng.integers(90, 96))
    return float(int(np.clip(rng.normal(58, 14), 18, 89)))


def _build(rng: np.random.Generator, age: float, sex: Literal["F", "M"]) -> tuple[float, float]:
    """Height in cm and weight in kg."""
    if age < 14:
        # General growth: 50 cm at birth, 75 at one year, then 6 cm a year; weight by the APLS rule 2 x (age + 4).
        height = 50 + 25 * min(age, 1) + 6 * max(age - 1, 0)
        weight = 2 * (age + 4) if age >= 1 else 3.5 + 6.5 * age
        return height * rng.normal(1, 0.04), weight * rng.normal(1, 0.1)
    mean, spread = (169, 6.5) if sex == "M" else (156, 6.5)
    height = rng.normal(mean, spread)
    mass_index = np.clip(rng.normal(23.2, 3.3), 14, 38)
    if rng.random() < _EXTREME_BUILD:
        height, mass_index = (rng.uniform(135, 146), 21.0) if rng.random() < 0.5 else (height, rng.uniform(38, 46))
    return float(height), float(mass_index * (height / 100) ** 2)


def _row(patient: Patient, times: ClinicalTimes) -> tuple[object, ...]:
    return (
        patient.case_id,
        patient.subject_id,
        0,
        times.case_end,
        times.anaesthesia_start,
        times.anaesthesia_end,
        times.operation_start,
        times.operation_end,
        ">89" if patient.age > 89 else f"{patient.age:g}",
        patient.sex,
        f"{patient.height:.1f}",
        f"{patient.weight:.1f}",
        f"{patient.bmi:.1f}",
        "" if patient.asa is None else patient.asa,
        int(patient.emergency),
        patient.department,
        "General",  # spinal and sedation cases (5 % of VitalDB) need another course
    )
