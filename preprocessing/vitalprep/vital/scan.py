"""Single-pass scan of the packets of a ``.vital`` stream, in bounded memory.

The format, as written by Vital Recorder and by the `vitaldb` package (little-endian throughout): a gzip stream of
``VITA``, uint32 version, uint16 header length, the header, then packets of int8 type, uint32 length and body.

========  ========================================================================================================
packet    body
========  ========================================================================================================
9 device  uint32 id, string type, string name, string port (a string is a uint32 length and UTF-8 bytes)
0 track   uint16 id, uint8 kind (1 wave, 2 numeric, 5 string), uint8 sample format, string name, string unit,
          float32 lowest and highest on screen, uint32 colour, float32 sample rate, float64 gain and offset, uint8
          parameter, uint32 device id; later fields are optional and unused here
1 record  uint16 length of the fields before the data (time and track), float64 time, uint16 track id, then for a
          wave uint32 count and the samples, for a numeric one sample
========  ========================================================================================================

Sample formats: 1 float32, 2 float64, 3 int8, 4 uint8, 5 int16, 6 uint16, 7 int32, 8 uint32. Packets of other types are
skipped. A body may be longer than the fields listed here, never shorter.

This module parses the few header packets. ``_records.c`` reads the records, half a million per case, and returns to
this module at every other packet.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vitalprep.runtime.errors import CaseRefused, UsageError
from vitalprep.vital.headers import HeaderMemory, TrackHeader, memory_of, read_device, read_track, shown

try:
    from vitalprep.vital import _records
except ImportError as error:  # installed without a C compiler, which suffices for loading data sets
    raise UsageError(
        f"The compiled reader of recordings is not installed ({error}). Only loading data sets works without it.",
        fix="install a C compiler and Python's headers (Debian: apt-get install gcc python3-dev), then install "
        "vitalprep again: pip install --force-reinstall --no-deps /path/to/vitalprep.",
    ) from error

__all__ = ["TrackRecords", "VitalScan"]

TRACK_PACKET = 0  # the other kind of header packet describes a device
START_TIME_AT = 10  # byte offset in the header, if the header has at least 26 bytes
START_TIME_HEADER = 26
LONGEST_HEADER_PACKET = 1 << 16
TRACK_IDS = 1 << 16
ROWS = 1 << 16  # numeric samples per block
# Twenty times as many as in a case of VitalDB. At 32 bytes each, including time and value to sort by: 320 MiB.
MOST_SAMPLES = 160 * ROWS
ORDINARY_ROWS = 16 * ROWS
# Same layouts as in _records.c.
TRACK = np.dtype(
    [
        ("rate", np.float64),
        ("gain", np.float64),
        ("offset", np.float64),
        ("first", np.float64),
        ("last", np.float64),
        ("records", np.int64),
        ("kind", np.int32),
        ("format", np.int32),
    ]
)
ROW = np.dtype([("time", np.float64), ("value", np.float64), ("track", np.int64)])
_PACKET = struct.Struct("<bI")
_RECORD = struct.Struct("<HdH")


def _empty_rows(before: int) -> NDArray[np.void]:
    """Return a block for rows, given the number of rows before it.

    Blocks within the size of an ordinary case come from the heap and are reused by the next case. Later blocks are
    mapped separately, so that freeing them returns their memory to the system.
    """
    if before < ORDINARY_ROWS:
        return np.empty(ROWS, dtype=ROW)
    return np.frombuffer(mmap.mmap(-1, ROWS * ROW.itemsize), dtype=ROW)


@dataclass(frozen=True, slots=True)
class TrackRecords:
    """Summary of the records of one track header: their number, earliest record and latest sample (Unix time, s)."""

    index: int
    header: TrackHeader
    records: int
    first: float
    last: float


class VitalScan:
    """Incremental scan of the decompressed stream. It holds only incomplete packets, headers and numeric samples."""

    def __init__(self, *, max_bytes: int) -> None:
        self.start_time: float | None = None
        self.devices: dict[int, str] = {}
        self.skipped_records = 0
        self._longest = min(max_bytes, 0xFFFFFFFF)
        self._headers: dict[int, TrackHeader] = {}  # by index, in file order
        self._tracks = np.zeros(64, dtype=TRACK)
        self._track_count = 0
        self._track_of = np.full(TRACK_IDS, -1, dtype=np.int32)
        self.memory = HeaderMemory()
        self._full_rows: deque[NDArray[np.void]] = deque()
        self._rows = _empty_rows(0)
        self._row_count = 0
        self._rest = b""
        self._offset = 0  # decompressed position of the first byte of _rest
        self._to_skip = 0
        self._in_header = True

    def feed(self, chunk: bytes) -> None:
        """Process the next decompressed bytes."""
        if self._to_skip >= len(chunk):
            self._to_skip -= len(chunk)
            self._offset += len(chunk)
            return
        self._offset += self._to_skip
        buffer = self._rest + chunk[self._to_skip :]
        self._to_skip = 0
        position = 0
        if self._in_header:
            position = self._header(buffer)
            if not position:
                self._rest = buffer
                return
            self._in_header = False
        position = self._packets(buffer, position)
        if position > len(buffer):
            self._to_skip = position - len(buffer)
        self._rest = buffer[position:]
        self._offset += min(position, len(buffer))

    def finish(self) -> None:
        """Refuse a stream that ends inside its header or a packet."""
        if self._in_header:
            if not b"VITA".startswith(self._rest[:4]):
                raise CaseRefused("not_vital", f"the decompressed file begins with {self._rest[:4]!r}, not b'VITA'")
            raise CaseRefused("truncated", f"the file ends inside its header, at decompressed byte {len(self._rest)}")
        if self._rest or self._to_skip:
            missing = f", {self._to_skip} bytes missing" if self._to_skip else ""
            raise CaseRefused(
                "truncated",
                f"the file ends inside a packet (decompressed byte {self._offset + len(self._rest)}{missing})",
            )

    def tracks(self) -> Iterator[TrackRecords]:
        """Yield the wave and numeric tracks that have records, in the file order of their headers."""
        for index, header in self._headers.items():
            track = self._tracks[index]
            if track["records"]:
                yield TrackRecords(
                    index, header, int(track["records"]), first=float(track["first"]), last=float(track["last"])
                )

    def samples(self, groups: list[list[TrackRecords]]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return (times, values) of each group of numeric tracks in file order, and release the scan's own copy.

        Every numeric track must belong to exactly one group. Times are Unix times in s; values are in the file's unit,
        with gain and offset applied to integer formats. Both are float64 of shape (n,).
        """
        sizes = [sum(track.records for track in group) for group in groups]
        ends = np.cumsum([0, *sizes], dtype=np.int64)
        group_of = np.full(self._track_count, -1, dtype=np.int64)
        for number, group in enumerate(groups):
            group_of[[track.index for track in group]] = number
        places = ends[:-1].copy()
        times, values = np.empty(ends[-1]), np.empty(ends[-1])
        self._full_rows.append(self._rows[: self._row_count])
        while self._full_rows:  # frees each block after grouping
            _records.group_rows(self._full_rows.popleft(), group_of, places, times, values)
        return [(times[start:end], values[start:end]) for start, end in pairwise(ends)]

    def _header(self, buffer: bytes) -> int:
        """Parse the file header. Return the offset of the first packet, or 0 if more bytes are needed."""
        if not b"VITA".startswith(buffer[:4]):
            raise CaseRefused("not_vital", f"the decompressed file begins with {buffer[:4]!r}, not b'VITA'")
        if len(buffer) < 10:
            return 0
        length = struct.unpack_from("<H", buffer, 8)[0]
        if len(buffer) < 10 + length:
            return 0
        if length >= START_TIME_HEADER:
            start = struct.unpack_from("<d", buffer, 10 + START_TIME_AT)[0]
            self.start_time = start if math.isfinite(start) and start > 0 else None
        return 10 + int(length)

    def _packets(self, buffer: bytes, position: int) -> int:
        """Read complete packets. Return the offset of the next one, which may lie beyond the end of the buffer."""
        while True:
            stopped, position, self._row_count, skipped = _records.scan_packets(
                buffer,
                position,
                self._longest,
                self._track_of,
                self._tracks,
                self._track_count,
                self._rows,
                self._row_count,
            )
            self.skipped_records += skipped
            if stopped == _records.FULL:
                self._next_rows(self._offset + position)
            elif stopped == _records.HEADER:
                after = self._header_packet(buffer, position)
                if not after:
                    return position
                position = after
            elif stopped == _records.MORE:
                return position
            else:
                raise self._refusal(stopped, buffer, position)

    def _next_rows(self, where: int) -> None:
        self._full_rows.append(self._rows)
        if len(self._full_rows) * ROWS >= MOST_SAMPLES:
            raise CaseRefused(
                "too_large", f"the file has more than {MOST_SAMPLES} numeric samples, up to decompressed byte {where}"
            )
        self._rows, self._row_count = _empty_rows(ROWS * len(self._full_rows)), 0

    def _refusal(self, stopped: int, buffer: bytes, position: int) -> CaseRefused:
        """Return the error for the packet at which the scan stopped."""
        where = self._offset + position
        _, length = _PACKET.unpack_from(buffer, position)
        if stopped == _records.TOO_LONG:
            return CaseRefused("corrupt", f"the packet at decompressed byte {where} claims {length} bytes")
        if stopped == _records.NO_HEAD:
            return CaseRefused("corrupt", f"the record at decompressed byte {where} has {length} bytes, too few")
        _, time, track_id = _RECORD.unpack_from(buffer, position + _PACKET.size)
        name = shown(self._headers[int(self._track_of[track_id])].name)
        wrong = f"has time {time}" if stopped == _records.BAD_TIME else "is too short for its samples"
        return CaseRefused("corrupt", f"the record at decompressed byte {where} ({name}) {wrong}")

    def _header_packet(self, buffer: bytes, position: int) -> int:
        """Parse a device or track packet. Return the offset of the next packet, or 0 if more bytes are needed."""
        kind, length = _PACKET.unpack_from(buffer, position)
        body = position + _PACKET.size
        where = self._offset + position
        if length > LONGEST_HEADER_PACKET:
            raise CaseRefused("corrupt", f"the header packet at decompressed byte {where} claims {length} bytes")
        if len(buffer) - body < length:
            return 0
        self.memory.count(length, where)
        if kind == TRACK_PACKET:
            self._put_track(read_track(buffer[body : body + length], where))
        else:
            self._put_device(*read_device(buffer[body : body + length], where))
        return body + int(length)

    def _put_device(self, device_id: int, name: str) -> None:
        if device_id in self.devices:
            self.memory.release(memory_of(self.devices[device_id]))
        self.memory.hold(memory_of(name))
        self.devices[device_id] = name

    def _put_track(self, header: TrackHeader) -> None:
        """Make a header the current one for its track id: it applies to the records that follow it."""
        index = int(self._track_of[header.track_id])
        if index >= 0 and self._headers[index] == header:
            return
        self.memory.hold(header.memory)
        if index >= 0 and not self._tracks[index]["records"]:  # the previous header has no records
            self.memory.release(self._headers.pop(index).memory)
        else:
            index = self._track_count
            self._track_count += 1
            if index == len(self._tracks):
                self._tracks = np.concatenate([self._tracks, np.zeros_like(self._tracks)])
            self._track_of[header.track_id] = index
        self._headers[index] = header
        self._tracks[index] = (header.rate, header.gain, header.offset, 0, 0, 0, header.kind, header.format)
