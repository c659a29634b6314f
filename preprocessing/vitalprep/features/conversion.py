"""Conversion from a device's unit to the clinical unit: one multiplier per source and patient, and an offset."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitalprep.contract import float32
from vitalprep.contract.config import IdealBodyWeight, Source

__all__ = ["Body", "ideal_body_weight", "multiplier", "offset"]

MINUTES_PER_HOUR = 60


@dataclass(frozen=True)
class Body:
    """The patient data that conversions use: sex (-1 female, +1 male), height in cm, weight in kg."""

    sex: float
    height: float
    weight: float


def ideal_body_weight(body: Body, formula: IdealBodyWeight) -> float:
    """Return the ideal body weight in kg (Devine), with a lower bound for short patients (docs/design.md, ruling 7).

    ``max(devine(height), min(weight, devine(reference_height)))``, where ``devine(height) = base + slope * (height -
    reference_height)``. Below the reference height of 152.4 cm, Devine's formula falls towards zero and becomes
    negative; there the patient's own weight is the better divisor.
    """
    base = formula.male_base if body.sex > 0 else formula.female_base
    devine = base + formula.slope * (body.height - formula.reference_height)
    return max(devine, min(body.weight, base))


def multiplier(source: Source, body: Body, formula: IdealBodyWeight) -> float:
    """Return m such that ``value * m + offset(source)`` is in the input's unit (docs/design.md, 4).

    NaN if float32 cannot hold it, for example because of an extreme body weight: the source then has no value (ruling
    31).
    """
    return float32.held(_multiplier(source, body, formula)) or math.nan


def offset(source: Source) -> float:
    """Return what is added after the multiplication, in the input's unit; 0 for most sources."""
    added = source.conversion.offset if source.conversion else None
    return added or 0.0


def _multiplier(source: Source, body: Body, formula: IdealBodyWeight) -> float:
    conversion = source.conversion
    if conversion is None:
        return 1.0
    if conversion.per_kg_h is not None:
        return conversion.per_kg_h.concentration / body.weight
    if conversion.per_kg_min is not None:
        return conversion.per_kg_min.concentration / MINUTES_PER_HOUR / body.weight
    if conversion.per_kg_ibw:
        return 1 / ideal_body_weight(body, formula)
    assert conversion.factor is not None  # Conversion holds exactly one kind
    return conversion.factor
