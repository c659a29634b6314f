"""Reference implementation of ruling 13 of docs/design.md, 3 ("Clock"), sentence by sentence.

Written from the text alone, in the manner of `design4`. A recording is one or several parts (files) in the order of the
clinical table's cell: "ruling 13 holds across the parts".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.reference.design4 import Corrupt, last_sample_time, second_of, seconds_of_recording

__all__ = [
    "Clock",
    "Part",
    "Record",
    "TooLong",
    "drop_untimed",
    "is_set_back",
    "runs_of",
    "seconds_of_two_devices",
    "settle_clock",
    "tracks_set_back",
]

FALL = 60.0
"""s; "wherever time falls by more than 60 s", and by how much more two runs must intersect."""

SEVEN_DAYS = 7.0


class TooLong(ValueError):
    """The recording is excluded with reason `too_long`."""


@dataclass(frozen=True)
class Record:
    """One record of a track that has a header.

    Attributes
    ----------
    track_id : int. Of the file; `device` too.
    name : str. Full `Device/NAME`.
    time : float. Seconds, as stored.
    data : the stored bytes, or a number of a numeric track.
    samples, rate : of a wave; Hz.
    """

    track_id: int
    kind: Literal["wave", "numeric"]
    name: str
    time: float
    data: bytes | float
    samples: int = 1
    rate: float = 0.0
    device: int = 0


@dataclass(frozen=True)
class Part:
    """One file: the start time of its header, and its records in file order."""

    header_start: float | None
    records: Sequence[Record]


@dataclass(frozen=True)
class Clock:
    """Grid of a recording: first second, latest sample, number of seconds, and what the receipt says of it.

    `untimed` and `before_start` are numbers of dropped records.
    """

    t0: float
    t_last: float
    n: int
    clock: Literal["header", "records"]
    untimed: int
    before_start: int


def drop_untimed(parts: Sequence[Part], start_tolerance: float | None) -> tuple[list[Part], int]:
    """Parts without the records that have no time, and the number of those.

    "A record at a time of 0 or below is dropped and counted (`untimed`) only if a record later than
    `reading.start_tolerance` (3,600 s) exists and none lies in (0, start_tolerance]; recordings whose time begins at 0
    stay whole."

    Read as: over the records of all parts together, waves too, each at its own time (that of its first sample). A time
    of exactly 0 is untimed, one of exactly `start_tolerance` lies inside. All records at 0 or below: none is dropped.
    A tolerance of None (as in version 0.1.0) drops none.

    >>> def part(*times): return [Part(None, [Record(1, "numeric", "A/B", time, 1.0) for time in times])]
    >>> [drop_untimed(part(0.0, -5.0, late), 3600)[1] for late in (3600.5, 3600.0, 0.5, 0.0)]
    [2, 0, 0, 0]
    """
    if start_tolerance is None:
        return list(parts), 0
    times = [record.time for part in parts for record in part.records]
    later = any(time > start_tolerance for time in times)
    inside = any(0 < time <= start_tolerance for time in times)
    if not later or inside:
        return list(parts), 0
    kept = [Part(part.header_start, [record for record in part.records if record.time > 0]) for part in parts]
    return kept, len(times) - sum(len(part.records) for part in kept)


def start_of_part(part: Part, start_tolerance: float | None) -> tuple[float, Literal["header", "records"]] | None:
    """Where the time of a part begins, and who says so; None where no record is left.

    "`t0` is the header's start if any remaining record lies in [start, start + tolerance], else the earliest remaining
    record; the receipt says which (`clock: header | records`)."

    Read as: the header's start must still be finite and > 0 (section 4), and both ends of the interval belong to it. A
    record lies where its first sample lies. A tolerance of None: the header's start wins wherever it is finite and > 0.
    """
    if not part.records:
        return None
    start = part.header_start
    if start is not None and math.isfinite(start) and start > 0:
        if start_tolerance is None:
            return start, "header"
        if any(start <= record.time <= start + start_tolerance for record in part.records):
            return start, "header"
    return min(record.time for record in part.records), "records"


def settle_clock(parts: Sequence[Part], *, start_tolerance: float | None, max_days: float | None) -> Clock:
    """Clock of a recording.

    "A recording longer than `reading.max_days` (7) is `too_long`, not corrupt." "A time stamp that is not finite:
    `corrupt`."

    Read as: a recording of several parts starts where the earliest of its parts starts, each judged by its own header
    and records; at a tie the header is named. The length is `t_last - t0`, so that records before a header's start do
    not lengthen it, and `t_last` is over the remaining records (a wave's last sample). Exactly `max_days` is not too
    long. `max_days` None (as in version 0.1.0): more than 7 days is `corrupt`.

    Raises
    ------
    Corrupt, TooLong
    ValueError
        There is no record.
    """
    for part in parts:
        for record in part.records:
            if not math.isfinite(record.time) or not math.isfinite(end_of(record)):
                raise Corrupt(f"time stamp {record.time} is not finite")
    remaining, untimed = drop_untimed(parts, start_tolerance)
    starts = [start for part in remaining if (start := start_of_part(part, start_tolerance)) is not None]
    if not starts:
        raise ValueError("no wave or numeric record: the recording has no clock")
    t0, clock = min(starts)  # "header" sorts before "records"
    records = [record for part in remaining for record in part.records]
    t_last = max(end_of(record) for record in records)
    days = (t_last - t0) / 86400
    if max_days is None and days > SEVEN_DAYS:
        raise Corrupt(f"{days} days")
    if max_days is not None and days > max_days:
        raise TooLong(f"{days} days")
    before = sum(second_of(record.time, t0) < 0 for record in records)
    return Clock(t0, t_last, seconds_of_recording(t0, t_last), clock, untimed, before)


def end_of(record: Record) -> float:
    """Time of the last sample, as section 4 has it."""
    return last_sample_time(record.kind, record.time, record.samples, record.rate)


# --- Clock set back -------------------------------------------------------------------------


def runs_of(records: Sequence[Record]) -> list[list[Record]]:
    """Runs of the records of one track id, in file order.

    "each *track id* (waves too) is split into runs wherever time falls by more than 60 s in file order."

    Read as: falls from one record to the next of the same id. A fall of exactly 60 s splits nothing, nor do several
    smaller ones in a row.

    >>> records = [Record(1, "numeric", "A/B", time, 1.0) for time in (100.0, 40.0, 200.0, 139.0)]
    >>> [[record.time for record in run] for run in runs_of(records)]
    [[100.0, 40.0, 200.0], [139.0]]
    """
    runs: list[list[Record]] = []
    for record in records:
        if not runs or runs[-1][-1].time - record.time > FALL:
            runs.append([])
        runs[-1].append(record)
    return runs


def is_set_back(one: Sequence[Record], other: Sequence[Record]) -> bool:
    """Whether two runs tell different things of the same time.

    "If two runs of one id have [first, last] that intersect by more than 60 s, with not all records in the
    intersection equal, the case is excluded". "Records that are merely [...] sent twice [...] do not count."

    Read as: first and last are the earliest and the latest time of the run's records, a wave's samples beyond its last
    record's time left aside; an intersection of exactly 60 s is not more. Records are equal if time, stored bytes and
    number of samples are. Each record of either run that lies in the intersection (both ends included) must have an
    equal one in the other run; how often it was sent does not matter. A run whose records in the intersection lie
    within a minute tells nothing of it: a single wild time stamp is "merely out of order".
    """
    first = max(min(record.time for record in run) for run in (one, other))
    last = min(max(record.time for record in run) for run in (one, other))
    if not last - first > FALL:
        return False
    inside = [[record for record in run if first <= record.time <= last] for run in (one, other)]
    for records in inside:
        if not records or max(record.time for record in records) - min(record.time for record in records) <= FALL:
            return False
    return {content(record) for record in inside[0]} != {content(record) for record in inside[1]}


def content(record: Record) -> tuple[float, bytes, int]:
    """What two equal records have in common; a number is compared by its bits."""
    data = record.data if isinstance(record.data, bytes) else struct.pack("<d", record.data)
    return record.time, data, record.samples


def tracks_set_back(parts: Sequence[Part]) -> list[str]:
    """`Device/NAME` of each track whose clock was set back, sorted; empty: the case is not excluded for it.

    "[records] of two track ids of one name do not count"; "ruling 13 holds across the parts".

    Read as: any two runs of one id are compared, not only neighbours. Ids are those of their file, so that across parts
    the runs of one kind and `Device/NAME` are compared, and within a part those of one id. The parts are those that
    `drop_untimed` leaves. An id that is given to another kind or name later in the file is another track.
    """
    runs: list[tuple[int, int, str, str, list[Record]]] = []
    for number, part in enumerate(parts):
        by_track: dict[tuple[int, str, str], list[Record]] = {}
        for record in part.records:
            by_track.setdefault((record.track_id, record.kind, record.name), []).append(record)
        for (track_id, kind, name), records in by_track.items():
            for run in runs_of(records):
                runs.append((number, track_id, kind, name, run))
    names = set()
    for position, (number, track_id, kind, name, run) in enumerate(runs):
        for other_number, other_id, other_kind, other_name, other in runs[:position]:
            comparable = (kind, name) == (other_kind, other_name) and (number != other_number or track_id == other_id)
            if comparable and is_set_back(other, run):
                names.add(name)
    return sorted(names)


# --- Two devices of one name ----------------------------------------------------------------


def seconds_of_two_devices(parts: Sequence[Part], t0: float) -> dict[str, int]:
    """Number of seconds in which two devices recorded different values, by `Device/NAME`.

    "One `Device/NAME` recorded by two devices in the same second with different values is counted in the receipt and
    warned of; the merge rule stays."

    Read as: numeric tracks only. Devices are told apart by their id in their file, and compared within it. A device's
    value of a second is its last finite one (by time, then file order); limits do not matter. Seconds before `t0` do
    not count, and a second counts once, however many devices differ.

    >>> one = Record(1, "numeric", "A/HR", 7.2, 70.0, device=1)
    >>> other = Record(2, "numeric", "A/HR", 7.9, 71.0, device=2)
    >>> seconds_of_two_devices([Part(None, [one, other])], 0.0)
    {'A/HR': 1}
    """
    values: dict[tuple[str, int, int], dict[int, float]] = {}
    for number, part in enumerate(parts):
        for record in sorted(part.records, key=lambda record: record.time):
            second = second_of(record.time, t0)
            if record.kind != "numeric" or second < 0:
                continue
            if isinstance(record.data, bytes):
                raise TypeError("numeric records need a number here")
            if math.isfinite(record.data):
                values.setdefault((record.name, second, number), {})[record.device] = record.data
    differing = {(name, second, part) for (name, second, part), said in values.items() if len(set(said.values())) > 1}
    return {
        name: sum(name == other for other, _, _ in differing) for name in sorted({name for name, _, _ in differing})
    }
