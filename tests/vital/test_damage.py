"""Damaged and foreign files are refused with a reason and a position; they never give a wrong value."""

from __future__ import annotations

import math
import re
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vital.recordings import DEVICES, START, comparable, packet_rows, read_agreed
from vitalprep.contract.config import Reading
from vitalprep.runtime.errors import CaseRefused
from vitalprep.simulate.vital_writer import (
    FileHeader,
    NumericRecord,
    NumericSeries,
    Packet,
    RawPacket,
    TrackHeader,
    WaveRecord,
    encode_file,
    encode_packet,
    gzip_bytes,
)
from vitalprep.vital.recording import read_vital

HR = TrackHeader(track_id=1, kind="numeric", name="HR", unit="/min", device_id=1)
CO2 = TrackHeader(track_id=2, kind="wave", name="CO2", sample_format=6, sample_rate=62.5, gain=0.5, device_id=2)
HEAD: list[Packet] = [*DEVICES, HR, CO2]
GOOD: list[Packet] = [
    *HEAD,
    NumericSeries(track_id=1, times=START + np.arange(5.0), values=np.array([70.0, 71, 72.5, 0, 73])),
    WaveRecord(track_id=2, time=START, samples=np.arange(20), sample_format=6),
]
TRACK, RECORD, DEVICE = 0, 1, 9
MIB = 1 << 20


def stream(packets: list[Packet]) -> bytes:
    return encode_file(FileHeader(start=START), packets)


def refusal(data: bytes, *, max_bytes: int = 1 << 30, waves: bool = True) -> CaseRefused:
    with pytest.raises(CaseRefused) as caught:
        read_agreed(data, max_bytes=max_bytes, waves=waves)
    return caught.value


def outcome(data: bytes, *, max_bytes: int = 1 << 30, waves: bool = True) -> tuple[object, CaseRefused | None]:
    """Return what a file holds, or why it is refused; any other error ends the test."""
    try:
        return comparable(read_agreed(data, max_bytes=max_bytes, waves=waves)), None
    except CaseRefused as error:
        return None, error


def assert_refused(packets: list[Packet], reason: str, *places: str) -> None:
    """Both with and without waves, for the reason, and with every one of `places` in the message."""
    for waves in (True, False):
        error = refusal(gzip_bytes(stream(packets)), waves=waves)
        assert error.reason == reason, error
        for place in places:
            assert place in error.detail


def assert_byte_position(error: CaseRefused) -> None:
    assert re.search(r"\bbyte \d+", error.detail), error


# Foreign files


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\n", r"b'\n'"),
        (b"caseid,subjectid\n1,5955\n", "b'case'"),
        (b"VITA\x03\0\0\0\x0a\0", "b'VITA'"),
        (b"PK\x03\x04" + bytes(100), r"b'PK\x03\x04'"),
        (gzip_bytes(b"caseid,subjectid\n"), "b'case'"),
        (gzip_bytes(b"V" + bytes(99)), "b'V"),
        (gzip_bytes(b"X"), "b'X'"),
    ],
)
def test_foreign_files_are_refused(data: bytes, said: str) -> None:
    error = refusal(data)
    assert error.reason == "not_vital"
    assert said in error.detail


@pytest.mark.parametrize("length", range(39))
def test_a_stream_that_ends_inside_its_header(length: int) -> None:
    head = encode_file(FileHeader(length=27), [])[:-1]
    error = refusal(gzip_bytes(head[:length]))
    assert error.reason == "truncated"
    assert_byte_position(error)


# Files cut short, and with something behind them


def test_every_truncation_of_a_file_is_detected() -> None:
    data = gzip_bytes(stream(GOOD))
    for length in range(2, len(data)):
        error = refusal(data[:length])
        assert error.reason == "truncated", error
        assert f"byte {length}" in error.detail
    assert refusal(data[:1]).reason == "not_vital"


@settings(max_examples=80, deadline=None)
@given(packets=packet_rows(), where=st.floats(0, 1, exclude_max=True), members=st.booleans())
def test_any_truncation_of_any_file_is_detected(packets: list[Packet], where: float, members: bool) -> None:
    whole = stream(packets)
    middle = len(whole) - 3  # inside the last packet or the header
    first = gzip_bytes(whole[:middle] if members else whole)
    data = first + gzip_bytes(whole[middle:]) if members else first
    cut = int(where * len(data))
    error = refusal(data[:cut])
    one_byte_of_the_second = cut == len(first) + 1  # no sign yet that it is gzip
    assert error.reason == ("not_vital" if cut < 2 else "corrupt" if one_byte_of_the_second else "truncated")
    if cut >= 2:
        assert_byte_position(error)


