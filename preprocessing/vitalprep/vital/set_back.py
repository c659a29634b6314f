"""Whether the clock of a recording was set back, so that the same moments were recorded twice (ruling 13).

A track is split into runs wherever its time falls by more than a minute. Two runs that cover the same time by more than
a minute contradict each other, unless they hold the same records there: then the recorder sent them twice. The records
are compared in a second reading of the file, which only such recordings need.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import chain, islice

from vitalprep.vital.headers import read_track
from vitalprep.vital.scan import VitalScan
from vitalprep.vital.track_records import Run
from vitalprep.vital.track_table import Track

__all__ = ["Overlap", "contradictions", "overlaps_of"]

MINUTE = 60.0  # s
MOST_OVERLAPS = 256  # beyond, and beyond as many records, they count as contradictions: comparing would take too much
MOST_RECORDS = 1 << 21
TRACK_PACKET, RECORD_PACKET = 0, 1
_PACKET = struct.Struct("<bI")
_RECORD = struct.Struct("<HdH")


@dataclass(frozen=True, slots=True)
class _RunOf:
    """A run: its part, its place among the runs of its track, and its track's ``Device/NAME``."""

    part: int
    place: int
    name: str
    run: Run

    @property
    def key(self) -> tuple[int, Track, int]:
        return self.part, self.run.header.track, self.place


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two runs of one track, and the time that both cover (Unix time, s)."""

    one: _RunOf
    other: _RunOf
    first: float
    last: float

    @property
    def name(self) -> str:
        """``Device/NAME``."""
        return self.one.name


def overlaps_of(scans: Sequence[VitalScan]) -> list[Overlap]:
    """Return pairs of runs that cover the same time by more than a minute; `MOST_OVERLAPS` and one more at most.

    Within a file these are runs of one track id. Runs of different files are of one track if kind and name agree.
    """
    of_track: dict[tuple[int, Track], list[_RunOf]] = {}
    of_name: dict[tuple[int, str], list[_RunOf]] = defaultdict(list)
    for part, scan in enumerate(scans):
        for track, own in scan.runs().items():
            runs = [_RunOf(part, place, scan.name_of(run.header), run) for place, run in enumerate(own)]
            of_track[part, track] = runs
            of_name[track[1], runs[0].name] += runs
    within = (overlap for runs in of_track.values() if len(runs) > 1 for overlap in _overlapping(runs))
    across = (overlap for runs in of_name.values() for overlap in _overlapping(runs, of_other_parts=True))
    return list(islice(chain(within, across if len(scans) > 1 else ()), MOST_OVERLAPS + 1))


def _overlapping(runs: Iterable[_RunOf], *, of_other_parts: bool = False) -> Iterator[Overlap]:
    """Yield the overlaps of some runs, in the order of their begins."""
    going: dict[int, list[tuple[float, int, _RunOf]]] = {}  # by part, those that end first in front
    long = (run for run in runs if run.run.last - run.run.first > MINUTE)
    for number, own in enumerate(sorted(long, key=lambda run: run.run.first)):
        first = own.run.first
        for part, others in going.items():
            while others and others[0][0] - first <= MINUTE:
                heappop(others)
            if part != own.part or not of_other_parts:
                yield from (Overlap(other, own, first, min(last, own.run.last)) for last, _, other in others)
        heappush(going.setdefault(own.part, []), (own.run.last, number, own))


@dataclass
class _Records:
    """The records of a run in an overlap: digests, and the earliest and the latest time."""

    overlap: Overlap
    digests: set[int] = field(default_factory=set)
    first: float = math.inf
    last: float = -math.inf

    def add(self, time: float, data: bytes) -> None:
        if not self.overlap.first <= time <= self.overlap.last:
            return
        digest = hashlib.blake2b(struct.pack("<d", time) + data, digest_size=8).digest()
        self.digests.add(int.from_bytes(digest, "little"))
        self.first, self.last = min(self.first, time), max(self.last, time)

    @property
    def covers_it(self) -> bool:
        """Whether it has records there more than a minute apart: a single wild time stamp covers nothing."""
        return self.last - self.first > MINUTE


def contradictions(overlaps: Sequence[Overlap], parts: Sequence[Iterable[bytes]]) -> list[str]:
    """Return the names of the tracks whose overlapping runs do not hold the same records.

    Parameters
    ----------
    parts : sequence of iterables of bytes
        The decompressed stream of each part, read again.
    """
    every = sorted({overlap.name for overlap in overlaps})
    if len(overlaps) > MOST_OVERLAPS:
        return every
    compared = [(_Records(overlap), _Records(overlap)) for overlap in overlaps]
    of_run: dict[tuple[int, Track, int], list[_Records]] = defaultdict(list)
    for one, other in compared:
        of_run[one.overlap.one.key].append(one)
        of_run[one.overlap.other.key].append(other)
    for part, chunks in enumerate(parts):
        if any(key[0] == part for key in of_run) and not _gathered(part, chunks, of_run):
            return every
    return sorted(
        {
            one.overlap.name
            for one, other in compared
            if one.digests != other.digests and one.covers_it and other.covers_it
        }
    )


def _gathered(part: int, chunks: Iterable[bytes], of_run: Mapping[tuple[int, Track, int], Sequence[_Records]]) -> bool:
    """Add each record of a part to the comparisons of its run; return whether they are few enough."""
    previous: dict[Track, float] = {}
    place: dict[Track, int] = defaultdict(int)
    for track, time, data in _each_record(chunks):
        if not time > 0:
            continue
        if time < previous.get(track, time) - MINUTE:
            place[track] += 1
        previous[track] = time
        for records in of_run.get((part, track, place[track]), ()):
            records.add(time, data)
            if len(records.digests) > MOST_RECORDS // len(of_run):
                return False
    return True


def _each_record(chunks: Iterable[bytes]) -> Iterator[tuple[Track, float, bytes]]:
    """Yield track, time and data of each record of a decompressed stream that was scanned before."""
    stream = _Stream(chunks)
    stream.take(int.from_bytes(stream.take(10)[8:], "little"))
    tracks: dict[int, Track] = {}
    while len(packet := stream.take(_PACKET.size)) == _PACKET.size:
        kind, length = _PACKET.unpack(packet)
        body = stream.take(length)
        if len(body) < length:
            return
        if kind == TRACK_PACKET:
            header = read_track(body, 0)
            tracks[header.track_id] = header.track
        elif kind == RECORD_PACKET:
            info, time, track_id = _RECORD.unpack_from(body)
            if track_id in tracks:
                yield tracks[track_id], time, body[2 + info :]


class _Stream:
    """Takes bytes from chunks, in order; fewer at the end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._position = 0

    def take(self, length: int) -> bytes:
        while len(self._buffer) - self._position < length:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._buffer, self._position = self._buffer[self._position :] + chunk, 0
        taken = self._buffer[self._position : self._position + length]
        self._position += len(taken)
        return taken
