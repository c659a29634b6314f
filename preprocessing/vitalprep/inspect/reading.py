"""Reads one recording, and summarizes its numeric tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Reading
from vitalprep.runtime.errors import CaseRefused
from vitalprep.storage import ObjectChanged, ObjectMissing, Storage, StoredObject
from vitalprep.vital.recording import Numeric, VitalFile, read_vital

__all__ = ["InspectTask", "Inspected", "TrackFacts", "inspect_recording"]


@dataclass(frozen=True)
class InspectTask:
    """Everything that a worker process needs for one recording.

    `most_points` bounds `TrackFacts.points`; `limits` are those of the configuration's sources, by track.
    """

    input: str
    file: StoredObject
    reading: Reading
    most_points: int
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackFacts:
    """A numeric track of one recording.

    Attributes
    ----------
    track : str
        ``Device/NAME``.
    units : tuple of str
        As written in the file.
    records, finite : int
        Number of records, and of those whose value is a number.
    outside : int
        Values outside the limits of the source that the track is.
    interval : float or None
        Median of the seconds between consecutive records; None if there are fewer than two.
    minimum, maximum : float or None
        In the file's unit; None if no value is a number.
    points : ndarray of float64, shape (n,)
        All values in ascending order, or evenly spaced ones of them if there are more than `most_points`.
    """

    track: str
    units: tuple[str, ...]
    records: int
    finite: int
    outside: int
    interval: float | None
    minimum: float | None
    maximum: float | None
    points: NDArray[np.float64]


@dataclass(frozen=True)
class Inspected:
    """A recording that was read. `reason` and `detail` say why it is unusable; otherwise it lasts `seconds`."""

    path: str
    seconds: float | None = None
    tracks: Sequence[TrackFacts] = ()
    reason: str | None = None
    detail: str = ""


def inspect_recording(task: InspectTask) -> Inspected:
    """Read a recording.

    Raises
    ------
    RetryableError
        If the storage fails.
    UsageError
        If the storage denies access.
    """
    file, storage = task.file, _storage(task.input)
    try:
        recording = read_vital(
            lambda: storage.arriving(file.path, etag=file.etag or None, size=file.size), reading=task.reading
        )
    except CaseRefused as refusal:
        return Inspected(file.path, reason=refusal.reason, detail=refusal.detail)
    except (ObjectChanged, ObjectMissing):
        return Inspected(file.path, reason="changed", detail="it was changed or removed while it was read")
    tracks = [_facts(track, task) for track in recording.numerics.values()]
    return Inspected(file.path, _seconds(recording), tracks)


@cache
def _storage(uri: str) -> Storage:
    return Storage(uri)


def _seconds(recording: VitalFile) -> float:
    if recording.start is None or recording.last_time is None:
        return 0.0
    return max(0.0, recording.last_time - recording.start)


def _facts(track: Numeric, task: InspectTask) -> TrackFacts:
    values = np.sort(track.values[np.isfinite(track.values)])
    low, high = task.limits.get(track.name, (-np.inf, np.inf))
    intervals = np.diff(track.times)
    return TrackFacts(
        track=track.name,
        units=track.units,
        records=len(track.times),
        finite=len(values),
        outside=int(np.count_nonzero((values < low) | (values > high))),
        interval=float(np.median(intervals)) if len(intervals) else None,
        minimum=float(values[0]) if len(values) else None,
        maximum=float(values[-1]) if len(values) else None,
        points=_spaced(values, task.most_points),
    )


def _spaced(values: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return at most that many values, the middle one of each of as many equal parts."""
    if len(values) <= most:
        return values
    return values[((np.arange(most) + 0.5) * len(values) / most).astype(np.int64)]
