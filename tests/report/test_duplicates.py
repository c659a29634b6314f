"""Recordings that are there twice: copies as people make them are found, and nobody else's case is called one."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline import Answer, run_vitalprep
from tests.report.synthetic import planned_case, receipt, sketch, stored
from vitalprep.report.duplicates import near_duplicates
from vitalprep.report.warnings import warnings_of
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder
from vitalprep.simulate.vital_writer import (
    SAMPLE_DTYPES,
    DeviceHeader,
    FileHeader,
    NumericSeries,
    Track,
    TrackHeader,
    encode_interleaved,
    gzip_bytes,
)
from vitalprep.vital.recording import Numeric, VitalFile, read_vital

BIS_AND_PUMPS = ("BIS/BIS", "Orchestra/")
FLOAT64 = 2


@dataclass(frozen=True)
class Copy:
    """A recording written anew.

    Attributes
    ----------
    of : int
        Its case.
    between : tuple of float
        What of it is kept, as shares of its length.
    moved : float
        Seconds by which every time stamp is later.
    only : tuple of str
        Begins of the names of the tracks that are kept.
    sample_format : int
        Of the values.
    whole_seconds : bool
        Whether the header's start time is the full second before the first record, or left out.
    """

    of: int
    between: tuple[float, float] = (0, 1)
    moved: float = 0.0
    only: tuple[str, ...] = ("",)
    sample_format: int = 1
    whole_seconds: bool = False

    def encoded(self, source: bytes) -> bytes:
        """The bytes of its file, by the simulator's writer."""
        file = read_vital(source)
        kept = {name: self._part(track, file) for name, track in file.numerics.items() if name.startswith(self.only)}
        kept = {name: track for name, track in kept.items() if len(track.times)}
        start = np.floor(min(track.times[0] for track in kept.values())) if self.whole_seconds else 0.0
        devices = sorted({name.partition("/")[0] for name in kept})
        headers = [DeviceHeader(device_id=number, name=name) for number, name in enumerate(devices, start=1)]
        tracks = [self._track(number, track, devices) for number, track in enumerate(kept.values(), start=1)]
        return gzip_bytes(encode_interleaved(FileHeader(start=start), headers, tracks))

    def _track(self, number: int, track: Numeric, devices: Sequence[str]) -> Track:
        form = self.sample_format
        device, _, name = track.name.partition("/")
        header = TrackHeader(
            track_id=number,
            kind="numeric",
            name=name,
            unit=track.units[0],
            sample_format=form,
            device_id=devices.index(device) + 1,
        )
        values = track.values.astype(SAMPLE_DTYPES[form])
        return Track(header, (NumericSeries(track_id=number, times=track.times, values=values, sample_format=form),))

    def _part(self, track: Numeric, file: VitalFile) -> Numeric:
        first = file.start_time or file.first_time or 0.0
        begin, end = (first + share * ((file.last_time or 0.0) - first) for share in self.between)
        kept = (track.times >= begin) & (track.times <= end)
        return replace(track, times=track.times[kept] + self.moved, values=track.values[kept])


COPIES = {
    101: Copy(1),  # byte by byte, see `made`
    102: Copy(2, between=(0, 0.995)),
    103: Copy(3, between=(0.015, 1)),
    104: Copy(4, between=(0.01, 0.99), moved=86_400.37, whole_seconds=True),
    105: Copy(5, moved=-7200.6, sample_format=FLOAT64, whole_seconds=True),
    106: Copy(6, between=(0.25, 0.75)),
    107: Copy(7, only=BIS_AND_PUMPS, whole_seconds=True),
    108: Copy(7, only=BIS_AND_PUMPS, whole_seconds=True, between=(0.01, 0.985)),
    109: Copy(8, between=(0.1, 0.9), moved=0.5, sample_format=FLOAT64),
}
GROUPS = [(1, 101), (2, 102), (3, 103), (4, 104), (5, 105), (6, 106), (8, 109), (107, 108)]
CASES = 64