@settings(max_examples=80, deadline=None)
@given(packets=packet_rows(), where=st.floats(0, 1), waves=st.booleans())
def test_a_stream_cut_and_compressed_again(packets: list[Packet], where: float, waves: bool) -> None:
    """A tool's half-written export: whole packets are read, half a packet is refused."""
    edges = [len(stream([]))]
    for packet in packets:
        edges.append(edges[-1] + len(encode_packet(packet)))
    whole = stream(packets)
    cut = int(where * len(whole))
    data = gzip_bytes(whole[:cut])
    if cut in edges:
        kept = packets[: edges.index(cut)]
        assert comparable(read_agreed(data, waves=waves)) == comparable(
            read_agreed(gzip_bytes(stream(kept)), waves=waves)
        )
    else:
        error = refusal(data, waves=waves)
        assert error.reason == "truncated"
        assert_byte_position(error)


@pytest.mark.parametrize("tail", [b"x", b"\0", b"\0" * 512, b"VITA", b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(40)])
def test_bytes_after_the_gzip_stream(tail: bytes) -> None:
    error = refusal(gzip_bytes(stream(GOOD)) + tail)
    assert error.reason in ("corrupt", "truncated")
    assert_byte_position(error)


@pytest.mark.parametrize("flag", [0x20, 0x40, 0x80])
def test_reserved_gzip_flags_are_refused(flag: int) -> None:
    """Their header fields would be read as the stream (RFC 1952: a decompressor must give an error)."""
    data = bytearray(gzip_bytes(stream(GOOD)) * 2)
    second = len(data) // 2
    for place in (0, second):
        damaged = bytearray(data)
        damaged[place + 3] |= flag
        error = refusal(bytes(damaged))
        assert error.reason == "corrupt"
        assert f"byte {place} " in error.detail


@pytest.mark.parametrize("size", [1, 2, 7])
def test_members_of_a_few_bytes_are_read_as_one(size: int) -> None:
    """An error inside them is reported before an error after them."""
    data = stream(GOOD)
    members = b"".join(gzip_bytes(data[at : at + size]) + gzip_bytes(b"") for at in range(0, len(data), size))
    assert comparable(read_agreed(members)) == comparable(read_agreed(gzip_bytes(data)))
    assert refusal(members + b"x").detail.startswith("1 bytes follow")
    bad = b"".join(
        gzip_bytes(bytes([byte])) for byte in encode_packet(NumericRecord(track_id=1, time=math.nan, value=1))
    )
    assert f"byte {len(data)} (HR)" in refusal(members + bad + b"x").detail


def test_every_flipped_bit_is_detected_or_harmless() -> None:
    """The checksum detects nearly all of them; some gzip header fields (time, system) have no effect."""
    halves = stream(GOOD)[:150], stream(GOOD)[150:]
    for data in (gzip_bytes(stream(GOOD)), gzip_bytes(halves[0]) + gzip_bytes(halves[1])):
        right = comparable(read_agreed(data, waves=True))
        refused = 0
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            found, error = outcome(bytes(flipped))
            if error is None:
                assert found == right, f"bit {bit}"
                continue
            refused += 1
            assert error.reason in ("not_vital", "truncated", "corrupt")
            if error.reason != "not_vital":
                assert_byte_position(error)
        assert refused > 8 * (len(data) - 40)


@settings(max_examples=150, deadline=None)
@given(packets=packet_rows(), data=st.data())
def test_a_damaged_stream_with_a_valid_checksum_never_crashes(packets: list[Packet], data: st.DataObject) -> None:
    """Damage from before compression can change values; it must never be another error than a refusal."""
    whole = bytearray(stream(packets))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found, error = outcome(gzip_bytes(bytes(whole)), max_bytes=MIB, waves=data.draw(st.booleans()))
    assert found is not None or error.reason in ("not_vital", "truncated", "corrupt", "too_long")


# Packets that cannot be


@pytest.mark.parametrize("packet_type", [TRACK, RECORD, DEVICE, 6, 77, -1])
@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000000, (1 << 30) + 1])
def test_length_field_beyond_any_file(packet_type: int, length: int) -> None:
    data = stream(GOOD)
    for waves in (True, False):
        error = refusal(gzip_bytes(data + struct.pack("<bI", packet_type, length) + bytes(100)), waves=waves)
        assert error.reason == "corrupt"
        assert f"byte {len(data)} " in error.detail
        assert str(length) in error.detail


