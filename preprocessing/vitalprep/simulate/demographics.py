"""Loads `demographics.yaml`: aggregates of VitalDB's clinical table, from which patients and lengths are drawn."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from vitalprep.contract.document import Schema

__all__ = ["Demographics", "Sex", "Urgency", "demographics"]

Sex = Literal["F", "M"]
Urgency = Literal["elective", "emergency"]
Time = Literal["anaesthesia_start", "operation_start", "case_end_after_operation", "anaesthesia_end"]
Value = TypeVar("Value")


def _ascending(points: dict[float, Value]) -> dict[float, Value]:
    if not points or list(points) != sorted(points):
        raise ValueError("the points do not ascend")
    return points


def _rising(points: dict[float, float]) -> dict[float, float]:
    if list(points.values()) != sorted(points.values()) or not 0 <= min(points) <= max(points) <= 100:
        raise ValueError("quantiles are values that do not fall, from 0 to 100 %")
    return points


Share = Annotated[float, Field(ge=0, le=1)]
Curve = Annotated[dict[float, Value], AfterValidator(_ascending)]
Quantiles = Annotated[dict[float, float], AfterValidator(_ascending), AfterValidator(_rising)]


class _Department(Schema):
    share: Share
    female: Share
    emergency: Share
    length: PositiveFloat
    age: dict[Sex, Quantiles]


class _AgeGroup(Schema):
    share: Share
    early_share: Share
    age: Quantiles


class _Adults(Schema):
    height: Curve[float]
    height_sd: PositiveFloat
    bmi: Curve[float]
    bmi_ratio: Quantiles


class _Subjects(Schema):
    first_cases: PositiveInt
    first_share: Share
    later_share: Share
    within: PositiveInt
    cases_per_year: PositiveFloat
    interval: Quantiles
    weight_ratio: Quantiles
    asa_kept: Share


class Demographics(Schema):
    """The content of ``demographics.yaml``. The file documents meaning, unit and source of each number."""

    schema_version: Literal[1]
    overall: dict[str, float]
    ane_type: dict[str, Share]
    departments: dict[str, _Department]
    early_cases: PositiveInt
    children: _AgeGroup
    oldest: _AgeGroup
    ages_noted_to: PositiveFloat
    adults: dict[Sex, _Adults]
    obese_early_share: Share
    obese_bmi: Quantiles
    growth_until: PositiveFloat
    growth_most: PositiveFloat
    growth: dict[Sex, Curve[tuple[float, float, float, float, float]]]
    emergency_by_age: Curve[float]
    asa_missing: dict[Urgency, Share]
    asa: dict[Urgency, Curve[dict[int, Share]]]
    subjects: _Subjects
    times: dict[Time, Quantiles]
    shortest_before_incision: PositiveFloat
    recordings: dict[Literal["minutes", "mb", "mb_per_minute"], Quantiles]


@cache
def demographics() -> Demographics:
    """Return the aggregates from which patients, times and lengths are drawn."""
    text = files("vitalprep.simulate").joinpath("demographics.yaml").read_text("utf-8")
    return Demographics.model_validate(yaml.safe_load(text))
