"""The reader against VitalDB's own export, the `vitaldb` package, and the data given to the writer."""

from __future__ import annotations

import csv
import gzip
import math
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.slow_vital_file import SlowVitalFile
from tests.vital.recordings import (
    DEVICES,
    START,
    Expected,
    assert_clock,
    assert_numerics,
    comparable,
    name_of,
    packet_rows,
    read_agreed,
    whole_tracks,
)
from vitalprep.runtime.errors import CaseRefused
from vitalprep.simulate.vital_writer import (
    GAP_VALUES,
    DeviceHeader,
    FileHeader,
    NumericRecord,
    NumericSeries,
    Packet,
    Track,
    TrackHeader,
    WaveRecord,
    encode_file,
    encode_interleaved,
    encode_packed,
    encode_packet,
    gzip_bytes,
)

HR = TrackHeader(track_id=1, kind="numeric", name="HR", unit="/min", device_id=1)


def read_packets(packets: list[Packet], header: FileHeader | None = None, *, waves: bool = True) -> SlowVitalFile:
    return read_agreed(gzip_bytes(encode_file(header or FileHeader(), packets)), waves=waves)


# Files that others wrote


def golden_tracks(folder: Path) -> dict[str, tuple[str, str, float, float, float, list[str]]]:
    """Name -> kind, unit, rate, gain, offset and lines of each track that VitalDB's own tool exported."""
    tracks = {}
    with (folder / "trks.csv").open(newline="") as table:
        for row in csv.reader(table):
            lines = gzip.decompress((folder / f"{row[0]}.csv.gz").read_bytes()).decode().split("\n")
            rate, gain, offset = float(row[12]), float(row[14]), float(row[15])
            tracks[row[2]] = (row[9], row[3], rate, gain, offset, lines[:-1] if lines[-1] == "" else lines)
    return tracks


def test_golden_export_value_for_value(shared_data: Path) -> None:
    demo = shared_data / "vital_recorder_demo"
    recording = read_agreed((demo / "test_data_demo.vital").read_bytes(), waves=True)
    golden = golden_tracks(demo / "golden_export")
    assert set(recording.numerics) == {name for name, track in golden.items() if track[0] == "N"}
    assert set(recording.waves) == {name for name, track in golden.items() if track[0] == "W"}
    assert (len(recording.numerics), len(recording.waves), recording.skipped_records) == (13, 4, 0)
    for name, (kind, unit, rate, gain, offset, lines) in golden.items():
        if kind == "N":
            numeric = recording.numerics[name]
            assert numeric.units == (unit,)
            printed = [(float(time), value) for time, value in (line.split(",") for line in lines)]
            np.testing.assert_allclose(numeric.times, [time for time, _ in printed], rtol=0, atol=1e-6)
            assert [f"{value:f}" for value in numeric.values] == [value for _, value in printed]
        elif kind == "W":
            wave = recording.waves[name]
            first = wave.blocks[0][0]
            grid = [""] * len(lines)
            for time, block_rate, samples in wave.blocks:
                assert block_rate == rate
                at = math.floor((time - first) * rate)
                raw = np.rint((samples - offset) / gain).astype(int)
                grid[at : at + len(raw)] = [str(value) for value in raw]
            assert grid == lines
            assert len(wave.blocks) > 1


REAL_FILES = [
    *(
        f"vital_recorder_demo/{name}.vital"
        for name in ("test_data_demo", "test_intelliue_demo2", "test_intellivue_demo1")
    ),
    *(f"vitaldb_open/raw-data/{case:04}.vital" for case in (19, 34, 35, 37, 44, 77, 124, 132, 134, 149, 221)),
]


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_file_equals_the_vitaldb_package(shared_data: Path, name: str) -> None:
    vitaldb = pytest.importorskip("vitaldb", reason="the reference reader is a development dependency")
    path = shared_data / name
    recording = read_agreed(path.read_bytes(), waves=True)
    found = {track: parsed for track, parsed in vitaldb.VitalFile(str(path)).trks.items() if parsed.recs}
    assert set(recording.numerics) == {track for track, parsed in found.items() if parsed.type == 2}
    assert set(recording.waves) == {track for track, parsed in found.items() if parsed.type == 1}
    for track, numeric in recording.numerics.items():
        parsed = found[track]
        assert parsed.fmt == 1  # float32: the package's silence on gain and offset does not matter
        rows = sorted(((row["dt"], row["val"]) for row in parsed.recs), key=lambda row: row[0])
        np.testing.assert_array_equal(numeric.times, [time for time, _ in rows])
        np.testing.assert_array_equal(numeric.values, [value for _, value in rows])
        assert numeric.units == (parsed.unit,)
    for track, wave in recording.waves.items():
        parsed = found[track]
        rows = sorted(parsed.recs, key=lambda row: row["dt"])
        assert [time for time, _, _ in wave.blocks] == [row["dt"] for row in rows]
        assert {rate for _, rate, _ in wave.blocks} == {parsed.srate}
        raw = np.concatenate([np.asarray(row["val"]) for row in rows])
        values = np.where(raw == GAP_VALUES[parsed.fmt], np.nan, raw * parsed.gain + parsed.offset)
        np.testing.assert_array_equal(np.concatenate([samples for _, _, samples in wave.blocks]), values)


