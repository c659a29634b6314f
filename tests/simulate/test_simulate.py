"""Simulated sets: reproducible, readable by others, and honest about what they refuse to do."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocessing.errors import UsageError
from preprocessing.simulate.course import case_course
from preprocessing.simulate.patients import CLINICAL_COLUMNS, patient_of_case
from preprocessing.simulate.signals import NumericTrack, numeric_tracks
from preprocessing.simulate.simulate import SimulationOptions, case_hours, simulate_case, simulate_folder

vitaldb = pytest.importorskip("vitaldb", reason="the reference reader is a development dependency")

SOURCES = {  # of DESIGN 3
    f"{device}/{name}"
    for device, names in {
        "Solar8000": "HR PLETH_HR PLETH_SPO2 ART_SBP ART_DBP ART_MBP NIBP_SBP NIBP_DBP NIBP_MBP "
        "ETCO2 FIO2 RR RR_CO2 VENT_TV VENT_RR VENT_MEAS_PEEP",
        "Primus": "ETCO2 TV PEEP_MBAR FIO2 RR_CO2 EXP_SEVO INSP_SEVO",
        "Orchestra": "PPF20_RATE RFTN20_RATE RFTN50_RATE NEPI_RATE",
        "BIS": "BIS",
        "EV1000": "ART_MBP",
    }.items()
    for name in names.split()
}
SHORT = SimulationOptions(seed=3, cases=4, hours=0.2)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def clinical_rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "clinical_data.csv").read_text("utf-8"))))


def tracks_of(seed: int, case_id: int, hours: float) -> dict[str, NumericTrack]:
    course = case_course(seed, patient_of_case(seed, case_id), hours)
    return {f"{track.device}/{track.name}": track for track in numeric_tracks(seed, case_id, course)}


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_cases(tmp_path: Path) -> None:
    simulate_folder(tmp_path / "few", SHORT)
    simulate_folder(tmp_path / "again", SHORT)
    simulate_folder(tmp_path / "more", replace(SHORT, cases=6))
    few, again, more = (files_of(tmp_path / name) for name in ("few", "again", "more"))
    assert few == again
    recordings = {name: data for name, data in few.items() if name.startswith("raw-data")}
    assert list(recordings) == [f"raw-data/{case_id:04d}.vital" for case_id in (1, 2, 3, 4)]
    assert recordings.items() <= more.items()
    assert more["clinical_data.csv"].startswith(few["clinical_data.csv"])
    assert recordings["raw-data/0003.vital"] == simulate_case(SHORT.seed, 3, case_hours(SHORT, 3))


def test_another_seed_or_case_or_length_gives_other_bytes() -> None:
    made = {simulate_case(*arguments) for arguments in ((0, 1, 0.1), (1, 1, 0.1), (0, 3, 0.1), (0, 1, 0.11))}
    assert len(made) == 4


def test_lengths_differ_within_the_spread() -> None:
    hours = [case_hours(replace(SHORT, hours=2, spread=0.3), case_id) for case_id in range(1, 101)]
    assert len(set(hours)) == 100
    assert 1.4 <= min(hours) < 1.5
    assert 2.5 < max(hours) <= 2.6


@pytest.mark.parametrize(
    "case_id", [1, 2, 4, 6], ids=["packed, 27", "interleaved, 26", "interleaved, 27", "interleaved, 10"]
)
def test_the_reference_reader_returns_the_simulated_values(tmp_path: Path, case_id: int) -> None:
    path = tmp_path / "case.vital"
    path.write_bytes(simulate_case(5, case_id, 0.5))
    found = vitaldb.VitalFile(str(path))
    assert found.packed == (case_id == 1)
    written = tracks_of(5, case_id, 0.5)
    assert set(found.trks) == {*written, "EVENT"}
    start = found.trks["Solar8000/HR"].recs[0]["dt"] - written["Solar8000/HR"].times[0]
    for name, track in written.items():
        assert found.trks[name].unit == track.unit
        values = np.array([record["val"] for record in found.trks[name].recs])
        np.testing.assert_array_equal(values, track.values.astype(np.float32))
        times = np.array([record["dt"] for record in found.trks[name].recs])
        np.testing.assert_allclose(times - start, track.times, atol=1e-5)


@pytest.mark.parametrize("case_id", [1, 2])
def test_waves_are_added_and_leave_the_numerics_alone(tmp_path: Path, case_id: int) -> None:
    found = {}
    for waves in (False, True):
        path = tmp_path / f"{waves}.vital"
        path.write_bytes(simulate_case(5, case_id, 0.5, waves=waves))
        found[waves] = vitaldb.VitalFile(str(path))
    assert set(found[True].trks) - set(found[False].trks) == {"Primus/CO2", "SNUADC/PLETH"}
    assert [record["val"] for record in found[True].trks["Solar8000/HR"].recs] == [
        record["val"] for record in found[False].trks["Solar8000/HR"].recs
    ]
    co2 = found[True].trks["Primus/CO2"]
    samples = np.concatenate([record["val"] for record in co2.recs]).astype(float)
    samples = samples[samples != 65535] * co2.gain + co2.offset
    assert co2.srate == 62.5
    assert -2 < samples.min() < 2
    assert 25 < samples.max() < 60


def test_clinical_table_describes_every_recording(tmp_path: Path) -> None:
    options = SimulationOptions(seed=1, cases=60, hours=0.02)
    simulate_folder(tmp_path, options)
    rows = clinical_rows(tmp_path)
    assert tuple(rows[0]) == CLINICAL_COLUMNS
    assert ",".join(CLINICAL_COLUMNS) == (
        "caseid,subjectid,casestart,caseend,anestart,aneend,opstart,opend,"
        "age,sex,height,weight,bmi,asa,emop,department,ane_type"
    )
    assert [int(row["caseid"]) for row in rows] == list(range(1, 61))
    for row in rows:
        times = [int(row[name]) for name in ("anestart", "casestart", "opstart", "opend", "caseend")]
        assert times == sorted(times)
        assert int(row["caseend"]) == round(case_hours(options, int(row["caseid"])) * 3600)
        assert float(row["bmi"]) == pytest.approx(float(row["weight"]) / (float(row["height"]) / 100) ** 2, abs=0.06)
        assert row["sex"] in ("F", "M")


def test_a_set_of_sixty_has_subjects_with_several_cases(tmp_path: Path) -> None:
    simulate_folder(tmp_path, SimulationOptions(seed=0, cases=60, hours=0.01))
    by_subject: dict[str, list[dict[str, str]]] = {}
    for row in clinical_rows(tmp_path):
        by_subject.setdefault(row["subjectid"], []).append(row)
    several = [rows for rows in by_subject.values() if len(rows) > 1]
    assert 3 <= sum(len(rows) - 1 for rows in several) <= 15
    for rows in several:
        assert len({(row["sex"], row["height"]) for row in rows}) == 1


def test_patients_include_children_extremes_and_missing_values() -> None:
    patients = [patient_of_case(0, case_id) for case_id in range(1, 1001)]
    assert sum(patient.age > 89 for patient in patients) >= 5
    assert 5 <= sum(patient.age < 18 for patient in patients) <= 80
    assert sum(patient.asa is None for patient in patients) >= 5
    assert {patient.asa for patient in patients} <= {None, 1, 2, 3, 4, 6}
    assert all(0.3 <= patient.age <= 100 for patient in patients)
    assert all(4 < patient.weight < 180 and 45 < patient.height < 205 for patient in patients)


def test_every_source_of_the_specification_occurs_and_faults_do_too() -> None:
    seen: Counter[str] = Counter()
    flushed = unread = 0
    for case_id in range(1, 121):
        tracks = tracks_of(0, case_id, 0.5)
        seen.update(tracks.keys())
        for track in tracks.values():
            assert (np.diff(track.times) > 0).all()
            assert np.isfinite(track.values).all()
        if "Solar8000/ART_SBP" in tracks:
            pressures = tracks["Solar8000/ART_SBP"].values
            flushed += bool((pressures == 300).any() and (pressures <= 0).any())
        unread += "BIS/BIS" in tracks and bool((tracks["BIS/BIS"].values == 0).any())
    assert set(seen) >= SOURCES
    assert seen["Solar8000/HR"] == 120
    assert 0 < seen["Orchestra/NEPI_RATE"] < 25
    assert 0 < seen["Orchestra/RFTN50_RATE"] < seen["Orchestra/RFTN20_RATE"]
    assert flushed > 20
    assert unread > 60


@pytest.mark.parametrize("hours", [1 / 3600, 0.01, 24])
def test_shortest_and_longest_cases_can_be_read(tmp_path: Path, hours: float) -> None:
    path = tmp_path / "case.vital"
    path.write_bytes(simulate_case(0, 2, hours))
    found = vitaldb.VitalFile(str(path))
    assert found.dtend - found.dtstart == pytest.approx(hours * 3600, abs=1e-3)


@pytest.mark.parametrize(
    "bad", [{"cases": -1}, {"cases": 0}, {"seed": -1}, {"spread": 1.0}, {"spread": -0.1}, {"hours": 20}]
)
def test_impossible_options_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=str(next(iter(bad.values())))):
        SimulationOptions(**bad)


@pytest.mark.parametrize("hours", [0, -1, 24.5, float("nan"), float("inf")])
def test_impossible_hours_are_refused(hours: float) -> None:
    with pytest.raises(UsageError, match="cannot last"):
        simulate_case(0, 1, hours)
    with pytest.raises(UsageError):
        SimulationOptions(hours=hours)


def test_impossible_cases_are_refused() -> None:
    with pytest.raises(UsageError, match="no case 0"):
        simulate_case(0, 0, 1)


def test_the_same_options_write_the_same_files_again_and_report_progress(tmp_path: Path) -> None:
    done: list[int] = []
    paths = simulate_folder(tmp_path, SHORT, progress=done.append)
    before = files_of(tmp_path)
    paths[1].unlink()  # as an interrupted run leaves it
    assert simulate_folder(tmp_path, SHORT) == paths
    assert files_of(tmp_path) == before
    assert done == [1, 2, 3, 4]


@pytest.mark.parametrize("change", [{"seed": 4}, {"cases": 5}, {"hours": 0.3}, {"waves": True}])
def test_a_folder_with_another_simulation_is_refused_untouched(tmp_path: Path, change: dict[str, Any]) -> None:
    simulate_folder(tmp_path, SHORT)
    before = files_of(tmp_path)
    with pytest.raises(UsageError, match=f"another simulation: {next(iter(change))} is"):
        simulate_folder(tmp_path, replace(SHORT, **change))
    assert files_of(tmp_path) == before


def test_foreign_outputs_are_refused_untouched(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        simulate_folder(tmp_path, SHORT)
    with pytest.raises(UsageError, match="is a file"):
        simulate_folder(note, SHORT)
    with pytest.raises(UsageError, match="cannot be created"):
        simulate_folder(note / "below", SHORT)
    assert files_of(tmp_path) == {"note.txt": b"mine"}


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"schema_version": 99})])
def test_a_marker_that_is_not_ours_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "simulation.json").write_text(content)
    with pytest.raises(UsageError, match=r"simulation\.json|another simulation"):
        simulate_folder(tmp_path, SHORT)


def test_no_unfinished_file_stays_when_writing_stops(tmp_path: Path) -> None:
    def stop(case_id: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_folder(tmp_path, SHORT, progress=stop)
    assert set(files_of(tmp_path)) == {"raw-data/0001.vital", "simulation.json"}
