"""The clock of a recording, and whether it was set back, against the independent reference of ruling 13."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import second_round_clock as reference
from tests.reference.second_round_clock import Part, Record
from vitalprep.contract.config import Reading
from vitalprep.runtime.errors import CaseRefused
from vitalprep.simulate.vital_writer import (
    DeviceHeader,
    FileHeader,
    NumericRecord,
    Packet,
    TrackHeader,
    WaveRecord,
    encode_file,
    gzip_bytes,
)
from vitalprep.vital import track_table
from vitalprep.vital.recording import VitalFile, read_vital
from vitalprep.vital.track_table import TrackTable

START = 1_700_000_000.0
READING = Reading(max_decompressed_bytes=1 << 20, start_tolerance=3600, max_days=7, clock_set_back="exclude")
RATE = 10.0
TRACKS = {1: ("numeric", "HR", 1), 2: ("numeric", "HR", 2), 3: ("numeric", "SPO2", 1), 4: ("wave", "ECG", 1)}
"""Kind, name and device of each track id; the devices have one name."""


def file_of(part: Part, tracks: Sequence[int] = tuple(TRACKS)) -> bytes:
    header = FileHeader(length=10) if part.header_start is None else FileHeader(start=part.header_start)
    packets: list[Packet] = [DeviceHeader(device_id=device, name="Monitor") for device in (1, 2)]
    for track_id in tracks:
        kind, name, device = TRACKS[track_id]
        rate = RATE if kind == "wave" else 0.0
        packets.append(
            TrackHeader(track_id=track_id, kind=kind, name=name, device_id=device, sample_format=1, sample_rate=rate)
        )
    for record in part.records:
        if isinstance(record.data, bytes):
            samples = np.frombuffer(record.data, dtype="<f4")
            packets.append(WaveRecord(track_id=record.track_id, time=record.time, samples=samples, sample_format=1))
        else:
            packets.append(
                NumericRecord(track_id=record.track_id, time=record.time, value=record.data, sample_format=1)
            )
    return gzip_bytes(encode_file(header, packets))


def record(track_id: int, time: float, value: float, samples: int = 1) -> Record:
    kind, name, device = TRACKS[track_id]
    if kind == "numeric":
        return Record(track_id, "numeric", f"Monitor/{name}", time, value, device=device)
    data = struct.pack(f"<{samples}f", *[value] * samples)
    return Record(track_id, "wave", f"Monitor/{name}", time, data, samples=samples, rate=RATE, device=device)


def read(*parts: Part, reading: Reading = READING) -> VitalFile:
    return read_vital(*map(file_of, parts), reading=reading)


times = st.one_of(
    st.sampled_from([0.0, -5.0, 1.0, 3600.0, 3601.0, START - 40_000, START + 3600, START + 3600.5, START + 700_000]),
    st.integers(0, 400).map(lambda seconds: START + seconds),
    st.integers(3500, 3700).map(lambda seconds: START + seconds),
)
records = st.builds(
    record, st.sampled_from(list(TRACKS)), times, st.sampled_from([70.0, 71.0]), st.sampled_from([1, 5, 100])
)
parts = st.builds(Part, st.sampled_from([None, START, START + 100, 10.0]), st.lists(records, min_size=1, max_size=14))


@settings(max_examples=400, deadline=None)
@given(parts=st.lists(parts, min_size=1, max_size=3), tolerance=st.sampled_from([None, 0, 3600]))
def test_the_clock_is_the_reference_s(parts: list[Part], tolerance: int | None) -> None:
    reading = READING.model_copy(update={"start_tolerance": tolerance, "clock_set_back": "merge"})
    try:
        wanted = reference.settle_clock(parts, start_tolerance=tolerance, max_days=7)
    except reference.TooLong:
        with pytest.raises(CaseRefused, match="too_long"):
            read(*parts, reading=reading)
        return
    found = read(*parts, reading=reading)
    assert (found.start, found.last_time, found.set_by, found.untimed) == (
        wanted.t0,
        wanted.t_last,
        wanted.clock,
        wanted.untimed,
    )


@st.composite
def jumping(draw: st.DrawFn) -> Part:
    """Tracks whose clock jumps now and then; some blocks are sent again as they were."""
    sent: list[Record] = []
    for _ in range(draw(st.integers(1, 4))):
        if sent and draw(st.booleans()):
            sent += draw(st.sampled_from([sent[:], sent[-20:], sent[::2]]))
            continue
        begin, count = draw(st.integers(0, 200)), draw(st.integers(1, 20))
        track, step = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 10, 30, 100]))
        value = draw(st.sampled_from([70.0, 70.0, 71.0]))
        sent += [record(track, START + begin + step * place, value) for place in range(count)]
    return Part(START, sent)


@settings(max_examples=400, deadline=None)
@given(parts=st.lists(jumping(), min_size=1, max_size=2))
def test_a_clock_that_was_set_back_is_the_reference_s(parts: list[Part]) -> None:
    wanted = reference.tracks_set_back(parts)
    merged = read(*parts, reading=READING.model_copy(update={"clock_set_back": "merge"}))
    assert merged.set_back == tuple(wanted)
    if wanted:
        with pytest.raises(CaseRefused, match=r"clock_set_back: Monitor/.* recorded the same \d+ s twice"):
            read(*parts)
    else:
        assert read(*parts).set_back == ()


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(jumping(), min_size=1, max_size=2))
def test_seconds_of_two_devices_are_the_reference_s(parts: list[Part]) -> None:
    merged = read(*parts, reading=READING.model_copy(update={"clock_set_back": "merge"}))
    assert merged.start is not None
    assert merged.doubled == reference.seconds_of_two_devices(parts, merged.start)


@pytest.mark.parametrize(("most", "ended", "set_back"), [(4, 4, ()), (3, 4, ("Monitor/HR",)), (1, 2, ("Monitor/HR",))])
def test_a_clock_that_is_set_back_without_end_is_no_longer_compared(
    monkeypatch: pytest.MonkeyPatch, most: int, ended: int, set_back: tuple[str, ...]
) -> None:
    """The scan stops at as many falls as are looked at, and once more; the samples are all there."""
    stops: list[int] = []
    end_run = TrackTable.end_run
    monkeypatch.setattr(track_table, "MOST_FALLS", most)
    monkeypatch.setattr(TrackTable, "end_run", lambda table, track: (stops.append(track), end_run(table, track))[1])
    block = [record(1, START + 10 * place, 70) for place in range(20)]
    found = read(Part(START, block * 5), reading=READING.model_copy(update={"clock_set_back": "merge"}))
    assert (found.set_back, len(stops)) == (set_back, ended)
    assert found.numerics["Monitor/HR"].times.tolist() == sorted(sent.time for sent in block * 5)


def test_records_without_a_time_are_dropped() -> None:
    part = Part(None, [record(1, 0.0, 70), record(3, -1.0, 95), *(record(1, START + k, 70) for k in range(5))])
    found = read(part)
    assert (found.start, found.set_by, found.untimed) == (START, "records", 2)
    assert found.numerics["Monitor/HR"].times.tolist() == [START + k for k in range(5)]
    assert found.numerics["Monitor/SPO2"].times.tolist() == []


def test_a_recording_whose_time_begins_at_0_stays_whole() -> None:
    found = read(Part(None, [record(1, float(k), 70) for k in range(5)]))
    assert (found.start, found.untimed, len(found.numerics["Monitor/HR"].times)) == (0.0, 0, 5)


def test_two_parts_are_one_recording() -> None:
    """Numbered otherwise in the second file, and with a gap between them."""
    one = Part(START, [record(1, START + k, 70 + k) for k in range(5)])
    other = Part(START + 60, [record(3, START + 60 + k, 90 + k) for k in range(5)])
    found = read_vital(file_of(one, [1, 3]), file_of(other, [3, 1]), reading=READING)
    assert (found.start, found.last_time) == (START, START + 64)
    assert found.numerics["Monitor/HR"].values.tolist() == [70, 71, 72, 73, 74]
    assert found.numerics["Monitor/SPO2"].values.tolist() == [90, 91, 92, 93, 94]


def test_a_fault_names_its_part() -> None:
    one = file_of(Part(START, [record(1, START, 70)]))
    with pytest.raises(CaseRefused, match=r"truncated: part 2: the gzip stream is incomplete"):
        read_vital(one, one[:-9], reading=READING)


def test_the_size_of_parts_is_that_of_all_together() -> None:
    one = file_of(Part(START, [record(4, START + k, 70, samples=100) for k in range(50)]))
    limit = READING.model_copy(update={"max_decompressed_bytes": 30_000})
    assert read_vital(one, reading=limit).start == START
    with pytest.raises(CaseRefused, match="too_large: part 2"):
        read_vital(one, one, reading=limit)


# Salvage


@pytest.mark.parametrize("lost", [1, 9, 40])
def test_an_unfinished_file_is_used_up_to_its_last_whole_packet(lost: int) -> None:
    whole = Part(START, [record(1, START + k, 70 + k % 30) for k in range(500)])
    data = file_of(whole)[:-lost]
    with pytest.raises(CaseRefused, match="truncated"):
        read_vital(data, reading=READING)
    found = read_vital(data, reading=READING.model_copy(update={"salvage": True}))
    values = found.numerics["Monitor/HR"].values.tolist()
    assert found.salvaged is not None
    assert "incomplete" in found.salvaged
    assert values == [70 + k % 30 for k in range(len(values))]
    assert len(values) >= (490 if lost < 10 else 1)


def test_what_is_damaged_is_not_salvaged() -> None:
    data = bytearray(file_of(Part(START, [record(1, START + k, 70) for k in range(500)])))
    data[-6] ^= 1  # the checksum
    with pytest.raises(CaseRefused, match="corrupt"):
        read_vital(bytes(data), reading=READING.model_copy(update={"salvage": True}))


def test_nothing_is_salvaged_of_a_file_without_a_header() -> None:
    data = file_of(Part(START, []))[:14]
    with pytest.raises(CaseRefused, match="truncated"):
        read_vital(data, reading=READING.model_copy(update={"salvage": True}))


def test_lengths_of_eight_bytes_are_named() -> None:
    """As the package vitaldb wrote them on 64-bit Linux."""
    device = struct.pack("<QQ", 1, 7) + b"Monitor" + struct.pack("<Q", 7) + b"Monitor" + struct.pack("<Q", 0)
    head = b"VITA" + struct.pack("<QHhQQ", 3, 10, 0, 1, 1)
    with pytest.raises(CaseRefused, match=r"corrupt: its lengths have 8 bytes instead of 4.*newer version"):
        read_vital(gzip_bytes(head + struct.pack("<bQ", 9, len(device)) + device), reading=READING)
