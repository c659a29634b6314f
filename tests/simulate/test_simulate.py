"""Simulated sets: reproducible, readable by the reference reader, extendable, with clear errors."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.case import clinical_row, make_case, simulate_case
from vitalprep.simulate.patients import CLINICAL_COLUMNS
from vitalprep.simulate.signals import NumericTrack
from vitalprep.simulate.simulate import SimulationOptions, case_hours, simulate_folder

vitaldb = pytest.importorskip("vitaldb", reason="the reference reader is a development dependency")

SHORT = SimulationOptions(seed=3, cases=4, hours=0.05, spread=0.3)
FULL = replace(SHORT, cases=9, truth=True, damage={"truncated": 0.2, "no-clinical-row": 0.2, "short": 0.2})


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def clinical_rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "clinical_data.csv").read_text("utf-8"))))


def tracks_of(seed: int, case_id: int, hours: float) -> dict[str, NumericTrack]:
    return {f"{track.device}/{track.name}": track for track in make_case(seed, case_id, hours).numerics}


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_cases(tmp_path: Path) -> None:
    simulate_folder(tmp_path / "few", SHORT)
    simulate_folder(tmp_path / "more", replace(SHORT, cases=6))
    few, more = (files_of(tmp_path / name) for name in ("few", "more"))
    recordings = {name: data for name, data in few.items() if name.startswith("raw-data")}
    assert list(recordings) == [f"raw-data/{case_id:04d}.vital" for case_id in (1, 2, 3, 4)]
    assert recordings.items() <= more.items()
    assert more["clinical_data.csv"].startswith(few["clinical_data.csv"])
    assert recordings["raw-data/0003.vital"] == simulate_case(SHORT.seed, 3, case_hours(SHORT, 3))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A set with truth and damage, made at once."""
    folder = tmp_path_factory.mktemp("whole")
    simulate_folder(folder, FULL)
    return files_of(folder)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_same_bytes_with_any_number_of_workers(workers: int, whole: dict[str, bytes], tmp_path: Path) -> None:
    simulate_folder(tmp_path, FULL, workers=workers)
    assert files_of(tmp_path) == whole
    assert sum(name.startswith("truth") for name in whole) >= 4
    assert len(json.loads(whole["damage.json"])["cases"]) >= 3


def test_a_set_that_grew_in_steps_is_the_set_made_at_once(whole: dict[str, bytes], tmp_path: Path) -> None:
    simulate_folder(tmp_path, replace(FULL, cases=2))
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (tmp_path / "raw-data").iterdir()}
    simulate_folder(tmp_path, replace(FULL, cases=4), append=True)
    simulate_folder(tmp_path, replace(FULL, cases=3), append=True)
    assert files_of(tmp_path) == whole
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in before}  # none written again


def test_a_set_with_holes_is_completed_and_nothing_else_touched(whole: dict[str, bytes], tmp_path: Path) -> None:
    simulate_folder(tmp_path, FULL)
    (tmp_path / "raw-data" / "0003.vital").unlink()
    (tmp_path / "raw-data" / "0008.vital").unlink()
    (tmp_path / "raw-data" / ".0008.vital.tmp").write_bytes(b"half")  # as a killed process leaves it
    kept = tmp_path / "raw-data" / "0001.vital"
    stamp = kept.stat().st_mtime_ns
    simulate_folder(tmp_path, FULL)
    assert files_of(tmp_path) == whole
    assert kept.stat().st_mtime_ns == stamp


def test_subjects_of_earlier_cases_return_after_an_append() -> None:
    first = {clinical_row(0, case_id, 1.0)[0].subject_id for case_id in range(1, 31)}
    later = {clinical_row(0, case_id, 1.0)[0].subject_id for case_id in range(31, 101)}
    assert first & later


def test_another_seed_or_case_or_length_gives_other_bytes() -> None:
    made = {simulate_case(*arguments) for arguments in ((0, 1, 0.1), (1, 1, 0.1), (0, 3, 0.1), (0, 1, 0.11))}
    assert len(made) == 4


def test_lengths_scatter_about_the_median_as_far_as_asked() -> None:
    def hours(spread: float) -> list[float]:
        return [case_hours(replace(SHORT, hours=2, spread=spread), case_id) for case_id in range(1, 301)]

    assert set(hours(0)) == {2.0}
    some, all_of_it = hours(0.3), hours(1)
    assert np.median(some) == pytest.approx(2, rel=0.05)
    assert np.median(all_of_it) == pytest.approx(2, rel=0.15)
    assert np.std(np.log(some)) == pytest.approx(0.3 * np.std(np.log(all_of_it)), rel=0.1)
    assert max(case_hours(replace(SHORT, hours=20), case_id) for case_id in range(1, 301)) == 24


@pytest.mark.parametrize(
    "case_id", [1, 2, 4, 6], ids=["packed, 27", "interleaved, 26", "interleaved, 27", "interleaved, 10"]
)
def test_the_reference_reader_returns_the_simulated_values(tmp_path: Path, case_id: int) -> None:
    path = tmp_path / "case.vital"
    path.write_bytes(simulate_case(5, case_id, 0.3))
    found = vitaldb.VitalFile(str(path))
    assert found.packed == (case_id == 1)
    written = tracks_of(5, case_id, 0.3)
    assert set(found.trks) == {*written, "EVENT"}
    start = found.trks["Solar8000/HR"].recs[0]["dt"] - written["Solar8000/HR"].times[0]
    for name, track in written.items():
        assert found.trks[name].unit == track.unit
        values = np.array([record["val"] for record in found.trks[name].recs])
        np.testing.assert_array_equal(values, track.values.astype(np.float32))
        times = np.array([record["dt"] for record in found.trks[name].recs])
        np.testing.assert_allclose(times - start, track.times, atol=1e-5)


