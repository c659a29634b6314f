"""The tracks of a stream: their headers, and what ``_records.c`` counts of their records while it scans."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from vitalprep.vital.headers import HeaderMemory, TrackHeader
from vitalprep.vital.track_records import Run, Span, TrackRecords

__all__ = ["Track", "TrackTable"]

Track = tuple[int, int, str, int]

TRACK_IDS = 1 << 16
MOST_FALLS = 1 << 16  # times that a clock is set back; beyond, the recording has no order in time
# Same layout as in _records.c.
TRACK = np.dtype(
    [
        ("rate", np.float64),
        ("gain", np.float64),
        ("offset", np.float64),
        ("first", np.float64),
        ("last", np.float64),
        ("early_first", np.float64),
        ("early_last", np.float64),
        ("previous", np.float64),
        ("run_first", np.float64),
        ("run_last", np.float64),
        ("records", np.int64),
        ("early", np.int64),
        ("kind", np.int32),
        ("format", np.int32),
    ]
)
_RUN = ("previous", "run_first", "run_last")
_NO_RUN: tuple[float, ...] = (-math.inf, math.inf, -math.inf)


class TrackTable:
    """The tracks of a stream, one for each header of a track.

    Parameters
    ----------
    memory : HeaderMemory
        Limits the memory of headers.

    Attributes
    ----------
    rows : ndarray of TRACK, shape (room,)
        What the scan counts, by index; the first `count` are in use.
    of_id : ndarray of int32, shape (65536,)
        Index of the header that applies to a track id now; -1 where there is none.
    is_disordered : bool
        Whether the clock was set back so often that some runs are missing.
    """

    def __init__(self, memory: HeaderMemory) -> None:
        self.rows = np.zeros(64, dtype=TRACK)
        self.of_id = np.full(TRACK_IDS, -1, dtype=np.int32)
        self.count = 0
        self.is_disordered = False
        self._memory = memory
        self._headers: dict[int, TrackHeader] = {}  # by index, in file order
        self._falls: list[Run] = []

    def header_of(self, track_id: int) -> TrackHeader:
        """Return the header that applies to a track id now."""
        return self._headers[int(self.of_id[track_id])]

    def with_records(self) -> Iterator[TrackRecords]:
        """Yield the wave and numeric tracks that have records, in the file order of their headers."""
        for index, header in self._headers.items():
            row = self.rows[index]
            timed = _span(row["records"], row["first"], row["last"])
            early = _span(row["early"], row["early_first"], row["early_last"])
            if timed or early:
                yield TrackRecords(index, header, timed, early)

    def runs(self) -> dict[Track, list[Run]]:
        """Return the runs of each track, in file order. Records at a time of 0 or below belong to none."""
        runs: dict[Track, list[Run]] = {}
        for run in [*self._falls, *(self._run(index) for index in self._headers)]:
            if run.first <= run.last:
                runs.setdefault(run.header.track, []).append(run)
        return runs

    def end_run(self, track_id: int) -> None:
        """End the run of a track whose next record lies more than 60 s before the one before it."""
        index = int(self.of_id[track_id])
        if len(self._falls) < MOST_FALLS:
            self._falls.append(self._run(index))
        else:
            self.is_disordered = True
        self._put_run(index, _NO_RUN)

    def put(self, header: TrackHeader) -> None:
        """Make a header the current one for its track id: it applies to the records that follow it."""
        index = int(self.of_id[header.track_id])
        if index >= 0 and self._headers[index] == header:
            return
        run = _NO_RUN
        if index >= 0 and self._headers[index].track == header.track:  # another header of a track does not end its run
            run = tuple(self.rows[index][name] for name in _RUN)
            self._put_run(index, _NO_RUN)
        self._memory.hold(header.memory)
        if index >= 0 and not self._has_records(index):
            self._memory.release(self._headers.pop(index).memory)
        else:
            index = self._next_index()
            self.of_id[header.track_id] = index
        self._headers[index] = header
        spans = (0, 0, 0, 0)
        self.rows[index] = (header.rate, header.gain, header.offset, *spans, *run, 0, 0, header.kind, header.format)

    def _next_index(self) -> int:
        index = self.count
        self.count += 1
        if index == len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
        return index

    def _has_records(self, index: int) -> bool:
        return bool(self.rows[index]["records"] or self.rows[index]["early"])

    def _run(self, index: int) -> Run:
        row = self.rows[index]
        return Run(self._headers[index], float(row["run_first"]), float(row["run_last"]))

    def _put_run(self, index: int, run: tuple[float, ...]) -> None:
        for name, value in zip(_RUN, run, strict=True):
            self.rows[index][name] = value


def _span(records: int, first: float, last: float) -> Span | None:
    return Span(int(records), float(first), float(last)) if records else None
