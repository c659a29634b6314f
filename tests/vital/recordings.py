"""Hypothesis strategies for recordings, and the values that any reader must find in them.

Expected values are computed from the packets' fields, independently of the encoded file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.reference.slow_vital_file import SlowVitalFile, read_vital_slowly
from vitalprep.contract.config import Reading
from vitalprep.runtime.errors import CaseRefused
from vitalprep.simulate.vital_writer import (
    GAP_VALUES,
    SAMPLE_DTYPES,
    DeviceHeader,
    NumericRecord,
    Packet,
    RawPacket,
    StringRecord,
    Track,
    TrackHeader,
    TrackOrder,
    WaveRecord,
)
from vitalprep.vital.recording import VitalFile, read_vital

START = 4102444800.0
DEVICES = (
    DeviceHeader(device_id=1, typename="Solar8000", name="Solar8000", port="COM1"),
    DeviceHeader(device_id=2, typename="Primus", name=""),  # named by its type
    DeviceHeader(device_id=3, typename="Again", name="Solar8000"),  # shares device 1's name
)
DEVICE_NAMES = {0: "", 1: "Solar8000", 2: "Primus", 3: "Solar8000"}

times = st.integers(-40, 400).map(lambda eighths: START + eighths / 8)
gains = st.sampled_from([0.0, 1.0, 0.5, -2.0, 0.02442])
offsets = st.sampled_from([0.0, -10.0, 0.125])


def stored_values(sample_format: int) -> st.SearchStrategy[Any]:
    """Stored samples of a format, its extremes and its gap value among them."""
    dtype = SAMPLE_DTYPES[sample_format]
    if dtype.kind == "f":
        return st.floats(width=32) | st.just(math.nan)
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    return st.integers(low, high) | st.sampled_from([low, high, 0])


@st.composite
def headers(draw: st.DrawFn, track_id: int) -> TrackHeader:
    kind = draw(st.sampled_from(["numeric", "numeric", "wave", "string"]))
    return TrackHeader(
        track_id=track_id,
        kind=kind,
        name=draw(st.sampled_from(["HR", "CO2", "µ"])),
        sample_format=draw(st.integers(1, 8)),
        unit=draw(st.sampled_from(["", "/min", "℃"])),
        sample_rate=draw(st.sampled_from([1.0, 62.5, 500.0])) if kind == "wave" else 0.0,
        gain=draw(gains),
        offset=draw(offsets),
        device_id=draw(st.sampled_from(sorted(DEVICE_NAMES))),
    )


@st.composite
def records(draw: st.DrawFn, header: TrackHeader) -> NumericRecord | WaveRecord | StringRecord:
    time, extra = draw(times), draw(st.sampled_from([b"", b"", b"xyz"]))
    if header.kind == "string":
        return StringRecord(track_id=header.track_id, time=time, text=draw(st.text(max_size=5)), extra_info=extra)
    code = header.sample_format
    if header.kind == "numeric":
        value = draw(stored_values(code))
        return NumericRecord(track_id=header.track_id, time=time, value=value, sample_format=code, extra_info=extra)
    samples = np.array(draw(st.lists(stored_values(code), max_size=12)), dtype=SAMPLE_DTYPES[code])
    return WaveRecord(track_id=header.track_id, time=time, samples=samples, sample_format=code, extra_info=extra)


@st.composite
def whole_tracks(draw: st.DrawFn) -> list[Track]:
    """Up to five tracks with distinct ids, their names and devices perhaps the same."""
    tracks = []
    for track_id in draw(st.lists(st.integers(0, 65535), min_size=1, max_size=5, unique=True)):
        header = draw(headers(track_id))
        tracks.append(Track(header, tuple(draw(st.lists(records(header), max_size=6)))))
    return tracks


@st.composite
def packet_rows(draw: st.DrawFn) -> list[Packet]:
    """Packets in any order: headers late, twice, or with another gain, records before them, unknown types."""
    packets: list[Packet] = list(DEVICES)
    unknown = st.integers(-128, 127).filter(lambda packet_type: packet_type not in (0, 1, 9))
    packets += draw(st.lists(st.builds(RawPacket, unknown, st.binary(max_size=20)), max_size=3))
    packets += [TrackOrder((1, 2))] * draw(st.integers(0, 1))
    for track_id in range(1, draw(st.integers(1, 4)) + 1):
        header = draw(headers(track_id))
        packets += [header] * draw(st.integers(0, 2))
        if draw(st.booleans()):
            packets.append(
                TrackHeader(**{**vars(header), "gain": draw(gains), "unit": draw(st.sampled_from(["", "bpm"]))})
            )
        packets += draw(st.lists(records(header), max_size=5))
    return draw(st.permutations(packets))


def physical(raw: float, header: TrackHeader) -> float:
    if SAMPLE_DTYPES[header.sample_format].kind == "f" or header.gain == 0:
        return float(raw)
    return float(raw) * header.gain + header.offset


def name_of(header: TrackHeader) -> str:
    device = DEVICE_NAMES[header.device_id]
    return f"{device}/{header.name}"


class Expected:
    """What stands in a row of packets."""

    def __init__(self, packets: Sequence[Packet]) -> None:
        self.numerics: dict[str, list[tuple[float, float]]] = {}
        self.waves: dict[str, list[tuple[float, float, list[float]]]] = {}
        self.units: dict[tuple[str, str], set[str]] = {}
        self.skipped = 0
        self.ends: list[float] = []
        self.starts: list[float] = []
        current: dict[int, TrackHeader] = {}
        for packet in packets:
            if isinstance(packet, TrackHeader):
                current[packet.track_id] = packet
            elif isinstance(packet, NumericRecord | WaveRecord | StringRecord):
                if packet.track_id in current:
                    self._take(packet, current[packet.track_id])
                else:
                    self.skipped += 1
        for found in (self.numerics, self.waves):
            for rows in found.values():
                rows.sort(key=lambda row: row[0])  # stable: file order within a time

    def _take(self, record: Packet, header: TrackHeader) -> None:
        name = name_of(header)
        if isinstance(record, NumericRecord):
            self.numerics.setdefault(name, []).append((record.time, physical(record.value, header)))
            self.ends.append(record.time)
        elif isinstance(record, WaveRecord):
            gap = GAP_VALUES[header.sample_format]
            samples = [math.nan if raw == gap else physical(raw, header) for raw in record.samples.tolist()]
            self.waves.setdefault(name, []).append((record.time, header.sample_rate, samples))
            self.ends.append(record.time + max(len(samples) - 1, 0) / header.sample_rate)
        else:
            return
        self.starts.append(record.time)
        self.units.setdefault((header.kind, name), set()).add(header.unit)


def assert_numerics(found: VitalFile, expected: Expected) -> None:
    assert set(found.numerics) == set(expected.numerics)
    for name, rows in expected.numerics.items():
        track = found.numerics[name]
        np.testing.assert_array_equal(track.times, [time for time, _ in rows])
        np.testing.assert_array_equal(track.values, [value for _, value in rows])
        assert set(track.units) == expected.units["numeric", name]


def assert_clock(found: VitalFile, expected: Expected) -> None:
    assert found.first_time == min(expected.starts, default=None)
    assert found.last_time == max(expected.ends, default=None)
    assert found.skipped_records == expected.skipped


def comparable(recording: VitalFile) -> tuple[Any, ...]:
    """All of a recording in a form that `==` compares, NaN and the order of tracks included."""
    numerics = [
        (name, track.units, track.times.tobytes(), track.values.tobytes()) for name, track in recording.numerics.items()
    ]
    waves = [
        (name, track.units, [(time, rate, samples.tobytes()) for time, rate, samples in track.blocks])
        for name, track in (recording.waves.items() if isinstance(recording, SlowVitalFile) else ())
    ]
    clock = (recording.start_time, recording.first_time, recording.last_time, recording.skipped_records)
    return (*clock, numerics, waves)


def read_agreed(data: bytes, *, max_bytes: int = 1 << 30, waves: bool = False) -> SlowVitalFile:
    """Read with the project's reader and the reference, which must give the same values or the same error.

    Waves are the reference's alone. With them it gathers whole records, and may notice another fault first.
    """
    found: list[Any] = []
    readers: list[Callable[[], VitalFile]] = [
        lambda: read_vital(data, reading=Reading(max_decompressed_bytes=max_bytes)),
        lambda: read_vital_slowly(data, max_bytes=max_bytes),
    ]
    for reader in readers:
        try:
            found.append(comparable(reader()))
        except CaseRefused as refusal:
            found.append((refusal.reason, refusal.detail))
    assert found[0] == found[1]
    return read_vital_slowly(data, max_bytes=max_bytes, waves=waves)
