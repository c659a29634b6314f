"""``vitalprep inspect``: what is shown of recordings is what they hold."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inspect.made import write
from tests.pipeline import BUCKET, COMMAND, run_vitalprep, s3_client
from vitalprep.contract.config_file import load_config
from vitalprep.inspect.contents import spread
from vitalprep.inspect.reading import InspectTask, TrackFacts, inspect_recording
from vitalprep.inspect.tracks import combined_tracks
from vitalprep.storage import Storage


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of a monitor that the default configuration partly knows, and what is no recording."""
    folder = tmp_path_factory.mktemp("hospital")
    write(
        folder / "or1" / "OR1_240612.vital",
        {
            "Solar8000/HR": ("/min", range(1, 101), 2.0),
            "Solar8000/ETCO2": ("mmHg", [38.0] * 10, 1.0),
            "Intellivue/PLETH_SAT_O2": ("%", [97.0, 98.0], 1.0),
            "Other/TEMP": ("F", [98.0, float("nan"), 99.5], 5.0),
        },
    )
    write(
        folder / "0007.vital",
        {
            "Solar8000/HR": ("bpm", range(101, 201), 4.0),
            "Solar8000/ETCO2": ("%", [5.0] * 4, 1.0),
            "Other/TEMP": ("F", [100.0], 5.0),
        },
    )
    (folder / "0008.vital").write_bytes(b"no recording")
    (folder / ".Trash-1").mkdir()
    (folder / ".Trash-1" / "0009.vital").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def result(hospital: Path) -> dict[str, Any]:
    answer = run_vitalprep("inspect", hospital, "--workers", "1")
    assert answer.exit_code == 0
    return answer.result


