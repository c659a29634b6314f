"""The writer of the `.vital` format: its bytes, and how the `vitaldb` package reads them."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitalprep.simulate.vital_writer import (
    GAP_VALUES,
    SAMPLE_DTYPES,
    DeviceHeader,
    FileHeader,
    NumericRecord,
    NumericSeries,
    RawPacket,
    StringRecord,
    Track,
    TrackHeader,
    TrackOrder,
    WaveRecord,
    encode_file,
    encode_interleaved,
    encode_packed,
    encode_packet,
    gzip_bytes,
    merge_waves,
    raw_samples,
)

vitaldb = pytest.importorskip("vitaldb", reason="the reference reader is a development dependency")

START = 4102444800.0
MONITOR = DeviceHeader(device_id=7, typename="Solar8000", name="Solar8000", port="COM1")
HR = TrackHeader(track_id=1, kind="numeric", name="HR", unit="/min", device_id=7)
CO2 = TrackHeader(
    track_id=2,
    kind="wave",
    sample_format=6,
    name="CO2",
    unit="mmHg",
    sample_rate=62.5,
    gain=0.5,
    offset=-10,
    device_id=7,
)
EVENT = TrackHeader(track_id=3, kind="string", name="EVENT")


def recording() -> list[Track]:
    """Three tracks; the wave has a gap of 64 samples between its records."""
    beats = NumericSeries(track_id=1, times=START + np.arange(5.0), values=np.array([70, 71, 72.5, 0, 73]))
    waves = tuple(
        WaveRecord(track_id=2, time=START + at, samples=np.arange(64) + first, sample_format=6)
        for at, first in ((0.0, 0), (2.048, 128))
    )
    note = StringRecord(track_id=3, time=START + 2.5, text="incisión ℃")
    return [Track(CO2, waves), Track(HR, (beats,)), Track(EVENT, (note,))]


def split_packets(data: bytes) -> list[tuple[int, bytes]]:
    """Packet types and bodies of an uncompressed file, walked by their lengths."""
    position = 10 + struct.unpack_from("<H", data, 8)[0]
    packets = []
    while position < len(data):
        packet_type, length = struct.unpack_from("<bI", data, position)
        packets.append((packet_type, data[position + 5 : position + 5 + length]))
        position += 5 + length
    assert position == len(data)
    return packets


def read_back(folder: Path, data: bytes) -> Any:
    path = folder / "case.vital"
    path.write_bytes(gzip_bytes(data))
    return vitaldb.VitalFile(str(path))


@pytest.mark.parametrize("length", [2, 10, 26, 27, 40])
def test_header_has_the_length_it_tells(length: int) -> None:
    data = encode_file(FileHeader(length=length, start=START, end=START + 9, packed=True, utc_offset_minutes=-540), [])
    assert data[:10] == b"VITA" + struct.pack("<IH", 3, length)
    assert len(data) == 10 + length
    assert struct.unpack_from("<h", data, 10) == (-540,)
    if length >= 27:
        assert struct.unpack_from("<ddB", data, 20) == (START, START + 9, 1)
        assert not any(data[37:])


def test_packets_byte_by_byte() -> None:
    names = (9, b"Solar8000", 9, b"Solar8000", 4, b"COM1")
    assert encode_packet(MONITOR) == b"\x09" + struct.pack("<III9sI9sI4s", 38, 7, *names)
    assert encode_packet(NumericRecord(track_id=1, time=2.5, value=70)) == (
        b"\x01\x10\0\0\0\x0a\0" + struct.pack("<dHf", 2.5, 1, 70)
    )
    assert encode_packet(StringRecord(track_id=3, time=1.0, text="µ")) == (
        b"\x01\x16\0\0\0\x0a\0" + struct.pack("<dHII", 1.0, 3, 0, 2) + "µ".encode()
    )
    assert encode_packet(TrackOrder((1, 300))) == b"\x06\x07\0\0\0\x05\x02\0\x01\0\x2c\x01"
    assert encode_packet(RawPacket(77, b"xy")) == b"M\x02\0\0\0xy"


def test_extra_info_lies_between_track_id_and_sample() -> None:
    body = encode_packet(NumericRecord(track_id=1, time=2.5, value=70, extra_info=b"abc"))[5:]
    info_length = struct.unpack_from("<H", body)[0]
    assert info_length == 13
    assert struct.unpack_from("<f", body, 2 + info_length) == (70,)


def test_series_is_the_same_as_its_records() -> None:
    times, values = START + np.arange(4) / 3, np.array([1, -2, 3, 4], dtype=np.int16)
    for sample_format in (1, 2, 5, 7):
        series = NumericSeries(track_id=9, times=times, values=values, sample_format=sample_format)
        singles = [
            NumericRecord(track_id=9, time=time, value=value, sample_format=sample_format)
            for time, value in zip(times.tolist(), values.tolist(), strict=True)
        ]
        assert encode_packet(series) == b"".join(map(encode_packet, singles))


@pytest.mark.parametrize("sample_format", SAMPLE_DTYPES)
def test_every_format_keeps_its_extremes_and_refuses_what_does_not_fit(sample_format: int) -> None:
    dtype = SAMPLE_DTYPES[sample_format]
    if dtype.kind == "f":
        samples = np.array([np.finfo(dtype).min, 0, np.finfo(dtype).max], dtype=dtype)
    else:
        limits = np.iinfo(dtype)
        samples = np.array([limits.min, limits.max, 1], dtype=dtype)
        for unfit in (limits.max + 1, limits.min - 1, 0.5, math.nan):
            with pytest.raises(ValueError, match="do not fit"):
                encode_packet(NumericRecord(track_id=1, time=0, value=unfit, sample_format=sample_format))
    body = encode_packet(WaveRecord(track_id=1, time=0, samples=samples, sample_format=sample_format))[5:]
    assert struct.unpack_from("<I", body, 12) == (3,)
    assert np.frombuffer(body, dtype, offset=16).tolist() == samples.tolist()


@pytest.mark.parametrize("sample_format", SAMPLE_DTYPES)
def test_merged_wave_has_the_gap_value_where_nothing_was_recorded(sample_format: int) -> None:
    piece = WaveRecord(track_id=1, time=100.6, samples=np.array([1, 2, 3]), sample_format=sample_format)
    pieces = [piece, replace(piece, time=100.0)]
    merged = merge_waves(pieces, 10.0)
    assert merged.time == 100.0
    np.testing.assert_array_equal(merged.samples, [1, 2, 3, *[GAP_VALUES[sample_format]] * 3, 1, 2, 3])
    with pytest.raises(ValueError, match="0 Hz"):
        merge_waves(pieces, 0)


def test_raw_samples_undo_gain_and_offset_and_saturate() -> None:
    raw = raw_samples([-10, 0, 1e9, -1e9], sample_format=6, gain=0.5, offset=-10)
    assert raw.dtype == np.uint16
    assert raw.tolist() == [0, 20, 65535, 0]
    assert raw_samples([1.5], sample_format=1, gain=2).tolist() == [1.5]


def test_interleaved_records_are_in_time_order_and_headers_before_them() -> None:
    packets = split_packets(encode_interleaved(FileHeader(length=10), [MONITOR], recording()))
    times = [struct.unpack_from("<d", body, 2)[0] for kind, body in packets if kind == 1]
    assert len(times) == 8
    assert times == sorted(times)
    known: set[int] = set()
    for kind, body in packets:
        if kind == 0:
            known.add(struct.unpack_from("<H", body)[0])
        if kind == 1:
            assert struct.unpack_from("<H", body, 10)[0] in known
    assert [kind for kind, _ in packets].index(1) < max(i for i, (kind, _) in enumerate(packets) if kind == 0)


def test_packed_headers_tell_length_and_times_of_their_records() -> None:
    packets = split_packets(encode_packed(FileHeader(packed=True), [MONITOR], recording()))
    extents = {
        struct.unpack_from("<H", body)[0]: struct.unpack_from("<Idd", body, len(body) - 20)
        for kind, body in packets
        if kind == 0
    }
    lengths = dict.fromkeys(extents, 0)
    for kind, body in packets:
        if kind == 1:
            lengths[struct.unpack_from("<H", body, 10)[0]] += 5 + len(body)
    assert lengths == {track_id: extent[0] for track_id, extent in extents.items()}
    assert extents[1][1:] == (START, START + 4)
    assert extents[2][1:] == (START, START + 192 / 62.5)
    assert [kind for kind, _ in packets].index(1) > max(i for i, (kind, _) in enumerate(packets) if kind == 0)


@pytest.mark.parametrize("encode", [encode_interleaved, encode_packed])
def test_the_reference_reader_returns_what_was_written(tmp_path: Path, encode: Callable[..., bytes]) -> None:
    header = FileHeader(start=START, end=START + 5, packed=encode is encode_packed)
    found = read_back(tmp_path, encode(header, [MONITOR], recording()))
    assert (found.dtstart, found.dtend) == (START, START + 5)
    heart = found.trks["Solar8000/HR"]
    assert heart.unit == "/min"
    beats = [(record["dt"] - START, record["val"]) for record in heart.recs]
    assert beats == [(0, 70), (1, 71), (2, 72.5), (3, 0), (4, 73)]
    wave = found.trks["Solar8000/CO2"]
    assert (wave.srate, wave.gain, wave.offset, wave.fmt) == (62.5, 0.5, -10, 6)
    samples = np.concatenate([record["val"] for record in wave.recs])
    samples = samples[samples != GAP_VALUES[6]]
    assert samples.tolist() == [*range(64), *range(128, 192)]
    assert [record["val"] for record in found.trks["EVENT"].recs] == ["incisión ℃"]


def test_any_order_of_packets_can_be_written(tmp_path: Path) -> None:
    """A record before its header, a header twice, two tracks of one name, an unknown packet."""
    early = NumericRecord(track_id=1, time=START, value=60)
    twin = replace(HR, track_id=4)
    later, last = replace(early, value=61), replace(early, track_id=4, value=62)
    data = encode_file(FileHeader(length=10), [MONITOR, early, HR, RawPacket(99, b"?"), later, twin, HR, last])
    assert [kind for kind, _ in split_packets(data)] == [9, 1, 0, 99, 1, 0, 0, 1]
    assert read_back(tmp_path, data).trks["Solar8000/HR"].recs[-1]["val"] == 62


def test_gzip_is_deterministic_and_whole() -> None:
    data = bytes(range(256)) * 500
    packed = gzip_bytes(data)
    assert packed[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert gzip_bytes(data) == packed
    assert gzip.decompress(packed) == data
    assert gzip.decompress(packed + gzip_bytes(b"second member")) == data + b"second member"


def test_tracks_without_records(tmp_path: Path) -> None:
    for encode in (encode_interleaved, encode_packed):
        found = read_back(tmp_path, encode(FileHeader(length=27), [MONITOR], [Track(HR, ()), Track(CO2, ())]))
        assert {name: len(track.recs) for name, track in found.trks.items()} == {"Solar8000/HR": 0, "Solar8000/CO2": 0}
