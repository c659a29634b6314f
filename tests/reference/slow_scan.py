"""Reference implementation of the scan in plain Python, one packet at a time.

The compiled scan of `vitalprep.vital` must give the same results. This module can also decode waves, which the
compiled scan only counts. The stream can be fed in chunks of any size.

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

Packets of other types are skipped. A body may be longer than the fields listed here, never shorter.
"""

from __future__ import annotations

import math
import struct
from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitalprep.runtime.errors import CaseRefused
from vitalprep.vital.headers import HeaderMemory, memory_of, shown
from vitalprep.vital.rows import MOST_SAMPLES
from vitalprep.vital.scan import LONGEST_HEADER_PACKET

__all__ = ["NUMERIC", "SAMPLE_FORMATS", "WAVE", "TrackRecords", "VitalScan"]

# Sample formats by code: type, and the value that fills gaps of packed waves (float formats: NaN).
SAMPLE_FORMATS: dict[int, tuple[np.dtype[np.generic], int | None]] = {
    1: (np.dtype("<f4"), None),
    2: (np.dtype("<f8"), None),
    3: (np.dtype("<i1"), -128),
    4: (np.dtype("<u1"), 255),
    5: (np.dtype("<i2"), -32768),
    6: (np.dtype("<u2"), 65535),
    7: (np.dtype("<i4"), -2147483648),
    8: (np.dtype("<u4"), 4294967295),
}
WAVE, NUMERIC = 1, 2
TRACK_PACKET, RECORD_PACKET, DEVICE_PACKET = 0, 1, 9
START_TIME_AT = 10  # byte offset in the header, if the header has at least 26 bytes
START_TIME_HEADER = 26
LONGEST_RECORD_HEAD = 1 << 17  # more than 2 + 65,535 + 4 bytes and a sample
_PACKET = struct.Struct("<bI")
_RECORD = struct.Struct("<HdH")
_COUNT = struct.Struct("<I")


