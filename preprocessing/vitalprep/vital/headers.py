"""The header packets of a ``.vital`` stream, which describe devices and tracks (format: see `scan`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vitalprep.runtime.errors import CaseRefused
from vitalprep.runtime.printable import printable

__all__ = ["NUMERIC", "WAVE", "HeaderMemory", "TrackHeader", "memory_of", "read_device", "read_track", "shown"]

WAVE, NUMERIC = 1, 2
SAMPLE_FORMATS = range(1, 9)
LONGEST_SHOWN = 64
MOST_HEADERS = 1 << 18  # a few microseconds each; real files have a few hundred
MOST_HEADER_TEXT = 16 << 20  # total bytes of header packets; decoding invalid UTF-8 takes 0.1 microseconds per byte
MOST_HEADER_BYTES = 96 << 20  # memory
HEADER_OBJECTS = 700  # bytes of Python objects per header and its track, besides the texts


@dataclass(frozen=True, slots=True)
class TrackHeader:
    """The used fields of a track header, and its raw bytes. Two headers are equal if their bytes are equal."""

    body: bytes
    track_id: int
    kind: int
    format: int
    name: str
    unit: str
    rate: float
    gain: float
    offset: float
    device_id: int

    @property
    def track(self) -> tuple[int, int, str, int]:
        """What makes it the same track as another header of its file: id, kind, name and device."""
        return self.track_id, self.kind, self.name, self.device_id

    @property
    def memory(self) -> int:
        """Upper bound of its memory in bytes."""
        return len(self.body) + memory_of(self.name, self.unit)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrackHeader) and self.body == other.body

    def __hash__(self) -> int:
        return hash(self.body)


class HeaderMemory:
    """Limits for the headers of a file: 262,144 packets, 16 MiB in total, 96 MiB of memory at a time.

    All 65,536 track ids fit, with names and units of fifty characters.
    """

    def __init__(self) -> None:
        self.packets = 0
        self.read = 0
        self.held = 0

    def count(self, length: int, where: int) -> None:
        """Count a header packet of `length` bytes at decompressed byte `where`; ``too_large`` beyond the limits."""
        self.packets += 1
        self.read += length
        if self.packets > MOST_HEADERS or self.read > MOST_HEADER_TEXT:
            raise CaseRefused(
                "too_large",
                f"the file has more than {MOST_HEADERS} header packets, or more than {MOST_HEADER_TEXT} bytes of them, "
                f"up to decompressed byte {where}",
            )

    def hold(self, size: int) -> None:
        """Count allocated bytes; ``too_large`` beyond the limit."""
        self.held += size
        if self.held > MOST_HEADER_BYTES:
            raise CaseRefused(
                "too_large", f"the headers of tracks and devices take more than {MOST_HEADER_BYTES} bytes of memory"
            )

    def release(self, size: int) -> None:
        """Count freed bytes."""
        self.held -= size


def memory_of(*texts: str) -> int:
    """Return an upper bound, in bytes, of the memory of a header with these texts."""
    return HEADER_OBJECTS + 4 * sum(map(len, texts))


def shown(text: str) -> str:
    """Return a name or unit for logs and receipts: escaped, and shortened to about 64 characters."""
    begin = text[: LONGEST_SHOWN + 1]
    escaped = printable(begin)
    return escaped if len(escaped) <= LONGEST_SHOWN else f"{escaped[:LONGEST_SHOWN]}..."


def read_device(body: bytes, where: int) -> tuple[int, str]:
    """Return a device's id and name, or its type if the name is empty. `where` is the packet's decompressed byte."""
    fields = _Fields(body, where)
    device_id, typename = fields.take("<I"), fields.string()
    name = fields.string() if fields.left else ""
    return device_id, name or typename


def read_track(body: bytes, where: int) -> TrackHeader:
    """Parse a track header from the body of the packet at decompressed byte `where`.

    Raises
    ------
    CaseRefused
        ``corrupt`` if the body ends inside a field, or if a wave or numeric track has an unknown sample format.
    """
    fields = _Fields(body, where)
    track_id, kind, sample_format = fields.take("<H"), fields.take("<B"), fields.take("<B")
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
    return TrackHeader(body, track_id, kind, sample_format, name, unit, rate, gain, offset, device_id)


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