def _track(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [track for track in result["tracks"] if track["track"] == name]
    return found


def test_recordings_lengths_and_devices(result: dict[str, Any]) -> None:
    assert (result["recordings"], result["read"], result["usable"]) == (3, 3, 2)
    assert result["length"] == {"total": 594, "shortest": 198, "median": 297, "longest": 396}
    assert result["devices"] == [
        {"device": "Intellivue", "tracks": 1, "recordings": 1},
        {"device": "Other", "tracks": 1, "recordings": 2},
        {"device": "Solar8000", "tracks": 2, "recordings": 2},
    ]


def test_a_track_has_its_units_counts_interval_and_range(result: dict[str, Any]) -> None:
    rate = _track(result, "Solar8000/HR")
    assert rate["units"] == ["bpm", "/min"]
    assert (rate["recordings"], rate["records"], rate["interval"]) == (2, 200, 3.0)
    assert [rate[name] for name in ("minimum", "p5", "p95", "maximum")] == [1, 10, 190, 200]
    assert (rate["input"], rate["place"], rate["refused"]) == ("HR", 1, [])
    warmth = _track(result, "Other/TEMP")
    assert (warmth["records"], warmth["not_finite"], warmth["minimum"], warmth["maximum"]) == (4, 1, 98, 100)
    assert (warmth["input"], warmth["known"]) == (None, [])


def test_a_refused_unit_is_named_and_does_not_feed(result: dict[str, Any]) -> None:
    gas = _track(result, "Solar8000/ETCO2")
    assert gas["refused"] == [{"unit": "%", "recordings": 1}]
    assert (gas["input"], gas["wanted_unit"]) == ("ETCO2", "mmHg")
    fed = {item["name"]: item["recordings"] for item in result["inputs"]}
    assert {name: count for name, count in fed.items() if count} == {"HR": 2, "ETCO2": 1}


def test_values_outside_a_source_s_limits_are_counted(tmp_path: Path, result: dict[str, Any]) -> None:
    assert _track(result, "Solar8000/HR")["outside_limits"] == 9  # 1 to 9
    write(tmp_path / "1.vital", {"Solar8000/PLETH_SPO2": ("%", [0.98] * 5, 1.0), "A/B": ("", [1e9], 1.0)})
    found = run_vitalprep("inspect", tmp_path).result
    assert [track["outside_limits"] for track in found["tracks"]] == [5, 0]


def test_a_track_of_a_pulse_test_is_in_use(tmp_path: Path) -> None:
    config = tmp_path / "pulse.yaml"
    pulse = "{high: Solar8000/ART_SBP, low: Mine/LOW, at_least: 10}"
    config.write_text(f"inputs: [{{name: BP_MAP, sources: [{{track: Solar8000/ART_MBP, pulse: {pulse}}}]}}]")
    write(tmp_path / "1.vital", {"Solar8000/ART_SBP": ("mmHg", [120.0], 1.0), "Mine/LOW": ("kPa", [8.0], 1.0)})
    found = run_vitalprep("inspect", tmp_path, "--config", config).result
    high, low = (_track(found, name) for name in ("Solar8000/ART_SBP", "Mine/LOW"))
    assert (high["input"], high["pulse_of"], high["refused"]) == ("BP_SYS", ["BP_MAP"], [])
    assert (low["input"], low["pulse_of"]) == (None, ["BP_MAP"])
    assert low["refused"] == [{"unit": "kPa", "recordings": 1}]


def test_a_profile_that_knows_a_track_is_suggested(result: dict[str, Any], hospital: Path) -> None:
    assert result["profiles"] == [{"profile": "intellivue", "inputs": ["SPO2"], "tracks": ["Intellivue/PLETH_SAT_O2"]}]
    with_it = run_vitalprep("inspect", hospital, "--profile", "intellivue").result
    assert with_it["profiles"] == []
    assert _track(with_it, "Intellivue/PLETH_SAT_O2")["input"] == "SPO2"


def test_a_profile_is_not_suggested_for_a_unit_that_it_would_refuse(tmp_path: Path) -> None:
    write(tmp_path / "1.vital", {"Bx50/PEEP": ("hPa", [5.0], 1.0)})
    found = run_vitalprep("inspect", tmp_path).result
    peep = _track(found, "Bx50/PEEP")
    assert found["profiles"] == []
    assert peep["known"] == [{"profile": "carescape", "input": "PEEP"}]
    assert (peep["refused"], peep["wanted_unit"]) == ([{"unit": "hPa", "recordings": 1}], "cmH2O")


def test_what_cannot_be_used_is_named_with_its_reason(result: dict[str, Any]) -> None:
    assert [(one["path"], one["reason"]) for one in result["unusable"]] == [("0008.vital", "not_vital")]
    assert result["unnamed"] == {"count": 1, "names": ["or1/OR1_240612.vital"]}
    assert result["left_out"] == [{"reason": "trash", "count": 1, "names": [".Trash-1/0009.vital"]}]


def _printed(folder: Path, **environment: str) -> str:
    return subprocess.run(
        [*COMMAND, "inspect", str(folder)],
        capture_output=True,
        text=True,
        env={"PATH": "", **environment},
        check=True,
        timeout=120,
    ).stdout


def test_a_person_is_shown_the_same(hospital: Path) -> None:
    shown = _printed(hospital, COLUMNS="200")
    for words in (
        "0008.vital: not_vital",
        "1: or1/OR1_240612.vital",
        "1 recording (in a trash or system folder): .Trash-1/0009.vital",
        "* Solar8000/HR: 9 values outside its limits",
        "* Solar8000/ETCO2: unit refused: '%' (1 recording), not mmHg",
        "* Other/TEMP: 1 of 4 records without a number",
        "--profile intellivue would use 1 track more: SPO2.",
    ):
        assert words in shown
    assert _rows(shown)["Used by this configuration"] == [
        "Solar8000",
        "HR bpm, /min 2/2 200 3 s 10 to 190 1 to 200 HR",
        "ETCO2 %, mmHg 2/2 14 1 s 5 to 38 5 to 38 ETCO2",
    ]


def _rows(shown: str) -> dict[str, list[str]]:
    """Return the rows of each table of tracks by its title, with single blanks."""
    tables = {}
    for block in shown.split("\n\n"):
        lines = [" ".join(line.split()) for line in block.splitlines()]
        if len(lines) > 1 and lines[1].startswith("track unit in "):
            tables[lines[0]] = [line for line in lines[2:] if not line.startswith("* ")]
    return tables


def test_tracks_are_shown_by_use_then_by_device(tmp_path: Path) -> None:
    write(
        tmp_path / "1.vital",
        {
            "Zeus/UNKNOWN": ("", [1.0], 1.0),
            "Intellivue/UNKNOWN": ("", [1.0], 1.0),
            "Intellivue/HR": ("/min", [70.0], 1.0),
            "Bx50/HR": ("/min", [70.0], 1.0),
            "Solar8000/PLETH_SPO2": ("%", [97.0], 1.0),
            "Solar8000/ART_MBP": ("kPa", [9.0], 1.0),
            "BIS/BIS": ("unitless", [40.0], 1.0),
            "Solar8000/HR": ("/min", [70.0], 1.0),
        },
    )
    assert {title: [row.split()[0] for row in rows] for title, rows in _rows(_printed(tmp_path)).items()} == {
        "Used by this configuration": ["Solar8000", "HR", "PLETH_SPO2", "BIS", "BIS"],
        "Not used; --profile carescape would use them": ["Bx50", "HR"],
        "Not used; --profile intellivue would use them": ["Intellivue", "HR"],
        "Not used: their unit is not accepted": ["Solar8000", "ART_MBP"],
        "Left over: neither this configuration nor a profile names them": ["Intellivue", "UNKNOWN", "Zeus", "UNKNOWN"],
    }


def test_a_terminal_of_80_columns_keeps_names_whole(tmp_path: Path) -> None:
    write(
        tmp_path / "1.vital",
        {
            "Orchestra/RFTN20_RATE": ("mL/hr", np.linspace(0, 1013.25, 40), 1.5),
            "Solar8000/NIBP_MBP": ("mmHg", np.linspace(60.5, 120.5, 40), 300.0),
            "Intellivue/PLETH_PERF_REL": ("", np.linspace(0.25, 10.125, 40), 1.02),
        },
    )
    narrow = _printed(tmp_path, COLUMNS="80")
    tables = _rows(narrow)
    assert [len(rows) for rows in tables.values()] == [4, 2], "no row is folded"
    assert "all within" not in narrow.split("in: recordings")[0]
    assert "A wider terminal also shows 'all within'" in narrow
    assert max(len(line) for line in narrow.splitlines() if "vitalprep " not in line) <= 80
    piped = _printed(tmp_path)
    assert "all within" in piped
    assert "A wider terminal" not in piped


def test_at_most_so_many_are_read_spread_over_the_listing(tmp_path: Path) -> None:
    for case in range(1, 6):
        write(tmp_path / f"{case}.vital", {f"Dev/T{case}": ("", [1.0], 1.0)})
    found = run_vitalprep("inspect", tmp_path, "--most", "3").result
    assert (found["recordings"], found["read"]) == (5, 3)
    assert [track["track"] for track in found["tracks"]] == ["Dev/T1", "Dev/T3", "Dev/T5"]
    assert run_vitalprep("inspect", tmp_path, "--all").result["read"] == 5
    assert run_vitalprep("inspect", tmp_path, "--all", "--most", "3").exit_code == 2
    assert spread(list(range(1000)), 20)[::19] == [0, 999]
    assert spread([1, 2, 3], 1) == [1]


def test_names_that_planning_would_refuse_are_read_and_said(tmp_path: Path) -> None:
    for name in ("1.vital", "0001.vital"):
        write(tmp_path / name, {"Solar8000/HR": ("/min", [70.0], 1.0)})
    found = run_vitalprep("inspect", tmp_path).result
    assert found["usable"] == 2
    assert "holds case 1 twice" in found["problem"]


def test_a_recording_that_is_no_file_is_unusable(tmp_path: Path) -> None:
    write(tmp_path / "1.vital", {"Solar8000/HR": ("/min", [70.0], 1.0)})
    os.mkfifo(tmp_path / "2.vital")
    found = run_vitalprep("inspect", tmp_path).result
    assert (found["recordings"], found["read"], found["usable"]) == (2, 1, 1)
    assert [(one["path"], one["reason"]) for one in found["unusable"]] == [("2.vital", "unreadable")]


def test_an_input_without_recordings_is_refused(tmp_path: Path) -> None:
    answer = run_vitalprep("inspect", tmp_path)
    assert answer.exit_code == 65
    assert "holds no recording" in answer.result["message"]


def test_a_recording_that_goes_away_does_not_stop_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path / "1.vital", {"Solar8000/HR": ("/min", [70.0], 1.0)})
    (file,) = Storage(str(tmp_path)).list()
    task = InspectTask(str(tmp_path), file, load_config().reading, 100)
    assert inspect_recording(task).reason is None
    path.unlink()
    assert inspect_recording(task).reason == "changed"
    assert inspect_recording(dataclasses.replace(task, file=dataclasses.replace(file, path="2.vital"))).reason