def test_waves_left_out_change_nothing_else(shared_data: Path) -> None:
    for name in REAL_FILES[:3]:
        data = (shared_data / name).read_bytes()
        with_waves, without = read_agreed(data, waves=True), read_agreed(data)
        assert with_waves.waves
        assert comparable(with_waves)[:5] == comparable(without)[:5]
        assert without.waves == {}


# What the writer was given


@settings(max_examples=150, deadline=None)
@given(packets=packet_rows(), waves=st.booleans())
def test_packets_in_any_order(packets: list[Packet], waves: bool) -> None:
    """Late and repeated headers, shared names, unknown types, strings, records before their header."""
    found, expected = read_packets(packets, waves=waves), Expected(packets)
    assert_numerics(found, expected)
    assert_clock(found, expected)
    assert set(found.waves) == (set(expected.waves) if waves else set())
    for name, wave in found.waves.items():
        rows = expected.waves[name]
        assert [(time, rate) for time, rate, _ in wave.blocks] == [(time, rate) for time, rate, _ in rows]
        for (_, _, samples), (_, _, wanted) in zip(wave.blocks, rows, strict=True):
            np.testing.assert_array_equal(samples, wanted)
        assert set(wave.units) == expected.units["wave", name]


@settings(max_examples=100, deadline=None)
@given(tracks=whole_tracks(), length=st.sampled_from([10, 26, 27]) | st.integers(0, 300))
def test_interleaved_layout(tracks: list[Track], length: int) -> None:
    found = read_agreed(
        gzip_bytes(encode_interleaved(FileHeader(length=length, start=START), DEVICES, tracks)), waves=True
    )
    in_order = [packet for track in tracks for packet in (track.header, *track.records)]
    assert found.start_time == (START if length >= 26 else None)
    assert_numerics(found, Expected(in_order))
    assert_clock(found, Expected(in_order))


@settings(max_examples=100, deadline=None)
@given(tracks=whole_tracks())
def test_packed_layout_and_its_gaps(tracks: list[Track]) -> None:
    tracks = [Track(track.header, tuple(r for r in track.records if not is_empty_wave(r))) for track in tracks]
    found = read_agreed(gzip_bytes(encode_packed(FileHeader(packed=True), DEVICES, tracks)), waves=True)
    expected = Expected([packet for track in tracks for packet in (track.header, *track.records)])
    assert_numerics(found, expected)
    waves = [track for track in tracks if track.header.kind == "wave" and track.records]
    for name in {name_of(track.header) for track in waves}:
        grids = [packed_grid(track) for track in waves if name_of(track.header) == name]
        grids.sort(key=lambda grid: grid[0])
        blocks = found.waves[name].blocks
        assert [(time, rate) for time, rate, _ in blocks] == [(time, rate) for time, rate, _ in grids]
        for (_, _, samples), (_, _, grid) in zip(blocks, grids, strict=True):
            np.testing.assert_array_equal(samples, grid)


def is_empty_wave(record: object) -> bool:
    return isinstance(record, WaveRecord) and len(record.samples) == 0


def packed_grid(track: Track) -> tuple[float, float, list[float]]:
    """Start, rate and samples of a wave track on the grid of its earliest record, NaN between the records."""
    expected = Expected([track.header, *track.records])
    rows = next(iter(expected.waves.values()))
    first, rate, _ = rows[0]
    placed: dict[int, float] = {}
    for time, _, samples in rows:
        for index, value in enumerate(samples):
            placed[round((time - first) * rate) + index] = value
    return first, rate, [placed.get(index, math.nan) for index in range(max(placed) + 1)]


