"""Writes the `.vital` format.

A file is a header and a sequence of packets. `encode_file` writes any packets in any order, so that tests of the reader
can create late or repeated headers, tracks with the same name, unknown packets and damage. `encode_interleaved` and
`encode_packed` write complete recordings in the two layouts found in practice. All numbers are little-endian.

The format is not documented by its authors; the layout follows their reader and writer (`vitaldb` 1.7.2 on PyPI) and
files written by Vital Recorder 1.8.7.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from vitalprep.simulate.vital_packets import (
    GAP_VALUES,
    SAMPLE_DTYPES,
    DeviceHeader,
    FileHeader,
    Kind,
    NumericRecord,
    NumericSeries,
    PackedExtent,
    Packet,
    RawPacket,
    Record,
    Samples,
    StringRecord,
    Track,
    TrackHeader,
    TrackOrder,
    WaveRecord,
)

__all__ = [
    "GAP_VALUES",
    "SAMPLE_DTYPES",
    "DeviceHeader",
    "FileHeader",
    "NumericRecord",
    "NumericSeries",
    "PackedExtent",
    "Packet",
    "RawPacket",
    "Record",
    "StringRecord",
    "Track",
    "TrackHeader",
    "TrackOrder",
    "WaveRecord",
    "encode_file",
    "encode_interleaved",
    "encode_packed",
    "encode_packet",
    "gzip_bytes",
    "merge_waves",
    "raw_samples",
]

_KIND_CODES: Final[Mapping[Kind, int]] = {"wave": 1, "numeric": 2, "string": 5}
_TRACK, _RECORD, _COMMAND, _DEVICE = 0, 1, 6, 9
_TRACK_ORDER_COMMAND = 5
_PACKET_HEAD: Final = struct.Struct("<bI")
_RECORD_HEAD: Final = struct.Struct("<HdH")
_INFO_LENGTH = 10  # bytes of time and track id


def encode_file(header: FileHeader, packets: Iterable[Packet]) -> bytes:
    """Return a complete file, uncompressed, with its packets in the given order."""
    return _encode_head(header) + b"".join(map(encode_packet, packets))


def encode_interleaved(header: FileHeader, devices: Sequence[DeviceHeader], tracks: Sequence[Track]) -> bytes:
    """Return a recording as Vital Recorder writes it while recording: records in time order over all tracks.

    Each track's header comes directly before its first record, as when a device is plugged in late. Records with the
    same time keep the order of `tracks`.
    """
    pieces: list[bytes] = []
    times: list[npt.NDArray[np.float64]] = []
    for track in tracks:
        own = np.concatenate([np.empty(0), *map(_times, track.records)])
        pieces.append(encode_packet(track.header))
        times += [np.array([own.min() if len(own) else -np.inf]), own]
        for record in track.records:
            pieces.extend(_record_pieces(record))
    order = np.argsort(np.concatenate(times), kind="stable") if times else ()
    closing = encode_packet(TrackOrder(tuple(track.header.track_id for track in tracks)))
    # Joined only once, because a long case's waves are hundreds of megabytes.
    return b"".join([_encode_head(header), *map(encode_packet, devices), *[pieces[index] for index in order], closing])


def encode_packed(header: FileHeader, devices: Sequence[DeviceHeader], tracks: Sequence[Track]) -> bytes:
    """Return a recording grouped by track, with each wave track as a single record with filled gaps.

    All headers come first and contain the length of their track's records, so that a reader can skip a track. Waves
    come last, as in the `vitaldb` package, so that readers of numerics can stop before them. The caller sets the file
    header's packed flag.
    """
    ordered = [track for track in tracks if track.header.kind != "wave"]
    ordered += [track for track in tracks if track.header.kind == "wave"]
    heads: list[TrackHeader] = []
    bodies: list[bytes] = []
    for track in ordered:
        records = _packed_records(track)
        body = [encode_packet(record) for record in records]
        heads.append(replace(track.header, extent=_extent(track.header, records, sum(map(len, body)))))
        bodies += body
    closing = encode_packet(TrackOrder(tuple(track.header.track_id for track in tracks)))
    return b"".join([encode_file(header, [*devices, *heads]), *bodies, closing])


def encode_packet(packet: Packet) -> bytes:
    """Return one encoded packet with its head; a `NumericSeries` becomes one packet per value."""
    match packet:
        case DeviceHeader():
            texts = (packet.typename, packet.name, packet.port)
            return _packet(_DEVICE, struct.pack("<I", packet.device_id) + b"".join(map(_string, texts)))
        case TrackHeader():
            return _packet(_TRACK, _track_body(packet))
        case TrackOrder(track_ids):
            count = len(track_ids)
            return _packet(_COMMAND, struct.pack(f"<BH{count}H", _TRACK_ORDER_COMMAND, count, *track_ids))
        case RawPacket(packet_type, body):
            return _packet(packet_type, body)
        case _:
            return b"".join(_record_pieces(packet))


def merge_waves(records: Sequence[WaveRecord], sample_rate: float) -> WaveRecord:
    """Join a track's wave records into one, with gaps filled by the format's gap value.

    Each record is placed at the nearest sample of a grid that begins with the earliest record. In overlaps, the later
    record wins. `sample_rate` in Hz.

    Raises
    ------
    ValueError
        If there are no records, several formats, or several records without a sample rate.
    """
    ordered = sorted(records, key=lambda record: record.time)
    formats = {record.sample_format for record in ordered}
    if len(formats) != 1 or (len(ordered) > 1 and sample_rate <= 0):
        raise ValueError(f"cannot join {len(ordered)} wave records of formats {formats} at {sample_rate} Hz")
    first = ordered[0]
    starts = [round((record.time - first.time) * sample_rate) for record in ordered]
    length = max(start + len(record.samples) for start, record in zip(starts, ordered, strict=True))
    code = first.sample_format
    samples = np.full(length, GAP_VALUES[code], dtype=SAMPLE_DTYPES[code])
    for start, record in zip(starts, ordered, strict=True):
        samples[start : start + len(record.samples)] = _stored(record.samples, code)
    return replace(first, samples=samples)


def raw_samples(values: npt.ArrayLike, *, sample_format: int, gain: float = 1.0, offset: float = 0.0) -> Samples:
    """Convert physical values of any shape to stored samples: `(value - offset) / gain`, rounded for integer formats.

    Values beyond the format's range are clipped to its limits, as an analogue-digital converter saturates.
    """
    dtype = SAMPLE_DTYPES[sample_format]
    if dtype.kind == "f":
        return np.asarray(values, dtype=dtype)  # gain and offset do not apply to floats
    limits = np.iinfo(dtype)
    scaled = np.rint((np.asarray(values, dtype=np.float64) - offset) / gain)
    return np.clip(scaled, limits.min, limits.max).astype(dtype)


def gzip_bytes(data: bytes, *, level: int = 6, closed: bool = True) -> bytes:
    """Compress as one gzip member without time, name or operating system, so that equal data give equal bytes.

    The operating system byte of Python's `gzip.compress` depends on the Python version. Without `closed` the stream has
    no end and no checksum, as after a crash.
    """
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF])
    if not closed:
        return b"".join([head, deflate.compress(data), deflate.flush(zlib.Z_SYNC_FLUSH)])
    tail = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return b"".join([head, deflate.compress(data), deflate.flush(), tail])


def _encode_head(header: FileHeader) -> bytes:
    fields = struct.pack(
        "<hIIddB",
        header.utc_offset_minutes,
        header.instance_id,
        header.program_version,
        header.start,
        header.end,
        header.packed,
    )
    head = b"VITA" + struct.pack("<IH", header.version, header.length)
    return head + fields[: header.length].ljust(header.length, b"\0")


def _packet(packet_type: int, body: bytes) -> bytes:
    return _PACKET_HEAD.pack(packet_type, len(body)) + body


def _string(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack("<I", len(encoded)) + encoded


def _track_body(header: TrackHeader) -> bytes:
    head = struct.pack("<HBB", header.track_id, _KIND_CODES[header.kind], header.sample_format)
    numbers = struct.pack(
        "<ffIfddBI",
        header.display_min,
        header.display_max,
        header.colour,
        header.sample_rate,
        header.gain,
        header.offset,
        header.monitor_type,
        header.device_id,
    )
    extent = header.extent
    tail = struct.pack("<Idd", extent.record_length, extent.first_time, extent.last_time) if extent else b""
    return head + _string(header.name) + _string(header.unit) + numbers + tail


def _record_pieces(record: Record) -> list[bytes]:
    """Return one complete packet per record; n packets for a series of n values."""
    match record:
        case NumericSeries():
            return _series_pieces(record)
        case NumericRecord():
            content = _stored(record.value, record.sample_format).tobytes()
        case WaveRecord():
            content = struct.pack("<I", len(record.samples)) + _stored(record.samples, record.sample_format).tobytes()
        case StringRecord():
            content = struct.pack("<I", 0) + _string(record.text)
    head = _RECORD_HEAD.pack(_INFO_LENGTH + len(record.extra_info), record.time, record.track_id)
    return [_packet(_RECORD, head + record.extra_info + content)]


def _series_pieces(series: NumericSeries) -> list[bytes]:
    # One structured array instead of one struct.pack per value: a recording has several hundred thousand values.
    sample = SAMPLE_DTYPES[series.sample_format]
    head = [("type", "<i1"), ("length", "<u4"), ("info", "<u2"), ("time", "<f8"), ("track", "<u2")]
    table = np.empty(len(series.times), dtype=np.dtype([*head, ("sample", sample)]))
    table["type"] = _RECORD
    table["length"] = _RECORD_HEAD.size + sample.itemsize
    table["info"] = _INFO_LENGTH
    table["time"] = series.times
    table["track"] = series.track_id
    table["sample"] = _stored(series.values, series.sample_format)
    size, data = table.dtype.itemsize, table.tobytes()
    return [data[start : start + size] for start in range(0, len(data), size)]


def _stored(values: npt.ArrayLike, sample_format: int) -> Samples:
    """Return samples in the stored type; raise ValueError if an integer format would change them."""
    raw = np.asarray(values)
    if raw.dtype == SAMPLE_DTYPES[sample_format]:
        return raw
    with np.errstate(invalid="ignore"):  # NaN to integer; detected below
        stored = raw.astype(SAMPLE_DTYPES[sample_format])
    if stored.dtype.kind != "f" and not np.array_equal(stored, raw):
        raise ValueError(f"values do not fit sample format {sample_format} ({stored.dtype}); convert with raw_samples")
    return stored


def _times(record: Record) -> npt.NDArray[np.float64]:
    return record.times if isinstance(record, NumericSeries) else np.array([record.time], dtype=np.float64)


def _packed_records(track: Track) -> list[Record]:
    records = list(track.records)
    if track.header.kind == "wave" and records:
        waves = [record for record in records if isinstance(record, WaveRecord)]
        if len(waves) < len(records):
            raise ValueError(f"wave track {track.header.name} has records of another kind")
        return [merge_waves(waves, track.header.sample_rate)]
    if len(records) == 1 and isinstance(series := records[0], NumericSeries):
        order = np.argsort(series.times, kind="stable")
        return [replace(series, times=series.times[order], values=np.asarray(series.values)[order])]
    return sorted(records, key=lambda record: float(_times(record)[0]) if len(_times(record)) else -np.inf)


def _extent(header: TrackHeader, records: Sequence[Record], length: int) -> PackedExtent:
    times = np.concatenate([_times(record) for record in records]) if records else np.empty(0)
    if not len(times):
        return PackedExtent(record_length=length, first_time=0.0, last_time=0.0)
    last = float(times.max())
    if isinstance(wave := records[-1], WaveRecord) and header.sample_rate > 0:
        last = wave.time + len(wave.samples) / header.sample_rate  # one step past the last sample, as vitaldb writes it
    return PackedExtent(record_length=length, first_time=float(times.min()), last_time=last)