@pytest.mark.parametrize("packet_type", [TRACK, RECORD, DEVICE, 6, 77])
@pytest.mark.parametrize("length", [101, 65_000, 1 << 29])
def test_packet_that_runs_over_the_end(packet_type: int, length: int) -> None:
    for waves in (True, False):
        data = stream(GOOD) + struct.pack("<bI", packet_type, length) + bytes(100)
        error = refusal(gzip_bytes(data), waves=waves)
        assert error.reason in ("truncated", "corrupt")
        assert_byte_position(error)


def test_the_position_of_damage_after_megabytes_is_exact() -> None:
    """Exact also where the reader has skipped a wave, and where the file is in several gzip members."""
    wave = WaveRecord(track_id=2, time=START, samples=np.arange(1_500_000) % 60_000, sample_format=6)
    many = NumericSeries(track_id=1, times=START + np.arange(60_000.0), values=np.ones(60_000))
    data = stream([*GOOD, wave, many, wave, RawPacket(77, bytes(3 * MIB)), many])
    whole = data + encode_packet(NumericRecord(track_id=1, time=math.nan, value=70))
    for pieces in ([whole], [whole[:MIB], whole[MIB : MIB + 7], whole[MIB + 7 :]]):
        for waves in (True, False):
            error = refusal(b"".join(map(gzip_bytes, pieces)), waves=waves)
            assert error.reason == "corrupt"
            assert f"byte {len(data)} " in error.detail


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf])
def test_time_stamp_that_is_not_finite(time: float) -> None:
    position = f"byte {len(stream(GOOD))} "
    numeric = NumericRecord(track_id=1, time=time, value=70)
    wave = WaveRecord(track_id=2, time=time, samples=np.arange(3), sample_format=6)
    assert_refused([*GOOD, numeric], "corrupt", position, "HR")
    assert_refused([*GOOD, wave], "corrupt", position, "CO2")


WEEK = 7 * 86400


def test_seven_days_are_read() -> None:
    last = NumericRecord(track_id=1, time=START + WEEK, value=70)
    assert read_agreed(gzip_bytes(stream([*GOOD, last]))).last_time == START + WEEK


@pytest.mark.parametrize(
    "late",
    [
        NumericRecord(track_id=1, time=START + WEEK + 1, value=70),
        NumericRecord(track_id=1, time=1.7e308, value=70),
        WaveRecord(track_id=2, time=START + WEEK, samples=np.zeros(200, dtype=int), sample_format=6),
    ],
)
def test_a_span_of_more_than_seven_days(late: Packet) -> None:
    assert_refused([*GOOD, late], "too_long", "7")


def test_a_span_without_a_start_time_in_the_header() -> None:
    early = NumericRecord(track_id=1, time=START - WEEK, value=70)
    error = refusal(gzip_bytes(encode_file(FileHeader(length=10), [*GOOD, early])))
    assert error.reason == "too_long"
    read_agreed(gzip_bytes(stream([*GOOD, early])))  # earlier than the header's start: dropped later, not in the span


def test_the_message_on_a_span_names_the_track_or_the_byte() -> None:
    late = NumericRecord(track_id=1, time=START + WEEK + 1, value=70)
    detail = refusal(gzip_bytes(stream([*GOOD, late]))).detail
    assert "HR" in detail or re.search(r"\bbyte \d+", detail), detail


@pytest.mark.parametrize("sample_format", [0, 9, 255])
@pytest.mark.parametrize("kind", [1, 2])
def test_unknown_sample_format(kind: int, sample_format: int) -> None:
    body = bytearray(encode_packet(HR)[5:])
    body[2:4] = kind, sample_format
    assert_refused([*DEVICES, RawPacket(TRACK, bytes(body))], "corrupt", "'HR'", str(sample_format), "byte ")


def test_unknown_sample_format_of_a_string_track_does_not_matter() -> None:
    body = bytearray(encode_packet(HR)[5:])
    body[0], body[2], body[3] = 50, 5, 200
    good = comparable(read_agreed(gzip_bytes(stream(GOOD))))
    assert comparable(read_agreed(gzip_bytes(stream([RawPacket(TRACK, bytes(body)), *GOOD])))) == good


def record_body(time: float, track_id: int, rest: bytes, *, info: int = 10) -> RawPacket:
    return RawPacket(RECORD, struct.pack("<HdH", info, time, track_id) + rest)


@pytest.mark.parametrize("info", [0, 1, 9, 11, 200, 65535])
def test_info_length_that_does_not_fit(info: int) -> None:
    place = f"byte {len(stream(HEAD))} "
    assert_refused([*HEAD, record_body(START, 1, struct.pack("<f", 70), info=info)], "corrupt", place, "HR")
    wave = struct.pack("<I2H", 2, 5, 6)
    assert_refused([*HEAD, record_body(START, 2, wave, info=info)], "corrupt", place, "CO2")