def test_percentiles_of_long_tracks_weigh_each_recording_by_its_values(tmp_path: Path) -> None:
    write(tmp_path / "1.vital", {"A/X": ("", np.arange(9000.0), 1.0)})
    write(tmp_path / "2.vital", {"A/X": ("", np.arange(20000.0, 21000.0), 1.0)})
    config = load_config()
    read = [
        inspect_recording(InspectTask(str(tmp_path), file, config.reading, 500))
        for file in Storage(str(tmp_path)).list()
    ]
    (track,) = combined_tracks(read, config)
    every = np.concatenate([np.arange(9000.0), np.arange(20000.0, 21000.0)])
    low, high = np.quantile(every, [0.05, 0.95])
    assert (track.minimum, track.maximum) == (0, 20999)
    assert track.p5 == pytest.approx(low, abs=20)
    assert track.p95 == pytest.approx(high, abs=20)
    assert all(isinstance(facts, TrackFacts) and len(facts.points) == 500 for one in read for facts in one.tracks)


def test_recordings_in_a_bucket(hospital: Path, result: dict[str, Any], s3_environment: dict[str, str]) -> None:
    client = s3_client(s3_environment)
    for path in hospital.rglob("*.vital"):
        client.put_object(Bucket=BUCKET, Key=f"inspected/{path.relative_to(hospital)}", Body=path.read_bytes())
    found = run_vitalprep("inspect", f"s3://{BUCKET}/inspected", environment=s3_environment).result
    assert found["tracks"] == result["tracks"]
    assert found["unusable"] == result["unusable"]