def put(folder: Path, recordings: Mapping[int, bytes], row_of: Callable[[int], dict[str, Any]]) -> None:
    """Add recordings with their rows in the clinical table."""
    for case, data in recordings.items():
        (folder / "raw-data" / f"{case:04d}.vital").write_bytes(data)
    with (folder / "clinical_data.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    rows += [row_of(case) for case in recordings]
    with (folder / "clinical_data.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """Sixty-four patients, and nine more who are some of them under another subject, weight and height."""
    folder = tmp_path_factory.mktemp("twice")
    simulate_folder(folder, SimulationOptions(seed=21, cases=CASES, hours=0.5, spread=0.6))
    sources = {case: (folder / "raw-data" / f"{copy.of:04d}.vital").read_bytes() for case, copy in COPIES.items()}
    copies = {case: copy.encoded(sources[case]) for case, copy in COPIES.items()} | {101: sources[101]}

    def row(case: int) -> dict[str, Any]:
        return {"caseid": case, "subjectid": 900_000 + case, "sex": "F", "age": 61, "height": 151, "weight": 91.5}

    put(folder, copies, row)
    return run_vitalprep("run", "--input", folder, "--output", tmp_path_factory.mktemp("twice-out"))


def groups_of(answer: Answer) -> list[tuple[int, ...]]:
    assert answer.exit_code == 0, answer.result
    metadata = json.loads((Path(answer.result["dataset"]) / "preprocessing_metadata.json").read_bytes())
    return [tuple(item["cases"]) for item in metadata["warnings"] if item["code"] == "near_duplicate"]


def test_copies_are_found_and_nothing_else(made: Answer) -> None:
    assert groups_of(made) == GROUPS
    assert made.result["written"] == CASES + len(COPIES)


def test_the_sketches_take_little_room(made: Answer) -> None:
    dataset = Path(made.result["dataset"])
    summaries = [json.loads(path.read_bytes()) for path in dataset.glob("build-*.json")]
    sketches = {case: text for summary in summaries for case, text in summary["sketches"].items()}
    assert len(sketches) == CASES + len(COPIES)
    assert len(json.dumps(sketches)) / len(sketches) * 3000 < 1e6


def test_real_recordings_and_their_copies(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "vitaldb_open"
    (tmp_path / "raw-data").mkdir()
    for path in (source / "raw-data").iterdir():
        (tmp_path / "raw-data" / path.name).symlink_to(path)
    (tmp_path / "clinical_data.csv").write_bytes((source / "clinical_data.csv").read_bytes())
    cases = sorted(int(path.stem) for path in (source / "raw-data").iterdir())
    cuts = [(0, 0.995), (0.015, 1), (0.01, 0.99), (0, 1)]
    copies = {10_000 + case: Copy(case, cuts[case % 4], moved=0.4, whole_seconds=True) for case in cases}
    data = {
        case: copy.encoded((tmp_path / f"raw-data/{copy.of:04d}.vital").read_bytes()) for case, copy in copies.items()
    }
    put(tmp_path, data, lambda case: {"caseid": case, "subjectid": case, "sex": "M", "height": 190, "weight": 120})
    numbers = ",".join(map(str, [*cases, *copies]))
    made = run_vitalprep("run", "--input", tmp_path, "--output", tmp_path.parent / "out-of-copies", "--cases", numbers)
    assert groups_of(made) == [(case, 10_000 + case) for case in cases]


def test_the_same_recording_under_two_numbers_is_a_leak(tmp_path: Path) -> None:
    cases = [planned_case(number, ("train", "validation", "test")[number % 3]) for number in range(1, 61)]
    sketches = {case.case_id: sketch(case.case_id) for case in cases}
    sketches |= {33: sketches[4], 50: sketch(4, of_another=0.5), 51: sketch(5, of_another=0.95)}
    data = stored(tmp_path, cases, {case.case_id: receipt(case) for case in cases}, sketches=sketches)
    found = [warning for warning in warnings_of(data.plan, data.account) if warning.code == "near_duplicate"]
    assert [(warning.cases, warning.level) for warning in found] == [((4, 33, 50), "warning")]
    assert len({data.plan.by_id[case].split for case in (4, 33, 50)}) > 1
    assert "leaks" in found[0].message


def test_a_thousand_copies_are_one_group_and_many_groups_are_counted(tmp_path: Path) -> None:
    receipts = {number: receipt(planned_case(number, "train")) for number in range(1, 1001)}
    tables = {number: one.values_sha256 for number, one in receipts.items()}
    assert near_duplicates(tables, dict.fromkeys(tables, sketch(1))) == [tuple(tables)]
    cuts = {number: sketch(1, of_another=number / 2100) for number in tables}
    assert near_duplicates(tables, cuts) == [tuple(tables)]
    cases = [planned_case(number, "train") for number in range(1, 241)]
    pairs = {case.case_id: sketch((case.case_id + 1) // 2) for case in cases}
    data = stored(tmp_path, cases, {case.case_id: receipts[case.case_id] for case in cases}, sketches=pairs)
    found = [warning for warning in warnings_of(data.plan, data.account) if warning.code == "near_duplicate"]
    assert [warning.cases for warning in found[:2]] == [(1, 2), (3, 4)]
    assert len(found) == 101
    assert found[-1].message.startswith("20 more groups")
    assert "leaks" not in found[0].message


def test_a_whole_recording_joins_its_two_halves() -> None:
    hashes = np.frombuffer(np.random.default_rng(1).bytes(4 * 96), dtype=np.uint32)

    def text(part: np.ndarray) -> str:
        return base64.b64encode(np.sort(part)[:48].astype(">u4").tobytes()).decode()

    sketches = {1: text(hashes[:48]), 2: sketch(7), 3: text(hashes[48:]), 4: text(hashes)}
    assert near_duplicates(dict.fromkeys(sketches), sketches) == [(1, 3, 4)]


def test_without_sketches_the_tables_tell() -> None:
    tables: dict[int, str | None] = {number: f"{number:064x}" for number in range(1, 2001)}
    assert near_duplicates(tables, {number: sketch(number) for number in tables}) == []
    assert near_duplicates(tables, dict.fromkeys(tables, "")) == []
    assert near_duplicates(tables | {33: tables[4]}, {}) == [(4, 33)]
    assert near_duplicates({}, {}) == []
