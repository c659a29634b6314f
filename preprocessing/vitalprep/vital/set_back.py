"""Whether the clock of a recording was set back, so that the same moments were recorded twice (ruling 13).

A track id is split into runs wherever its time falls by more than a minute. Two runs that cover the same time by more
than a minute contradict each other, unless they hold the same records there: then the recorder sent them twice. The
records are compared in a second reading of the file, which only such recordings need.
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

from vitalprep.vital.headers import NUMERIC, WAVE
from vitalprep.vital.scan import VitalScan
from vitalprep.vital.track_records import Run

__all__ = ["Overlap", "contradictions", "overlaps_of"]

LONGEST_OVERLAP = 60.0  # s
MOST_OVERLAPS = 256  # beyond, they contradict each other: comparing takes a time for each
_PACKET = struct.Struct("<bI")
_RECORD = struct.Struct("<HdH")
_TRACK = struct.Struct("<HB")
TRACK_PACKET, RECORD_PACKET = 0, 1


@dataclass(frozen=True, slots=True)
class RunOf:
    """A run: its part, its place among the runs of its track id, and its track's name."""

    part: int
    place: int
    name: str
    run: Run


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two runs of one track, and the time that both cover (Unix time, s)."""

    one: RunOf
    other: RunOf
    first: float
    last: float

    @property
    def name(self) -> str:
        """``Device/NAME``."""
        return self.one.name


def overlaps_of(scans: Sequence[VitalScan]) -> list[Overlap]:
    """Return pairs of runs that cover the same time by more than a minute.

    Within a file these are runs of one track id. Runs of different files are of one track if their names are the same.
    """
    runs = [_runs_of(part, scan) for part, scan in enumerate(scans)]
    pairs = [pair for part in runs for own in part.values() if len(own) > 1 for pair in combinations(own, 2)]
    for one, other in combinations(runs, 2):
        names = _by_name(other)
        pairs += [pair for name, own in _by_name(one).items() for pair in product(own, names.get(name, ()))]
    overlaps = []
    for left, right in pairs:
        first, last = max(left.run.first, right.run.first), min(left.run.last, right.run.last)
        if last - first > LONGEST_OVERLAP:
            overlaps.append(Overlap(left, right, first, last))
    return overlaps


def _runs_of(part: int, scan: VitalScan) -> dict[int, list[RunOf]]:
    names = scan.track_names()
    return {
        track_id: [RunOf(part, place, names[track_id], run) for place, run in enumerate(own)]
        for track_id, own in scan.runs().items()
    }


def _by_name(runs: Mapping[int, Sequence[RunOf]]) -> dict[str, list[RunOf]]:
    found: dict[str, list[RunOf]] = defaultdict(list)
    for own in runs.values():
        for run in own:
            found[run.name].append(run)
    return found


@dataclass
class _Records:
    """Some records, whatever their order: their number, and the sum of their digests."""

    count: int = 0
    total: int = 0

    def add(self, record: bytes) -> None:
        self.count += 1
        self.total += int.from_bytes(hashlib.blake2b(record, digest_size=16).digest(), "big")


def contradictions(overlaps: Sequence[Overlap], parts: Sequence[Iterable[bytes]]) -> list[str]:
    """Return the names of the tracks whose overlapping runs do not hold the same records.

    Parameters
    ----------
    parts : sequence of iterables of bytes
        The decompressed stream of each part, read again.
    """
    if len(overlaps) > MOST_OVERLAPS:
        return sorted({overlap.name for overlap in overlaps})
    wanted: dict[tuple[int, int, int], list[_Compared]] = defaultdict(list)
    compared = [(overlap, _Compared(overlap), _Compared(overlap)) for overlap in overlaps]
    for overlap, one, other in compared:
        for side, found in ((overlap.one, one), (overlap.other, other)):
            wanted[side.part, side.run.track_id, side.place].append(found)
    for part, chunks in enumerate(parts):
        if any(key[0] == part for key in wanted):
            _collect(part, chunks, wanted)
    return sorted({overlap.name for overlap, one, other in compared if one.records != other.records})


@dataclass
class _Compared:
    overlap: Overlap
    records: _Records = field(default_factory=_Records)


def _collect(part: int, chunks: Iterable[bytes], wanted: Mapping[tuple[int, int, int], Sequence[_Compared]]) -> None:
    """Add each record of a part to the comparisons of its run."""
    ids = {track_id for of_part, track_id, _ in wanted if of_part == part}
    previous: dict[int, float] = {}
    place: dict[int, int] = defaultdict(int)
    for track_id, time, body in _each_record(chunks):
        if track_id not in ids or not time > 0:
            continue
        if time < previous.get(track_id, time) - LONGEST_OVERLAP:
            place[track_id] += 1
        previous[track_id] = time
        for found in wanted.get((part, track_id, place[track_id]), ()):
            if found.overlap.first <= time <= found.overlap.last:
                found.records.add(struct.pack("<d", time) + body)


def _each_record(chunks: Iterable[bytes]) -> Iterator[tuple[int, float, bytes]]:
    """Yield track id, time and data of each wave or numeric record of a decompressed stream that was scanned before."""
    stream = _Stream(chunks)
    head = stream.take(10)
    stream.take(int.from_bytes(head[8:10], "little"))
    recorded: dict[int, bool] = {}
    while len(packet := stream.take(_PACKET.size)) == _PACKET.size:
        kind, length = _PACKET.unpack(packet)
        body = stream.take(length)
        if len(body) < length:
            return
        if kind == TRACK_PACKET:
            track_id, track_kind = _TRACK.unpack_from(body)
            recorded[track_id] = track_kind in (WAVE, NUMERIC)
        elif kind == RECORD_PACKET:
            info, time, track_id = _RECORD.unpack_from(body)
            if recorded.get(track_id):
                yield track_id, time, body[2 + info :]


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
