"""Hostile names, units and times: none becomes a path, and every file gets a readable receipt."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reliability.hostile.seeds import HOSTILE_TEXTS
from tests.vital.recordings import START, read_agreed
from vitalprep.contract.config_file import load_config
from vitalprep.contract.plan import PlannedCase
from vitalprep.contract.receipt import Receipt
from vitalprep.features.conversion import Body
from vitalprep.features.grid import harmonize
from vitalprep.harmonize.case import CaseTask, harmonize_case
from vitalprep.runtime.errors import CaseRefused
from vitalprep.simulate.vital_writer import FileHeader, Packet, RawPacket, encode_file, gzip_bytes
from vitalprep.vital.clock import seconds_of
from vitalprep.vital.headers import LONGEST_SHOWN, shown
from vitalprep.vital.recording import read_vital

CONFIG = load_config()
SOURCES = {source.track for item in CONFIG.inputs for source in item.sources}
LONGEST_DETAIL = 300


def text(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def device(device_id: int, name: bytes) -> Packet:
    return RawPacket(9, struct.pack("<I", device_id) + text(name) + text(name) + text(name))


def track(
    track_id: int, name: bytes, unit: bytes, *, kind: int = 2, sample_format: int = 2, device_id: int = 0
) -> Packet:
    head = struct.pack("<HBB", track_id, kind, sample_format) + text(name) + text(unit)
    return RawPacket(0, head + struct.pack("<ffIfddBI", 0, 0, 0, 0, 1, 0, 0, device_id))


def record(track_id: int, time: float, value: float) -> Packet:
    return RawPacket(1, struct.pack("<HdHd", 10, time, track_id, value))


KNOWN = [device(1, b"Solar8000"), track(1, b"HR", b"/min", device_id=1), record(1, START, 70), record(1, START + 1, 71)]


def committed(folder: Path, packets: list[Packet], *, start: float = START) -> Receipt:
    """Harmonize a file as a whole, and check what is left in storage: a receipt that any JSON reader reads."""
    data = gzip_bytes(encode_file(FileHeader(start=start), packets))
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True)
    (folder / "in" / "0001.vital").write_bytes(data)
    case = PlannedCase(
        case_id=1,
        subject_id=1,
        object="0001.vital",
        size=len(data),
        etag="",
        input_id="0" * 12,
        split="train",
        static=(50, 1, 180, 80, 24.7, 2),
        static_origin=(0,) * 6,
    )
    task = CaseTask(case, CONFIG, "0" * 12, "harmonized/0/0001-0", str(folder / "in"), str(folder / "out"))
    receipt = harmonize_case(task)
    assert receipt is not None
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    table = {f"out/{receipt.table('harmonized/0/0001-0').path}"} if receipt.status == "ok" else set()
    assert left == {"in/0001.vital", "out/harmonized/0/0001-0.json", *table}
    stored = (folder / "out/harmonized/0/0001-0.json").read_bytes()
    assert json.loads(stored.decode("ascii"))["status"] == receipt.status
    for said in (receipt.detail or "", *(conflict.unit for conflict in receipt.unit_conflicts)):
        assert said.isprintable(), said
        assert len(said) <= LONGEST_DETAIL
    assert len(receipt.unit_conflicts) <= len(SOURCES)
    return receipt


@pytest.mark.parametrize("data", HOSTILE_TEXTS)
def test_hostile_names_do_no_harm(tmp_path: Path, data: bytes) -> None:
    """As a device, a track and a unit, beside a heart rate that is read as if they were not there."""
    packets = [
        device(2, data),
        track(2, data, data, device_id=2),
        record(2, START, 1),
        device(0xFFFFFFFF, data),
        *KNOWN,
    ]
    receipt = committed(tmp_path, packets)
    assert receipt.status == "ok"
    assert receipt.features["HR"].mean == 70.5
    assert receipt.unit_conflicts == ()


@pytest.mark.parametrize("data", HOSTILE_TEXTS)
def test_receipts_shorten_units(tmp_path: Path, data: bytes) -> None:
    other = [track(2, b"PLETH_HR", data, device_id=1), record(2, START, 70)]
    receipt = committed(tmp_path / "conflict", [*KNOWN, *other])
    assert receipt.status == "ok"
    assert [conflict.track for conflict in receipt.unit_conflicts] == ["Solar8000/PLETH_HR"]
    receipt = committed(tmp_path / "mismatch", [KNOWN[0], *other])
    assert receipt.reason == "unit_mismatch"


@pytest.mark.parametrize("data", HOSTILE_TEXTS)
def test_refusals_shorten_names(tmp_path: Path, data: bytes) -> None:
    never = [track(2, data, b""), record(2, math.nan, 1)]
    cut = [track(2, data, b""), RawPacket(1, struct.pack("<HdHb", 10, START, 2, 1))]
    unknown = [track(2, data, b"", sample_format=9)]
    for number, packets in enumerate((never, cut, unknown)):
        assert committed(tmp_path / str(number), [*KNOWN, *packets]).reason == "corrupt"
    late = [track(2, data, b""), record(2, START + 9e9, 1)]
    assert committed(tmp_path / "late", [*KNOWN, *late]).reason == "too_long"


def test_refusals_of_foreign_files_are_short() -> None:
    for data in (b"\x1b[2J" * 999, gzip_bytes(b"\x1b[2J" * 999)):
        with pytest.raises(CaseRefused) as caught:
            read_vital(data)
        assert caught.value.reason == "not_vital"
        assert caught.value.detail.isprintable()


@given(st.text() | st.text(alphabet=st.characters(categories=["Cs", "Cc", "Cf"]), max_size=200))
def test_shown_text_is_printable_and_short(said: str) -> None:
    found = shown(said)
    assert found.isprintable()
    assert len(found) <= LONGEST_SHOWN + 3
    if said.isprintable() and len(said) <= LONGEST_SHOWN:
        assert found == said


# Times


@pytest.mark.parametrize("start", [5e-324, 1.0, 1e18, 1.7e308])
@pytest.mark.parametrize("time", [-1.7e308, -1e18, 0.0, START, 1e18, 1.7e308])
def test_any_start_and_any_time(tmp_path: Path, start: float, time: float) -> None:
    """Finite times of any size: a header that does not fit to the records does not set the clock."""
    receipt = committed(tmp_path, [KNOWN[0], KNOWN[1], record(1, time, 70)], start=start)
    assert (receipt.status, receipt.seconds) == ("ok", 1)
    assert receipt.clock == ("header" if start <= time <= start + 3600 else "records")


@pytest.mark.parametrize("time", [-1.7e308, -1e18, START - 0.5])
def test_records_from_before_the_start_are_counted_however_early(tmp_path: Path, time: float) -> None:
    """Those without a time are dropped before."""
    receipt = committed(tmp_path, [*KNOWN, record(1, time, 99)])
    assert (receipt.features["HR"].before_start, receipt.untimed) == ((1, 0) if time > 0 else (0, 1))
    assert receipt.features["HR"].maximum == 71
    np.testing.assert_array_equal(seconds_of(np.array([time, START, START + 2.5]), START), [-1, 0, 2])


def test_seven_days_and_no_more(tmp_path: Path) -> None:
    assert committed(tmp_path / "a", [*KNOWN, record(1, START + 604_800, 99)]).seconds == 604_801
    assert committed(tmp_path / "b", [*KNOWN, record(1, START + 604_800.001, 99)]).reason == "too_long"
    assert committed(tmp_path / "c", [*KNOWN, record(1, START - 604_801, 99)], start=0.0).reason == "too_long"


def test_times_that_go_back_are_sorted() -> None:
    rng = np.random.default_rng(4)
    seconds = rng.permutation(300_000)  # more than are put on the grid at a time
    packets = b"".join(
        struct.pack("<bIHdHd", 1, 20, 10, START + second, 1, 60 + second % 50) for second in seconds.tolist()
    )
    recording = read_vital(gzip_bytes(encode_file(FileHeader(start=START), KNOWN[:2]) + packets, level=1))
    assert recording.set_back == ("Solar8000/HR",)
    found = harmonize(recording, CONFIG, Body(sex=1, height=180, weight=80))
    heart_rate = found.values[:, [item.name for item in CONFIG.inputs].index("HR")]
    np.testing.assert_array_equal(heart_rate, 60 + np.arange(300_000) % 50)
    assert found.quality["HR"].live_seconds == {"Solar8000/HR": 300_000}


# Headers beyond their limits, near which both readers agree


def test_limits_of_headers_and_samples_are_the_same_for_both_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.reference import slow_scan
    from vitalprep.vital import headers as vital_headers
    from vitalprep.vital import rows as vital_rows

    tracks = [track(number % 7, b"N" * (number % 11), b"") for number in range(50)]
    records = [record(number % 7, START + number, 1) for number in range(50)]
    mixed = [packet for pair in zip(tracks, records, strict=True) for packet in pair]
    file = gzip_bytes(encode_file(FileHeader(start=START), [*KNOWN, *mixed]))
    read_agreed(file)
    text = sum(
        len(packet.body) for packet in [*KNOWN, *tracks] if isinstance(packet, RawPacket) and packet.packet_type != 1
    )
    reasons = {}
    for limits in (
        (51, text, 1 << 20),
        (52, text - 1, 1 << 20),
        (52, text, 1 << 20),
        (52, text, 20_000),
        (52, text, 60_000),
    ):
        for name, limit in zip(("MOST_HEADERS", "MOST_HEADER_TEXT", "MOST_HEADER_BYTES"), limits, strict=True):
            monkeypatch.setattr(vital_headers, name, limit)
        try:
            reasons[limits] = str(len(read_agreed(file).numerics))
        except CaseRefused as refusal:
            reasons[limits] = refusal.reason
    assert list(reasons.values()) == ["too_large", "too_large", "12", "too_large", "too_large"]
    monkeypatch.setattr(vital_rows, "ROWS", 1000)
    for module in (vital_rows, slow_scan):
        monkeypatch.setattr(module, "MOST_SAMPLES", 2000)
    block = encode_file(FileHeader(start=START), KNOWN[:2])
    one = struct.pack("<bIHdHd", 1, 20, 10, START, 1, 70)
    read_agreed(gzip_bytes(block + one * 2000))
    with pytest.raises(CaseRefused, match="too_large"):
        read_agreed(gzip_bytes(block + one * 2001))
