"""Strict reading of ``.vital`` files: either every byte is accounted for, or the case is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Reading
from vitalprep.runtime.errors import CaseRefused, ReasonCode
from vitalprep.storage.stream import Arriving
from vitalprep.vital.clock import Clock, SetBy, settled_clock
from vitalprep.vital.doubled import doubled_seconds
from vitalprep.vital.gunzip import gunzip
from vitalprep.vital.headers import NUMERIC, memory_of, shown
from vitalprep.vital.scan import VitalScan
from vitalprep.vital.set_back import contradictions, overlaps_of
from vitalprep.vital.track_records import TrackRecords

__all__ = ["File", "Numeric", "VitalFile", "read_vital"]

File = bytes | Callable[[], Arriving]
"""A compressed ``.vital`` file: its bytes, or what begins to read it; it is called again if it has to be read twice."""
AS_STRICT = Reading(max_decompressed_bytes=1 << 30)


@dataclass(frozen=True, slots=True)
class Numeric:
    """A numeric track: values at time stamps, in (time, file order).

    Attributes
    ----------
    name : str
        ``Device/NAME``; ``/NAME`` where the track has no device.
    units : tuple of str
        Distinct units in the headers of its records, as written.
    times : ndarray of float64, shape (n,)
        Unix time in s.
    values : ndarray of float64, shape (n,)
        In the file's unit. Gain and offset are applied to integer formats.
    """

    name: str
    units: tuple[str, ...]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class VitalFile:
    """A recording.

    Attributes
    ----------
    start_time : float or None
        The header's start time (Unix, s); None if it is absent, not finite or not positive.
    first_time, last_time : float or None
        Times (Unix, s) of the earliest record and the latest sample over all wave and numeric tracks; None if there is
        no record.
    numerics : dict
        Numeric tracks by ``Device/NAME``. Tracks with the same name are merged.
    skipped_records : int
        Records whose track had no header yet.
    set_by : str or None
        What says when the recording begins: the ``header`` or the ``records``. None if there is no record.
    untimed : int
        Records at a time of 0 or below that were dropped.
    salvaged : str or None
        What was missing of an unfinished file that was used up to its last whole packet.
    set_back : tuple of str
        Tracks whose clock was set back, and whose contradicting records were merged by time.
    doubled : dict
        Seconds in which two devices of one name recorded different values, by ``Device/NAME``.
    """

    start_time: float | None
    first_time: float | None
    last_time: float | None
    numerics: dict[str, Numeric]
    skipped_records: int
    set_by: SetBy | None = "header"
    untimed: int = 0
    salvaged: str | None = None
    set_back: tuple[str, ...] = ()
    doubled: Mapping[str, int] = field(default_factory=dict)

    @property
    def start(self) -> float | None:
        """Start of the recording (Unix, s); None if there is no record."""
        return self.start_time if self.set_by == "header" and self.start_time is not None else self.first_time


def read_vital(*files: File, reading: Reading = AS_STRICT) -> VitalFile:
    """Read a recording. Wave samples are not decoded; their times only define start and end of the recording.

    Parameters
    ----------
    *files : bytes or callable
        The compressed ``.vital`` file, or the parts of one recording in order.
    reading : Reading
        Limits, and how the clock is settled. The largest decompressed size holds for all parts together.

    Raises
    ------
    CaseRefused
        With reason ``not_vital``, ``truncated``, ``corrupt``, ``too_large``, ``too_long`` or ``clock_set_back``, and
        the place.
    """
    scans: list[VitalScan] = []
    salvaged: list[str] = []
    for number, file in enumerate(files, start=1):
        left = reading.max_decompressed_bytes - sum(scan.read_bytes for scan in scans)
        scan = VitalScan(max_bytes=left, near=reading.start_tolerance or 0, before=scans[-1] if scans else None)
        try:
            missing = _scanned(scan, file, left, salvage=reading.salvage)
        except CaseRefused as refusal:
            reason: ReasonCode = "corrupt" if scan.long_lengths else refusal.reason
            detail = scan.long_lengths or refusal.detail
            raise CaseRefused(reason, _of_part(number, detail, len(files))) from refusal
        salvaged += [_of_part(number, missing, len(files))] if missing else []
        scans.append(scan)
    clock = settled_clock(scans, reading)
    set_back = _set_back(scans, files, reading)
    return _recording(scans, clock, "; ".join(salvaged) or None, set_back)


def _of_part(number: int, detail: str, parts: int) -> str:
    return f"part {number}: {detail}" if parts > 1 else detail


def _opened(file: File) -> Arriving:
    return Arriving([file], len(file)) if isinstance(file, bytes) else file()


def _scanned(scan: VitalScan, file: File, max_bytes: int, *, salvage: bool) -> str | None:
    """Scan a file. Return what is missing of an unfinished one, of which the whole packets are used."""
    try:
        for chunk in gunzip(_opened(file), max_bytes=max_bytes):
            scan.feed(chunk)
        scan.finish()
    except CaseRefused as refusal:
        if salvage and refusal.reason == "truncated" and scan.has_header:
            return refusal.detail
        raise
    return None


def _set_back(scans: Sequence[VitalScan], files: Sequence[File], reading: Reading) -> tuple[str, ...]:
    """Return the tracks whose records contradict each other, or refuse the case because of them."""
    overlaps = overlaps_of(scans)
    if any(scan.is_disordered for scan in scans):
        names = sorted({overlap.name for overlap in overlaps})
    else:
        again = [_again(file, scan) for file, scan in zip(files, scans, strict=True)]
        names = contradictions(overlaps, again) if overlaps else []
    if names and reading.clock_set_back == "exclude":
        overlap = max((one for one in overlaps if one.name in names), key=lambda one: one.last - one.first)
        more = f" and {len(names) - 1} other tracks" if len(names) > 1 else ""
        raise CaseRefused(
            "clock_set_back",
            f"{shown(overlap.name)}{more} recorded the same {overlap.last - overlap.first:.0f} s twice, with other "
            "values; reading.clock_set_back: merge sorts them by time",
        )
    return tuple(map(shown, names))


def _again(file: File, scan: VitalScan) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file that was scanned before; of an unfinished one, those that are there."""
    try:
        yield from gunzip(_opened(file), max_bytes=scan.read_bytes)
    except CaseRefused as refusal:
        if refusal.reason != "truncated":
            raise