@dataclass
class TrackRecords:
    """One track header and its records; samples stay raw bytes until the end."""

    definition: bytes
    kind: int
    format: int
    name: str
    unit: str
    rate: float
    gain: float
    offset: float
    device_id: int
    times: array[float] = field(default_factory=lambda: array("d"))
    order: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("Q"))
    raw: bytearray = field(default_factory=bytearray)

    def decoded(self) -> NDArray[np.float64]:
        """Return all samples as float64, gain and offset applied to integers (gain 0 means raw)."""
        dtype, _ = SAMPLE_FORMATS[self.format]
        stored = np.frombuffer(bytes(self.raw), dtype=dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            samples = stored.astype(np.float64)
            if dtype.kind in "iu" and self.gain != 0:
                samples = samples * self.gain + self.offset
        return samples

    def blocks(self) -> list[tuple[float, float, NDArray[np.float64]]]:
        """Return a wave's records; the format's sentinel becomes NaN."""
        dtype, gap = SAMPLE_FORMATS[self.format]
        samples = self.decoded()
        if gap is not None:
            samples[np.frombuffer(bytes(self.raw), dtype=dtype) == gap] = np.nan
        ends = np.cumsum(np.asarray(self.counts, dtype=np.int64))
        return list(zip(self.times, [self.rate] * len(self.times), np.split(samples, ends[:-1]), strict=True))

    def last_sample_time(self) -> float:
        """Return the time of the latest sample, in s; needs at least one record."""
        times = np.asarray(self.times)
        if self.kind != WAVE or not (math.isfinite(self.rate) and self.rate > 0):
            return float(times.max())
        after_first = np.maximum(np.asarray(self.counts, dtype=np.int64) - 1, 0)
        return float((times + after_first / self.rate).max())


class VitalScan:
    """Incremental scan of the decompressed stream."""

    def __init__(self, *, keep_waves: bool, max_bytes: int) -> None:
        self.keep_waves = keep_waves
        self.max_bytes = max_bytes
        self.start_time: float | None = None
        self.devices: dict[int, str] = {}
        self.current: dict[int, TrackRecords] = {}
        self.tracks: list[TrackRecords] = []
        self.records = 0
        self.samples = 0
        self.memory = HeaderMemory()
        self.skipped_records = 0
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
        end = len(buffer)
        while end - position >= _PACKET.size:
            kind, length = _PACKET.unpack_from(buffer, position)
            body = position + _PACKET.size
            where = self._offset + position
            if length > self.max_bytes:
                raise CaseRefused("corrupt", f"the packet at decompressed byte {where} claims {length} bytes")
            needed = self._needed(kind, length, where)
            if end - body < needed:
                return position
            if kind == RECORD_PACKET:
                self._record(buffer, body, length, where)
            elif kind == TRACK_PACKET:
                self._track(buffer[body : body + length], where)
            elif kind == DEVICE_PACKET:
                self._device(buffer[body : body + length], where)
            position = body + length
        return position

    def _needed(self, kind: int, length: int, where: int) -> int:
        """Return how many bytes of a body are needed to process it; 0 for a packet that is skipped."""
        if kind == RECORD_PACKET:
            return length if self.keep_waves else min(length, LONGEST_RECORD_HEAD)
        if kind in (TRACK_PACKET, DEVICE_PACKET):
            if length > LONGEST_HEADER_PACKET:
                raise CaseRefused("corrupt", f"the header packet at decompressed byte {where} claims {length} bytes")
            return length
        return 0

    def _record(self, buffer: bytes, body: int, length: int, where: int) -> None:
        if length < _RECORD.size:
            raise CaseRefused("corrupt", f"the record at decompressed byte {where} has {length} bytes, too few")
        info, time, track_id = _RECORD.unpack_from(buffer, body)
        track = self.current.get(track_id)
        if track is None:
            self.skipped_records += 1
            return
        if track.kind not in (WAVE, NUMERIC):
            return
        if not math.isfinite(time):
            raise CaseRefused(
                "corrupt", f"the record at decompressed byte {where} ({shown(track.name)}) has time {time}"
            )
        width = SAMPLE_FORMATS[track.format][0].itemsize
        data = body + 2 + info
        samples = 1
        if track.kind == WAVE and info >= 10 and data + 4 <= body + length:
            samples = _COUNT.unpack_from(buffer, data)[0]
        if track.kind == WAVE:
            data += 4
        if info < 10 or data + samples * width > body + length:
            raise CaseRefused(
                "corrupt", f"the record at decompressed byte {where} ({shown(track.name)}) is too short for its samples"
            )
        self._count_sample(track, where)
        track.times.append(time)
        track.order.append(self.records)
        self.records += 1
        if track.kind == WAVE:
            track.counts.append(samples)
        if track.kind == NUMERIC or self.keep_waves:
            track.raw += buffer[data : data + samples * width]

    def _count_sample(self, track: TrackRecords, where: int) -> None:
        self.samples += track.kind == NUMERIC
        if self.samples > MOST_SAMPLES:
            raise CaseRefused(
                "too_large", f"the file has more than {MOST_SAMPLES} numeric samples, up to decompressed byte {where}"
            )

    def _device(self, body: bytes, where: int) -> None:
        self.memory.count(len(body), where)
        fields = _Fields(body, where)
        device_id, typename = fields.take("<I"), fields.string()
        name = (fields.string() if fields.left else "") or typename
        if device_id in self.devices:
            self.memory.release(memory_of(self.devices[device_id]))
        self.memory.hold(memory_of(name))
        self.devices[device_id] = name

    def _track(self, body: bytes, where: int) -> None:
        self.memory.count(len(body), where)
        fields = _Fields(body, where)
        track_id, kind, sample_format = fields.take("<H"), fields.take("<B"), fields.take("<B")
        known = self.current.get(track_id)
        if known is not None and known.definition == body:
            return
        name = fields.string()
        unit = fields.string() if fields.left else ""
        for unused in ("<f", "<f", "<I"):
            fields.take_if_left(unused, 0)
        rate = fields.take_if_left("<f", 0.0)
        gain, offset = fields.take_if_left("<d", 0.0), fields.take_if_left("<d", 0.0)
        fields.take_if_left("<B", 0)
        device_id = int(fields.take_if_left("<I", 0))
        if kind in (WAVE, NUMERIC) and sample_format not in SAMPLE_FORMATS:
            raise CaseRefused(
                "corrupt",
                f"the track '{shown(name)}' at decompressed byte {where} has unknown sample format {sample_format}",
            )
        track = TrackRecords(body, kind, sample_format, name, unit, rate, gain, offset, device_id)
        self.memory.hold(len(body) + memory_of(name, unit))
        if known is not None and not known.times:
            self.memory.release(len(known.definition) + memory_of(known.name, known.unit))
            self.tracks = [kept for kept in self.tracks if kept is not known]
        self.current[track_id] = track
        self.tracks.append(track)


class _Fields:
    """Reads the fields of a header packet in order; a body that ends inside a field is corrupt."""

    def __init__(self, body: bytes, where: int) -> None:
        self.body = body
        self.where = where
        self.position = 0

    @property
    def left(self) -> int:
        return len(self.body) - self.position

    def take(self, code: str) -> int:
        size = struct.calcsize(code)
        self._refuse_short(size)
        value: int = struct.unpack_from(code, self.body, self.position)[0]
        self.position += size
        return value

    def take_if_left(self, code: str, default: float) -> float:
        return self.take(code) if self.left else default

    def string(self) -> str:
        length = self.take("<I")
        self._refuse_short(length)
        data = self.body[self.position : self.position + length]
        self.position += length
        return data.decode("utf-8", errors="backslashreplace")

    def _refuse_short(self, size: int) -> None:
        if self.left < size:
            raise CaseRefused("corrupt", f"the header packet at decompressed byte {self.where} ends inside a field")
