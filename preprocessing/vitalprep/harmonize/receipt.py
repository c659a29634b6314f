"""The receipt of a case: it exists iff the case is done."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vitalprep.documents import Document, Model
from vitalprep.errors import ReasonCode
from vitalprep.harmonize.series import FeatureQuality

__all__ = ["InputObject", "Receipt", "UnitConflict"]


class InputObject(Model):
    """The raw object that was read."""

    uri: str
    size: int
    etag: str


class UnitConflict(Model):
    """A track that was not used, and the unit that the file gives it."""

    track: str
    unit: str


class Receipt(Document):
    """What harmonizing one case came to. `timings` in seconds; `seconds` is the length of the table."""

    case_id: int
    status: Literal["ok", "excluded"]
    reason: ReasonCode | None = None
    detail: str | None = None
    input: InputObject
    input_id: str
    harmonize_digest: str
    seconds: int | None = None
    parquet_sha256: str | None = None
    features: dict[str, FeatureQuality] = Field(default_factory=dict)
    unit_conflicts: tuple[UnitConflict, ...] = ()
    skipped_records: int = 0
    timings: dict[str, float] = Field(default_factory=dict)
