"""Summaries of the records of a track, as a scan of the stream finds them."""

from __future__ import annotations

from dataclasses import dataclass

from vitalprep.vital.headers import TrackHeader

__all__ = ["Run", "Span", "TrackRecords"]


@dataclass(frozen=True, slots=True)
class Span:
    """Some records of a track: their number, earliest record and latest sample (Unix time, s)."""

    records: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class TrackRecords:
    """The records of one track header; `early` are those at a time of 0 or below. None where there is none."""

    index: int
    header: TrackHeader
    timed: Span | None
    early: Span | None

    @property
    def records(self) -> int:
        """Number of all records."""
        return sum(span.records for span in (self.timed, self.early) if span)


@dataclass(frozen=True, slots=True)
class Run:
    """Records of a track between which its clock was not set back: its earliest and latest record (Unix time, s)."""

    header: TrackHeader
    first: float
    last: float
