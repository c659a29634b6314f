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
import struct
from collections.abc import Iterator

import numpy as np

from vitalprep.runtime.errors import CaseRefused
from vitalprep.vital.compiled import _records
from vitalprep.vital.headers import HeaderMemory, TrackHeader, memory_of, read_device, read_track, shown
from vitalprep.vital.long_lengths import BEGIN, long_lengths
from vitalprep.vital.rows import NumericRows, Samples  # after the reader is known to be there
from vitalprep.vital.track_records import Run, TrackRecords
from vitalprep.vital.track_table import Track, TrackTable

__all__ = ["VitalScan"]

TRACK_PACKET, DEVICE_PACKET = 0, 9
START_TIME_AT = 10  # byte offset in the header, if the header has at least 26 bytes
START_TIME_HEADER = 26
LONGEST_HEADER_PACKET = 1 << 16
_PACKET = struct.Struct("<bI")
_RECORD = struct.Struct("<HdH")


class VitalScan:
    """Incremental scan of the decompressed stream. It holds only incomplete packets, headers and numeric samples.

    Parameters
    ----------
    max_bytes : int
        Largest decompressed size in bytes.
    near : float
        In seconds. `near_start` counts records at most that much later than the header's start time.
    before : VitalScan, optional
        Scan of the part before this one: the limits for headers and samples hold for all parts together.
    """

    def __init__(self, *, max_bytes: int, near: float = 0, before: VitalScan | None = None) -> None:
        self.memory: HeaderMemory = before.memory if before else HeaderMemory()
        self.start_time: float | None = None
        self.near_start = 0
        self.devices: dict[int, str] = {}
        self.skipped_records = 0
        self._near = near
        self._near_until = (math.nan, math.nan)
        self._longest = min(max_bytes, 0xFFFFFFFF)
        self._tracks = TrackTable(self.memory)
        self.rows: NumericRows = NumericRows(len(before.rows) if before else 0)
        self._rest = b""
        self._offset = 0  # decompressed position of the first byte of _rest
        self._to_skip = 0
        self._in_header = True
        self._begin = b""

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
            self._begin = buffer[:BEGIN]
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

    @property
    def has_header(self) -> bool:
        """Whether the file's header was read."""
        return not self._in_header

    @property
    def long_lengths(self) -> str | None:
        """What is wrong with a file whose numbers have 8 bytes where the format has 4; None for others."""
        return long_lengths(self._begin)

    @property
    def read_bytes(self) -> int:
        """Decompressed bytes so far."""
        return self._offset + len(self._rest)

    @property
    def track_count(self) -> int:
        """How many indices the tracks have, of tracks without records too."""
        return self._tracks.count

    def tracks(self) -> Iterator[TrackRecords]:
        """Return the wave and numeric tracks that have records, in the file order of their headers."""
        return self._tracks.with_records()

    def runs(self) -> dict[Track, list[Run]]:
        """Return the runs of each track, in file order. Records at a time of 0 or below belong to none.

        Of a stream that `is_disordered`, some are missing.
        """
        return self._tracks.runs()

    @property
    def is_disordered(self) -> bool:
        """Whether the clock was set back so often that the stream has no order in time."""
        return self._tracks.is_disordered

    def name_of(self, header: TrackHeader) -> str:
        """Return ``Device/NAME`` of a track, ``/NAME`` where it has no device."""
        return f"{self.devices.get(header.device_id, '')}/{header.name}"

    def samples(self, groups: list[list[TrackRecords]]) -> list[Samples]:
        """Return (times, values) of each group of numeric tracks in file order, and release the scan's own copy.

        Every numeric track must belong to exactly one group. Times are Unix times in s; values are in the file's unit,
        with gain and offset applied to integer formats. Both are float64 of shape (n,).
        """
        group_of = np.full(self.track_count, -1, dtype=np.int64)
        for number, group in enumerate(groups):
            group_of[[track.index for track in group]] = number
        return self.rows.grouped(group_of, [sum(track.records for track in group) for group in groups])

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
        if self.start_time is not None:
            self._near_until = (self.start_time, self.start_time + self._near)
        return 10 + int(length)

    def _packets(self, buffer: bytes, position: int) -> int:
        """Read complete packets. Return the offset of the next one, which may lie beyond the end of the buffer."""
        while True:
            stopped, position, self.rows.filled, skipped, near = _records.scan_packets(
                buffer,
                position,
                self._longest,
                self._tracks.of_id,
                self._tracks.rows,
                self._tracks.count,
                self.rows.block,
                self.rows.filled,
                *self._near_until,
                self._tracks.is_disordered,
            )
            self.skipped_records += skipped
            self.near_start += near
            if stopped == _records.FULL:
                self.rows.next_block(self._offset + position)
            elif stopped == _records.HEADER:
                after = self._header_packet(buffer, position)
                if not after:
                    return position
                position = after
            elif stopped == _records.MORE:
                return position
            elif stopped == _records.FELL:
                self._tracks.end_run(_RECORD.unpack_from(buffer, position + _PACKET.size)[2])
            else:
                raise self._refusal(stopped, buffer, position)

    def _refusal(self, stopped: int, buffer: bytes, position: int) -> CaseRefused:
        """Return the error for the packet at which the scan stopped."""
        where = self._offset + position
        _, length = _PACKET.unpack_from(buffer, position)
        if stopped == _records.TOO_LONG:
            return CaseRefused("corrupt", f"the packet at decompressed byte {where} claims {length} bytes")
        if stopped == _records.NO_HEAD:
            return CaseRefused("corrupt", f"the record at decompressed byte {where} has {length} bytes, too few")
        _, time, track_id = _RECORD.unpack_from(buffer, position + _PACKET.size)
        name = shown(self._tracks.header_of(track_id).name)
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
            self._tracks.put(read_track(buffer[body : body + length], where))
        else:
            self._put_device(*read_device(buffer[body : body + length], where))
        return body + int(length)

    def _put_device(self, device_id: int, name: str) -> None:
        if device_id in self.devices:
            self.memory.release(memory_of(self.devices[device_id]))
        self.memory.hold(memory_of(name))
        self.devices[device_id] = name
