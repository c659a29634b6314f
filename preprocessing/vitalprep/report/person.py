"""A patient in one line, rounded so that it does not identify the person."""

from __future__ import annotations

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
    if static.name == "sex":
        return "male" if value > 0 else "female"
    if static.name == "asa":
        return f"ASA {value:g}"
    if static.name == "age":
        decade = int(value // 10) * 10
        return f"age {OLDEST} or older" if value >= OLDEST else f"age {decade} to {decade + 9}"
    step = ROUNDED[static.name]
    rounded = round(value / step) * step
    return f"BMI {rounded}" if static.name == "bmi" else f"{static.name} about {rounded} {static.unit}"