@pytest.mark.parametrize("count", [3, 4, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wave_with_fewer_samples_than_it_counts(count: int) -> None:
    short = record_body(START, 2, struct.pack("<I2H", count, 5, 6))
    assert_refused([*HEAD, short], "corrupt", f"byte {len(stream(HEAD))} ", "CO2")


@pytest.mark.parametrize("length", range(4))
def test_wave_without_its_count(length: int) -> None:
    assert_refused([*HEAD, record_body(START, 2, bytes(length))], "corrupt", f"byte {len(stream(HEAD))} ", "CO2")


@pytest.mark.parametrize("length", range(4))
def test_numeric_without_its_sample(length: int) -> None:
    assert_refused([*HEAD, record_body(START, 1, bytes(length))], "corrupt", f"byte {len(stream(HEAD))} ", "HR")


@pytest.mark.parametrize("length", range(12))
def test_record_shorter_than_its_head(length: int) -> None:
    assert_refused([*HEAD, RawPacket(RECORD, bytes(length))], "corrupt", f"byte {len(stream(HEAD))} ")


def test_header_packets_that_end_inside_a_field() -> None:
    # A device's body: 4 bytes of id, its type to byte 17, its name to byte 30, and a port that nobody reads.
    for packet_type, packet, whole_at in ((TRACK, HR, field_ends(HR)), (DEVICE, DEVICES[0], {17})):
        body = encode_packet(packet)[5:]
        for length in range(len(body)):
            row: list[Packet] = [RawPacket(packet_type, body[:length])]
            if length in whole_at or (packet_type == DEVICE and length >= 30):
                read_agreed(gzip_bytes(stream(row)))  # later fields are optional
            else:
                assert_refused(row, "corrupt", f"byte {len(stream([]))} ")


def field_ends(header: TrackHeader) -> set[int]:
    """Lengths at which a track header ends between its fields, from its name on."""
    ends = [4 + 4 + len(header.name)]
    for size in (4 + len(header.unit), 4, 4, 4, 4, 8, 8, 1, 4):
        ends.append(ends[-1] + size)
    return set(ends)


# Bombs


def peak_memory(data: bytes, *, max_bytes: int) -> int:
    """Peak of allocated bytes while a file is read, whatever comes of it."""
    tracemalloc.start()
    try:
        read_vital(data, reading=Reading(max_decompressed_bytes=max_bytes))
    except CaseRefused:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


def zeros_in(packet_type: int, size: int, body_head: bytes = b"") -> list[bytes]:
    """Gzip members of a recording with one packet of `size` zeros."""
    head = stream(GOOD) + struct.pack("<bI", packet_type, len(body_head) + size) + body_head
    return [gzip_bytes(head), *[gzip_bytes(bytes(MIB))] * (size // MIB)]


def test_a_bomb_is_stopped_at_the_limit_in_little_memory() -> None:
    bomb = gzip_bytes(stream(GOOD) + struct.pack("<bI", 77, 64 * MIB) + bytes(64 * MIB))
    members = b"".join(zeros_in(77, 64 * MIB))
    for data in (bomb, members):
        assert len(data) < MIB
        error = refusal(data, max_bytes=64 * MIB)
        assert error.reason == "too_large"
        assert str(64 * MIB) in error.detail
        assert peak_memory(data, max_bytes=64 * MIB) < 16 * MIB


def test_the_limit_itself_is_allowed() -> None:
    data = stream(GOOD)
    assert read_vital(gzip_bytes(data), reading=Reading(max_decompressed_bytes=len(data))).numerics
    assert refusal(gzip_bytes(data), max_bytes=len(data) - 1).reason == "too_large"


def test_a_long_skipped_wave_takes_no_memory() -> None:
    """As in VitalDB's packed files: a wave record of many megabytes, which only counts for the clock."""
    size = 64 * MIB
    head = struct.pack("<HdHI", 10, START, 2, size // 2)
    data = b"".join(zeros_in(RECORD, size, head))
    assert read_vital(data).last_time == START + (size // 2 - 1) / 62.5
    assert peak_memory(data, max_bytes=1 << 30) < 16 * MIB


@pytest.mark.parametrize("packet_type", [TRACK, DEVICE])
def test_an_oversized_header_packet_is_not_buffered(packet_type: int) -> None:
    data = b"".join(zeros_in(packet_type, 64 * MIB))
    error = refusal(data)
    assert error.reason == "corrupt"
    assert f"byte {len(stream(GOOD))} " in error.detail
    assert peak_memory(data, max_bytes=1 << 30) < 16 * MIB
