"""The compiled scan against the reference in `tests.reference.slow_scan`, on arbitrary bytes.

`read_agreed` asserts that both readers give the same arrays or the same error.
"""

from __future__ import annotations

import math
import struct
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vital.recordings import START, packet_rows, read_agreed
from vitalprep.runtime.errors import CaseRefused
from vitalprep.simulate.damage import DamageShares
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder
from vitalprep.simulate.vital_writer import FileHeader, Packet, TrackHeader, encode_file, encode_packet, gzip_bytes
from vitalprep.vital import _records
from vitalprep.vital.recording import read_vital
from vitalprep.vital.rows import ROW, ROWS
from vitalprep.vital.track_table import TRACK, TRACK_IDS

HEAD = encode_file(FileHeader(start=START), [])
MIB = 1 << 20


def agreed(data: bytes, *, max_bytes: int = 1 << 30) -> str:
    """Return the reason for which both readers refuse a file, or nothing if both read it alike."""
    try:
        read_agreed(data, max_bytes=max_bytes)
    except CaseRefused as refusal:
        return refusal.reason
    return ""


# Streams that are nearly right: small numbers in every field, so that all edges are met

small = st.integers(0, 24)
odd_times = st.sampled_from(
    [START, START + 1, START - 1, START + 604800, START + 604801, -0.0, 1.7e308, np.nan, np.inf]
)


@st.composite
def track_bodies(draw: st.DrawFn) -> bytes:
    kind, code = draw(st.sampled_from([1, 1, 2, 2, 2, 5, 0, 255])), draw(st.sampled_from([*range(1, 9), 0, 9, 255]))
    body = struct.pack("<HBB", draw(st.integers(0, 3)), kind, code)
    for text in (draw(st.sampled_from([b"HR", b"CO2", b"\xff"])), draw(st.sampled_from([b"", b"bpm"]))):
        body += struct.pack("<I", len(text)) + text
    rate = draw(st.sampled_from([0.0, 1.0, 62.5, -1.0, np.nan, np.inf, 1e-45]))
    gain, offset = (draw(st.sampled_from([0.0, 1.0, -0.3, np.nan, np.inf, 1e308])) for _ in range(2))
    body += struct.pack("<ffIfddBI", 0, 0, 0, rate, gain, offset, 0, draw(st.integers(0, 2)))
    return body[: draw(st.just(len(body)) | st.integers(0, len(body)))]


@st.composite
def record_bodies(draw: st.DrawFn) -> bytes:
    info = draw(st.just(10) | st.just(10) | small | st.sampled_from([65535, 65530]))
    head = struct.pack("<HdH", info, draw(odd_times), draw(st.integers(0, 3)))
    count = struct.pack("<I", draw(small | st.sampled_from([0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])))
    body = head + draw(st.sampled_from([b"", count])) + draw(st.binary(max_size=24))
    return body[: draw(st.just(len(body)) | st.integers(0, len(body)))]


@st.composite
def hostile_packets(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([0, 0, 1, 1, 1, 1, 9, 6, -1]))
    device = st.builds(lambda number, name: struct.pack("<II", number, len(name)) + name, small, st.binary(max_size=3))
    body = draw({0: track_bodies(), 1: record_bodies(), 9: device | st.binary(max_size=9)}.get(kind, st.binary()))
    lies = st.integers(-2, 30) | st.sampled_from([1 << 17, (1 << 17) - 1, (1 << 20) + 1, 1 << 31, 0xFFFFFFFF])
    length = draw(st.just(len(body)) | st.just(len(body)) | st.just(len(body)) | lies)
    return struct.pack("<bI", kind, max(length, 0)) + body


@settings(max_examples=500, deadline=None)
@given(packets=st.lists(hostile_packets(), max_size=12), cuts=st.lists(st.floats(0, 1), max_size=4))
def test_hostile_packets_in_any_pieces(packets: list[bytes], cuts: list[float]) -> None:
    data = HEAD + b"".join(packets)
    edges = sorted({0, len(data), *(int(cut * len(data)) for cut in cuts)})
    agreed(b"".join(gzip_bytes(data[a:b]) for a, b in pairwise(edges)), max_bytes=4 * MIB)


@settings(max_examples=200, deadline=None)
@given(packets=packet_rows(), data=st.data())
def test_mutated_recordings(packets: list[Packet], data: st.DataObject) -> None:
    stream = bytearray(encode_file(FileHeader(start=START), packets))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at : at + 1] = data.draw(st.binary(max_size=3))
    agreed(gzip_bytes(bytes(stream)), max_bytes=MIB)


@settings(max_examples=10, deadline=None)
@given(packets=packet_rows())
def test_every_cut_of_a_stream(packets: list[Packet]) -> None:
    stream = encode_file(FileHeader(start=START), packets)
    for length in range(len(stream)):
        agreed(gzip_bytes(stream[:length]))


