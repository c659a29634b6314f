"""Windows that were left out are said in log, results and status. Expected numbers are worked out by hand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.pipeline import COMMAND, run_vitalprep
from tests.run.hand_made import input_of, recording

FIRST, SECOND = range(900), range(4500, 5400)
"""Seconds with a heart rate. With windows of 300 s and a horizon of 30 s the last window begins at 5070: 170 windows.

A value stands for 10 s, so that windows that begin at 0 to 900 (31) or at 4230 to 5070 (29) hold an observed second.
"""
POSSIBLE, OBSERVED = 170, 60
FRACTION = "windowing.min_observed_fraction=0.1"  # of 7 vitals: 210 s of one; 24 windows from 0, 23 from 4410


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return input_of(tmp_path / "input", {1: recording({"Solar8000/HR": [(at, 75.0) for at in (*FIRST, *SECOND)]})})


@pytest.mark.parametrize(("settings", "dropped"), [((), 0), (("--set", FRACTION), 13)])
def test_windows_left_out_are_counted_where_a_person_looks(
    source: Path, tmp_path: Path, settings: tuple[str, ...], dropped: int
) -> None:
    output, unobserved, written = tmp_path / "out", POSSIBLE - OBSERVED, OBSERVED - dropped
    options = ("--set", "split.allow_empty=true", *settings)
    answer = run_vitalprep("run", "--input", source, "--output", output, "--workers", "1", *options)
    assert answer.exit_code == 0, answer.result
    result = answer.result
    assert result["windows"] == {"train": written, "validation": 0, "test": 0}
    assert result["windows_unobserved"] == {"train": unobserved, "validation": 0, "test": 0}
    assert result["windows_dropped"] == {"train": dropped, "validation": 0, "test": 0}
    (built,) = [line for line in answer.log if line["message"] == "train built"]
    assert (built["windows"], built["unobserved"], built["dropped"]) == (written, unobserved, dropped)
    again = run_vitalprep("build", "--plan", result["plan"], "--workers", "1").result
    assert (again["windows"], again["windows_unobserved"], again["windows_dropped"]) == (written, unobserved, dropped)
    (known,) = run_vitalprep("status", output).result["datasets"]
    assert known["windows_unobserved"] == result["windows_unobserved"]
    assert known["windows_dropped"] == result["windows_dropped"]


def test_the_tables_for_people_say_it_too(source: Path, tmp_path: Path) -> None:
    run = ("run", "--input", source, "--output", tmp_path / "out", "--workers", "1", "--set", "split.allow_empty=true")
    shown = subprocess.run([*COMMAND, *map(str, run)], capture_output=True, text=True, check=True, timeout=180).stdout
    assert "windows unobserved │ train 110, validation 0, test 0" in shown
    assert "windows dropped    │ train 0, validation 0, test 0" in shown
    status = [*COMMAND, "status", str(tmp_path / "out")]
    shown = subprocess.run(status, capture_output=True, text=True, check=True, timeout=180).stdout
    assert "leaves out windows: 110 unobserved, 0 dropped" in shown