@pytest.mark.parametrize("case_id", [1, 2])
def test_waves_are_added_and_leave_the_numerics_alone(case_id: int) -> None:
    plain, full = (make_case(5, case_id, 0.1, waves=waves) for waves in (False, True))
    assert not plain.waves
    assert {wave.form.track for wave in full.waves} >= {"SNUADC/ECG_II", "SNUADC/PLETH", "Primus/CO2"}
    for before, after in zip(plain.numerics, full.numerics, strict=True):
        assert (before.device, before.name, before.unit) == (after.device, after.name, after.unit)
        np.testing.assert_array_equal(before.times, after.times)
        np.testing.assert_array_equal(before.values, after.values)


def test_clinical_table_describes_every_recording(tmp_path: Path) -> None:
    options = SimulationOptions(seed=1, cases=40, hours=0.02)
    simulate_folder(tmp_path, options)
    rows = clinical_rows(tmp_path)
    assert tuple(rows[0]) == CLINICAL_COLUMNS
    assert [int(row["caseid"]) for row in rows] == list(range(1, 41))
    for row in rows:
        start, opening, closing, end = (int(row[name]) for name in ("anestart", "opstart", "opend", "caseend"))
        assert start <= opening <= closing <= end
        assert end == round(case_hours(options, int(row["caseid"])) * 3600)
        assert float(row["bmi"]) == pytest.approx(float(row["weight"]) / (float(row["height"]) / 100) ** 2, abs=0.06)
        assert row["sex"] in ("F", "M")


def test_a_set_of_sixty_has_subjects_with_several_cases() -> None:
    patients = [clinical_row(0, case_id, 1.0)[0] for case_id in range(1, 61)]
    assert 3 <= 60 - len({patient.subject_id for patient in patients}) <= 15


def test_the_truth_lies_beside_the_recordings_that_can_be_read(whole: dict[str, bytes]) -> None:
    damaged = {case["case_id"]: case["damage"] for case in json.loads(whole["damage.json"])["cases"]}
    readable = [case_id for case_id in range(1, 10) if damaged.get(case_id) != "truncated"]
    assert [name for name in whole if name.startswith("truth")] == [f"truth/{case:04d}.parquet" for case in readable]
    table = pq.read_table(io.BytesIO(whole[f"truth/{readable[0]:04d}.parquet"]))
    assert table.column_names[:4] == ["second", "HR", "HR_origin", "HR_patient"]
    assert [str(kind) for kind in table.schema.types[:4]] == ["int32", "float", "uint8", "float"]


@pytest.mark.parametrize("hours", [1 / 3600, 0.01, 12])
def test_shortest_and_longest_cases_can_be_read(tmp_path: Path, hours: float) -> None:
    path = tmp_path / "case.vital"
    path.write_bytes(simulate_case(0, 2, hours))
    found = vitaldb.VitalFile(str(path))
    assert found.dtend - found.dtstart == pytest.approx(hours * 3600, abs=1e-3)


@pytest.mark.parametrize(
    "bad", [{"cases": -1}, {"cases": 0}, {"seed": -1}, {"spread": 2.5}, {"spread": -0.1}, {"hours": 25}, {"hours": 0}]
)
def test_impossible_options_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=str(next(iter(bad.values())))):
        SimulationOptions(**bad)


@pytest.mark.parametrize("hours", [0, -1, 24.5, float("nan"), float("inf")])
def test_impossible_hours_are_refused(hours: float) -> None:
    with pytest.raises(UsageError, match="cannot last"):
        simulate_case(0, 1, hours)
    with pytest.raises(UsageError, match="cannot last"):
        SimulationOptions(hours=hours)


def test_impossible_cases_are_refused() -> None:
    with pytest.raises(UsageError, match="case number is 0"):
        simulate_case(0, 0, 1)
    with pytest.raises(UsageError, match="seed is -1"):
        simulate_case(-1, 1, 1)


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"cases": 5}, {"hours": 0.3}, {"spread": 1}, {"waves": True}, {"truth": True},
     {"damage": {"unit": 0.5}}],
)  # fmt: skip
def test_a_folder_with_another_simulation_is_refused_untouched(tmp_path: Path, change: dict[str, Any]) -> None:
    simulate_folder(tmp_path, SHORT)
    before = files_of(tmp_path)
    name = next(iter(change))
    with pytest.raises(UsageError, match=f"holds a set with other options: {name} is"):
        simulate_folder(tmp_path, replace(SHORT, **change))
    if name != "cases":
        with pytest.raises(UsageError, match=f"holds a set with other options: {name} is"):
            simulate_folder(tmp_path, replace(SHORT, **change), append=True)
    assert files_of(tmp_path) == before


def test_foreign_outputs_are_refused_untouched(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    with pytest.raises(UsageError, match="is not empty and is not a simulated set"):
        simulate_folder(tmp_path, SHORT)
    with pytest.raises(UsageError, match="is a file"):
        simulate_folder(note, SHORT)
    with pytest.raises(UsageError, match="Could not create"):
        simulate_folder(note / "below", SHORT)
    assert files_of(tmp_path) == {"note.txt": b"mine"}


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"schema_version": 99}), json.dumps({"cases": 4})])
def test_an_invalid_simulation_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "simulation.json").write_text(content)
    with pytest.raises(UsageError, match=r"simulation\.json|a set with other options"):
        simulate_folder(tmp_path, SHORT)
    assert (tmp_path / "simulation.json").read_text() == content
