"""A patient in one line, rounded so that it does not identify the person."""

from __future__ import annotations

import math

from vitalprep.contract.config import Static
from vitalprep.contract.plan import PlannedCase
from vitalprep.features.impute import DEFAULT

__all__ = ["person_of"]

OLDEST = 90  # years; who is older is not told apart (HIPAA, 45 CFR 164.514(b)(2)(i)(C))
ROUNDED = {"height": 5, "weight": 5, "bmi": 1}  # to so many of the unit


def person_of(case: PlannedCase, statics: tuple[Static, ...]) -> str:
    """Return age by decade, sex, and the other statics rounded. Only the records hold exact values."""
    return ", ".join(
        f"{static.name} unknown" if origin == DEFAULT else _said(static, value)
        for static, value, origin in zip(statics, case.static, case.static_origin, strict=True)
    )


def _said(static: Static, value: float) -> str:
    measure = static.measure
    if measure == "sex":
        return "male" if value > 0 else "female"
    if measure == "asa":
        return f"ASA {value:g}"
    if measure == "age":
        decade = int(value // 10) * 10
        return f"age {OLDEST} or older" if value >= OLDEST else f"age {decade} to {decade + 9}"
    if measure is None:
        return _number(static, value)
    step = ROUNDED[measure]
    rounded = round(value / step) * step
    return f"BMI {rounded}" if measure == "bmi" else f"{measure} about {rounded} {static.unit}"


def _number(static: Static, value: float) -> str:
    """Return any other static, rounded to a power of ten that is at least a 20th of its range, or as beyond it."""
    low, high = static.range
    unit = "" if static.unit == "1" else f" {static.unit}"
    if not low <= value <= high:
        bound, beside = (low, "less") if value < low else (high, "more")
        return f"{static.name} {bound:g}{unit} or {beside}"
    step = 10.0 ** math.ceil(math.log10((high - low) / 20))
    return f"{static.name} about {round(value / step) * step:g}{unit}"