def test_simulated_recordings_whole_and_damaged(tmp_path: Path) -> None:
    shares: DamageShares = {"truncated": 0.2, "bitflip": 0.2, "foreign": 0.2}
    simulate_folder(tmp_path, SimulationOptions(seed=5, cases=14, hours=0.1, spread=0.3, waves=True, damage=shares))
    reasons = [agreed(path.read_bytes()) for path in sorted(tmp_path.rglob("*.vital"))]
    assert "" in reasons
    assert len(set(reasons)) > 2


def test_real_recordings(shared_data: Path) -> None:
    for path in sorted(shared_data.rglob("*.vital")):
        agreed(path.read_bytes())


# Many of everything


def numeric_header(track_id: int, unit: str = "", **fields: str) -> bytes:
    return encode_packet(TrackHeader(track_id=track_id, kind="numeric", name=fields.get("name", "X"), unit=unit))


def numeric_record(track_id: int, time: float = START, value: float = 1) -> bytes:
    return struct.pack("<bIHdHf", 1, 16, 10, time, track_id, value)


def test_every_track_id_at_once() -> None:
    packets = [numeric_header(number, name=str(number % 999)) + numeric_record(number) for number in range(TRACK_IDS)]
    found = read_agreed(gzip_bytes(HEAD + b"".join(packets)))
    assert len(found.numerics) == 999
    assert sum(len(track.times) for track in found.numerics.values()) == TRACK_IDS


def test_units_stand_in_the_order_of_their_headers() -> None:
    packets = [numeric_header(1, "a"), numeric_header(2, "b"), numeric_header(1, "c"), numeric_record(2)]
    packets += [numeric_record(1), numeric_header(1, "b"), numeric_record(1, START - 1), numeric_header(1, "unused")]
    assert read_agreed(gzip_bytes(HEAD + b"".join(packets))).numerics["/X"].units == ("b", "c")


@pytest.mark.parametrize("count", [ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 1])
def test_samples_around_the_size_of_a_gathering(count: int) -> None:
    rows = b"".join(numeric_record(1, START + number % 7, number) for number in range(count))
    read_agreed(gzip_bytes(HEAD + numeric_header(1) + rows))


def peak(data: bytes) -> int:
    tracemalloc.start()
    read_vital(data)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_is_bounded_by_the_stream() -> None:
    """Ten million of the smallest packets take none; the smallest samples take a few times what they are long."""
    assert peak(gzip_bytes(HEAD + bytes([77, 0, 0, 0, 0]) * 10_000_000)) < 8 * MIB
    headerless = numeric_record(1) * 1_000_000
    assert peak(gzip_bytes(HEAD + headerless)) < 8 * MIB
    tiny = struct.pack("<HBBI", 1, 2, 3, 0)  # a track of int8
    records = (struct.pack("<bI", 1, 13) + struct.pack("<HdHb", 10, START, 1, 5)) * 1_000_000
    stream = HEAD + struct.pack("<bI", 0, len(tiny)) + tiny + records
    assert peak(gzip_bytes(stream)) < 4 * len(stream)


def test_headers_without_records_take_no_memory() -> None:
    pair = numeric_header(1, "a") + numeric_header(1, "b")
    assert peak(gzip_bytes(HEAD + pair * 50_000)) < 8 * MIB


# The compiled functions guard their own memory, whoever calls them


def test_arguments_that_do_not_fit_are_refused() -> None:
    track_of, tracks, rows = np.full(TRACK_IDS, -1, np.int32), np.zeros(2, TRACK), np.zeros(3, ROW)
    near = (math.nan, math.nan)
    good = (b"", 0, 100, track_of, tracks, 2, rows, 0, *near, False)
    assert _records.scan_packets(*good) == (_records.MORE, 0, 0, 0, 0)
    for place, wrong in [(1, -1), (3, track_of[:-1]), (5, 3), (5, -1), (6, rows[:0]), (7, 4), (7, -1)]:
        with pytest.raises(ValueError, match="does not fit"):
            _records.scan_packets(*good[:place], wrong, *good[place + 1 :])
    data = numeric_record(7)
    track_of[7] = 2  # beyond the two tracks
    assert _records.scan_packets(data, 0, 100, *good[3:]) == (_records.MORE, len(data), 0, 1, 0)
    track_of[7], tracks["kind"], tracks["format"] = 1, 2, 9
    assert _records.scan_packets(data, 0, 100, *good[3:])[0] == _records.BAD_SAMPLES
    tracks["format"] = 1
    assert _records.scan_packets(data, 0, 100, *good[3:7], 3, *good[8:]) == (_records.FULL, 0, 3, 0, 0)
    assert _records.scan_packets(data, 99, 100, *good[3:]) == (_records.MORE, 99, 0, 0, 0)


def test_rows_that_do_not_fit_are_refused() -> None:
    rows = np.zeros(2, ROW)
    for track, group, place in [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]:
        rows["track"] = track
        with pytest.raises(ValueError, match="does not fit"):
            _records.group_rows(rows, np.array([group]), np.array([place]), np.empty(2), np.empty(2))