def _recording(scans: Sequence[VitalScan], clock: Clock, salvaged: str | None, set_back: tuple[str, ...]) -> VitalFile:
    parts: dict[str, list[list[TrackRecords]]] = {}
    for part, scan in enumerate(scans):
        for track in scan.tracks():
            if track.header.kind == NUMERIC:
                name = scan.name_of(track.header)
                scan.memory.hold(memory_of(name))  # the device's name counts once per track
                parts.setdefault(name, [[] for _ in scans])[part].append(track)
    doubled = doubled_seconds(scans, clock.start)
    samples = [scan.samples([groups[part] for groups in parts.values()]) for part, scan in enumerate(scans)]
    return VitalFile(
        start_time=clock.start_time,
        first_time=clock.first,
        last_time=clock.last,
        numerics={
            name: _numeric(name, [track for group in groups for track in group], own, untimed=clock.untimed > 0)
            for (name, groups), own in zip(parts.items(), zip(*samples, strict=True), strict=True)
        },
        skipped_records=sum(scan.skipped_records for scan in scans),
        set_by=clock.set_by,
        untimed=clock.untimed,
        salvaged=salvaged,
        set_back=set_back,
        doubled={shown(name): seconds for name, seconds in doubled.items()},
    )


def _numeric(
    name: str,
    tracks: Sequence[TrackRecords],
    samples: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    untimed: bool,
) -> Numeric:
    """Return a track, sorted by time, from its samples of each part in file order."""
    times, values = samples[0] if len(samples) == 1 else map(np.concatenate, zip(*samples, strict=True))
    if untimed:
        timed = times > 0
        times, values = times[timed], values[timed]
    if (times[1:] < times[:-1]).any():
        sequence = np.argsort(times, kind="stable")
        times[:] = times[sequence]  # in place: they are views, and new arrays would not free the larger ones
        values[:] = values[sequence]
    return Numeric(name, tuple(dict.fromkeys(track.header.unit for track in tracks)), times, values)
