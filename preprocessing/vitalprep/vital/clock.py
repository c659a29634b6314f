"""When a recording begins and ends, and which of its records have no time (docs/design.md, ruling 13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Reading
from vitalprep.runtime.errors import CaseRefused
from vitalprep.vital.headers import shown
from vitalprep.vital.scan import VitalScan
from vitalprep.vital.track_records import Span, TrackRecords

__all__ = ["CLOCK_TOLERANCE", "Clock", "SetBy", "seconds_of", "settled_clock"]

SetBy = Literal["header", "records"]
DEFAULT_DAYS = 7.0
DAY = 86_400.0  # s
CLOCK_TOLERANCE = 0.001  # s; a time stamp that rounding put just before a second still belongs to that second


@dataclass(frozen=True)
class Clock:
    """The time of a recording.

    Attributes
    ----------
    start_time : float or None
        The header's start time (Unix, s); None if it is absent, not finite or not positive.
    first, last : float or None
        Earliest record and latest sample (Unix, s); None if there is no record. Of several parts, the start time and
        the earliest record are those of the part that begins first.
    set_by : str or None
        What says when the recording begins: the ``header``, or the earliest of the ``records``.
    untimed : int
        Records at a time of 0 or below that are dropped.
    """

    start_time: float | None
    first: float | None
    last: float | None
    set_by: SetBy | None
    untimed: int

    @property
    def start(self) -> float | None:
        """Start of the recording (Unix, s)."""
        return self.start_time if self.set_by == "header" else self.first


@dataclass(frozen=True)
class _Part:
    """One file: its header's start time, whether that counts, and the earliest of its remaining records."""

    start_time: float | None
    counts: bool
    first: float | None

    @property
    def start(self) -> float | None:
        return self.start_time if self.counts else self.first


def settled_clock(scans: Sequence[VitalScan], reading: Reading) -> Clock:
    """Return the clock of a recording in one or several parts.

    Raises
    ------
    CaseRefused
        ``too_long`` if it lasts longer than ``reading.max_days``.
    """
    tracks = [(list(scan.tracks()), scan) for scan in scans]
    every = [track for part, _ in tracks for track in part]
    untimed = _untimed(every, reading)
    parts = [_part(scan, _spans(part, untimed), reading) for part, scan in tracks]
    begun = [(part.start, part) for part in parts if part.start is not None]
    last, latest = max(((span.last, name) for span, name in _spans(every, untimed)), default=(None, ""))
    if not begun:
        return Clock(scans[0].start_time, None, last, None, untimed)
    start, part = min(begun, key=lambda item: (item[0], not item[1].counts))
    _refuse_long(start, last, latest, reading)
    return Clock(part.start_time, part.first, last, "header" if part.counts else "records", untimed)


def seconds_of(times: NDArray[np.float64], start: float) -> NDArray[np.int64]:
    """Return each time stamp's second of the recording, ``floor(time - start + 0.001)``; -1 if before the start.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        Unix time in s.
    start : float
        Start of the recording, Unix time in s.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    with np.errstate(over="ignore"):
        since = times - start + CLOCK_TOLERANCE
    return np.maximum(np.floor(since), -1).astype(np.int64)


def _untimed(tracks: Iterable[TrackRecords], reading: Reading) -> int:
    """Return how many records are dropped because the recorder had no time yet."""
    tracks = list(tracks)
    first = min((track.timed.first for track in tracks if track.timed), default=None)
    if reading.start_tolerance is None or first is None or first <= reading.start_tolerance:
        return 0
    return sum(track.early.records for track in tracks if track.early)


def _spans(tracks: Iterable[TrackRecords], untimed: int) -> list[tuple[Span, str]]:
    """Return the remaining records of each track, and its name."""
    return [
        (span, track.header.name)
        for track in tracks
        for span in (track.timed, None if untimed else track.early)
        if span is not None
    ]


def _part(scan: VitalScan, spans: list[tuple[Span, str]], reading: Reading) -> _Part:
    counts = bool(spans) and scan.start_time is not None and (reading.start_tolerance is None or scan.near_start > 0)
    return _Part(scan.start_time, counts, min((span.first for span, _ in spans), default=None))


def _refuse_long(start: float, last: float | None, latest: str, reading: Reading) -> None:
    if last is None:
        return
    days, most = (last - start) / DAY, reading.max_days or DEFAULT_DAYS
    if not days <= most:
        raise CaseRefused(
            "too_long",
            f"the recording spans {days:.6g} days, up to the last sample of {shown(latest)}; reading.max_days is "
            f"{most:g}",
        )