@settings(max_examples=60, deadline=None)
@given(packets=packet_rows(), cuts=st.lists(st.floats(0, 1), max_size=8))
def test_several_gzip_members_are_one_stream(packets: list[Packet], cuts: list[float]) -> None:
    data = encode_file(FileHeader(start=START), packets)
    edges = sorted({0, len(data), *(int(cut * len(data)) for cut in cuts)})
    members = [gzip_bytes(data[a:b]) for a, b in pairwise(edges)]
    members.insert(len(members) // 2, gzip_bytes(b""))
    whole = read_agreed(gzip_bytes(data), waves=True)
    assert comparable(read_agreed(b"".join(members), waves=True)) == comparable(whole)


GZIP_EXTRA, GZIP_NAME, GZIP_COMMENT, GZIP_HEADER_CRC = 4, 8, 16, 2


def gzip_with(data: bytes, flags: int, *, comment: int = 9) -> bytes:
    """A gzip member with the optional header fields of RFC 1952, its comment `comment` bytes long."""
    head = bytes([0x1F, 0x8B, 8, flags, 1, 2, 3, 4, 0, 3])
    head += struct.pack("<H", 6) + b"AB\2\0xy" if flags & GZIP_EXTRA else b""
    head += b"0001.vital\0" if flags & GZIP_NAME else b""
    head += b"c" * comment + b"\0" if flags & GZIP_COMMENT else b""
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & GZIP_HEADER_CRC else b""
    return head + gzip_bytes(data)[10:]


@pytest.mark.parametrize("flags", range(0, 32, 2))
def test_every_form_of_gzip_header(flags: int) -> None:
    data = encode_file(FileHeader(start=START), [HR, NumericRecord(track_id=1, time=START, value=70)])
    wanted = comparable(read_agreed(gzip_bytes(data)))
    assert comparable(read_agreed(gzip_with(data, flags))) == wanted
    assert comparable(read_agreed(gzip_with(data[:30], flags) + gzip_with(data[30:], flags))) == wanted


@pytest.mark.parametrize("size", [1 << 18, 1 << 19])
@pytest.mark.parametrize("step", [-9, -8, -1, 0, 1, 2])
def test_a_member_that_ends_at_any_place_of_the_file(size: int, step: int) -> None:
    """Files are read in pieces of a power of two: a member that ends at the edge of one, and what follows it."""
    first = encode_file(FileHeader(start=START), [HR, NumericRecord(track_id=1, time=START, value=70)])
    rest = encode_packet(NumericRecord(track_id=1, time=START + 1, value=71))
    fill = size + step - len(gzip_with(first, GZIP_COMMENT, comment=0))
    member = gzip_with(first, GZIP_COMMENT, comment=fill)
    assert len(member) == size + step
    assert read_agreed(member).numerics["/HR"].values.tolist() == [70]
    assert read_agreed(member + gzip_bytes(rest)).numerics["/HR"].values.tolist() == [70, 71]
    with pytest.raises(CaseRefused, match=rf"corrupt: .*byte {len(member)}\b"):
        read_agreed(member + b"x")
    with pytest.raises(CaseRefused, match=rf"truncated: .*byte {len(member) - 1}\b"):
        read_agreed(member[:-1])


def test_a_member_for_every_byte() -> None:
    """So that every field of every packet once lies across two pieces of the stream."""
    samples = np.arange(9)
    wave = TrackHeader(track_id=2, kind="wave", name="CO2", sample_format=5, sample_rate=4.0, gain=0.5, device_id=2)
    packets: list[Packet] = [
        *DEVICES,
        HR,
        wave,
        NumericRecord(track_id=1, time=START, value=70),
        WaveRecord(track_id=2, time=START, samples=samples, sample_format=5, extra_info=b"abc"),
        NumericRecord(track_id=1, time=START + 1, value=71),
    ]
    data = encode_file(FileHeader(start=START), packets)
    pieces = b"".join(gzip_bytes(data[at : at + 1]) for at in range(len(data)))
    for waves in (True, False):
        assert comparable(read_agreed(pieces, waves=waves)) == comparable(read_agreed(gzip_bytes(data), waves=waves))
    assert read_agreed(pieces).numerics["Solar8000/HR"].values.tolist() == [70, 71]


def test_large_file_over_many_pieces() -> None:
    """Some megabytes: numerics whose packets lie across the pieces read, and waves of a megabyte and more."""
    count = 60_000
    seconds = START + np.arange(count) / 7
    values = np.random.default_rng(1).uniform(0, 200, count).astype(np.float32)  # hardly compressible
    wave = TrackHeader(track_id=2, kind="wave", name="ECG", sample_format=5, sample_rate=500.0, gain=0.5, device_id=2)
    long = WaveRecord(track_id=2, time=START, samples=np.arange(1_300_001) % 9973, sample_format=5)
    series = [
        NumericSeries(track_id=1, times=seconds[part], values=values[part])
        for part in (slice(0, 30_011), slice(30_011, count))
    ]
    packets: list[Packet] = [*DEVICES, HR, wave, series[0], long, series[1], long]
    for waves in (True, False):
        found = read_packets(packets, waves=waves)
        np.testing.assert_array_equal(found.numerics["Solar8000/HR"].times, seconds)
        np.testing.assert_array_equal(found.numerics["Solar8000/HR"].values, values)
        assert found.last_time == max(START + 1_300_000 / 500, seconds[-1])
        assert found.skipped_records == 0
        for _, _, samples in found.waves["Primus/ECG"].blocks if waves else ():
            np.testing.assert_array_equal(samples, np.arange(1_300_001) % 9973 * 0.5)


@pytest.mark.parametrize("start", [0.0, -5.0, math.nan, math.inf, -math.inf])
def test_an_invalid_start_time_is_ignored(start: float) -> None:
    found = read_packets([*DEVICES, HR, NumericRecord(track_id=1, time=START, value=70)], FileHeader(start=start))
    assert (found.start_time, found.first_time) == (None, START)


@pytest.mark.parametrize("kind", ["wave", "numeric"])
@pytest.mark.parametrize("sample_format", range(1, 9))
def test_every_format_with_its_extremes(sample_format: int, kind: str) -> None:
    """Explicit widths: int32 and uint32 too, where the package stops."""
    extremes = {1: 3.4e38, 2: 1.7e308, 3: 127, 4: 254, 5: 32767, 6: 65534, 7: 2147483647, 8: 4294967294}
    lowest = {1: -3.4e38, 2: -1.7e308, 3: -127, 4: 0, 5: -32767, 6: 0, 7: -2147483647, 8: 0}
    stored = [lowest[sample_format], extremes[sample_format]]
    header = TrackHeader(track_id=1, kind=kind, name="X", sample_format=sample_format, gain=0.5, offset=-3)
    if kind == "wave":
        records: list[Packet] = [WaveRecord(track_id=1, time=0, samples=np.array(stored), sample_format=sample_format)]
        values = read_packets([header, *records]).waves["/X"].blocks[0][2]
    else:
        records = [NumericRecord(track_id=1, time=0, value=value, sample_format=sample_format) for value in stored]
        values = read_packets([header, *records]).numerics["/X"].values
    if sample_format <= 2:
        np.testing.assert_allclose(values, stored, rtol=1e-7)
    else:
        assert values.tolist() == [value * 0.5 - 3 for value in stored]


def test_records_of_shared_names_are_merged_by_time_then_file_order() -> None:
    twin = TrackHeader(track_id=4, kind="numeric", name="HR", unit="bpm", device_id=3)
    values = [(1, 2.0, 62), (4, 1.0, 61), (1, 1.0, 60), (4, 2.0, 63), (1, 2.0, 64)]
    records = [NumericRecord(track_id=track, time=START + at, value=value) for track, at, value in values]
    track = read_packets([*DEVICES, HR, twin, *records]).numerics["Solar8000/HR"]
    assert (track.times - START).tolist() == [1, 1, 2, 2, 2]
    assert track.values.tolist() == [61, 60, 62, 63, 64]
    assert track.units == ("/min", "bpm")


def test_a_device_header_after_its_tracks() -> None:
    record = NumericRecord(track_id=1, time=START, value=70)
    assert set(read_packets([HR, record, DEVICES[0]]).numerics) == {"Solar8000/HR"}
    assert set(read_packets([HR, record]).numerics) == {"/HR"}
    assert set(read_packets([DeviceHeader(device_id=9, name="X"), HR, record]).numerics) == {"/HR"}
