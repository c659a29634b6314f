"""Strict reading of ``.vital`` files: either every byte is accounted for, or the case is refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.runtime.errors import CaseRefused
from vitalprep.storage.stream import Arriving
from vitalprep.vital.gunzip import gunzip
from vitalprep.vital.headers import NUMERIC, memory_of, shown
from vitalprep.vital.scan import TrackRecords, VitalScan

__all__ = ["Numeric", "VitalFile", "read_vital"]

LONGEST_SPAN = 7 * 24 * 3600.0  # s


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
    """

    start_time: float | None
    first_time: float | None
    last_time: float | None
    numerics: dict[str, Numeric]
    skipped_records: int


def read_vital(data: bytes | Arriving, *, max_bytes: int = 1 << 30) -> VitalFile:
    """Read a recording. Wave samples are not decoded; their times only define start and end of the recording.

    Parameters
    ----------
    data : bytes or Arriving
        The compressed ``.vital`` file, complete or still downloading.
    max_bytes : int
        Largest decompressed size in bytes.

    Raises
    ------
    CaseRefused
        With reason ``not_vital``, ``truncated``, ``corrupt`` or ``too_large``, and the byte position.
    """
    scan = VitalScan(max_bytes=max_bytes)
    file = Arriving([data], len(data)) if isinstance(data, bytes) else data
    for chunk in gunzip(file, max_bytes=max_bytes):
        scan.feed(chunk)
    scan.finish()
    return _recording(scan)


def _recording(scan: VitalScan) -> VitalFile:
    tracks = list(scan.tracks())
    first = min((track.first for track in tracks), default=None)
    last, latest = max(((track.last, track.header.name) for track in tracks), default=(None, ""))
    _refuse_span(scan.start_time if scan.start_time is not None else first, last, latest)
    by_name: dict[str, list[TrackRecords]] = {}
    for track in tracks:
        if track.header.kind == NUMERIC:
            device = scan.devices.get(track.header.device_id, "")
            scan.memory.hold(memory_of(device, track.header.name))  # the device's name counts once per track
            name = f"{device}/{track.header.name}"
            by_name.setdefault(name, []).append(track)
    samples = scan.samples(list(by_name.values()))
    return VitalFile(
        start_time=scan.start_time,
        first_time=first,
        last_time=last,
        numerics={
            name: _numeric(name, parts, times, values)
            for (name, parts), (times, values) in zip(by_name.items(), samples, strict=True)
        },
        skipped_records=scan.skipped_records,
    )


def _refuse_span(start: float | None, last: float | None, latest: str) -> None:
    if start is None or last is None:
        return
    span = last - start
    if not span <= LONGEST_SPAN:
        raise CaseRefused(
            "corrupt",
            f"the recording spans {span / 86400:.6g} days, up to the last sample of {shown(latest)}; the limit is 7",
        )


def _numeric(name: str, parts: list[TrackRecords], times: NDArray[np.float64], values: NDArray[np.float64]) -> Numeric:
    """Return a track, sorted by time, from its samples in file order."""
    if (times[1:] < times[:-1]).any():
        sequence = np.argsort(times, kind="stable")
        times[:] = times[sequence]  # in place: they are views, and new arrays would not free the larger ones
        values[:] = values[sequence]
    return Numeric(name, tuple(dict.fromkeys(part.header.unit for part in parts)), times, values)