def test_a_numbered_pump_feeds_what_the_clinical_table_says(tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    source = "track: Pump/PUMP1_RATE, unit: mL/h, limits: [0, 2000], stale_after: 60, "
    config.write_text(
        "inputs:\n"
        f"  - {{name: Propofol_INF, sources: [{{{source}conversion: {{per_kg_h: {{concentration: 20}}}}, "
        "where: {column: pump1, value: propofol}}]}\n"
        f"  - {{name: Noradrenalin_INF, sources: [{{{source}conversion: {{per_kg_min: {{concentration: 20}}}}, "
        "where: {column: pump1, value: noradrenaline}}]}\n"
    )
    write(tmp_path / "0001.vital", {"Pump/PUMP1_RATE": ("mL/hr", [5000.0] * 9, 1.0)})
    arguments = ("inspect", tmp_path, "--config", config, "--workers", "1")
    found = run_vitalprep(*arguments).result
    track = _track(found, "Pump/PUMP1_RATE")
    assert (track["input"], track["place"], track["outside_limits"], track["refused"]) == (None, None, 0, [])
    assert track["conditional"] == [
        {"input": "Propofol_INF", "column": "pump1", "value": "propofol"},
        {"input": "Noradrenalin_INF", "column": "pump1", "value": "noradrenaline"},
    ]
    assert all(one["recordings"] == 0 for one in found["inputs"])
    assert found["unfed"]["count"] == 0
    shown = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "200"},
    ).stdout
    for feeds in (
        "Propofol_INF where column pump1 is propofol",
        "Noradrenalin_INF where column pump1 is noradrenaline",
    ):
        assert feeds in " ".join(shown.split())
