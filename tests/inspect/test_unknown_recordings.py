"""From a folder of recordings of which nobody knows anything to a data set, by the files that ``inspect`` writes."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import receipts, run_vitalprep
from vitalprep.contract.config_file import load_config
from vitalprep.inspect.inspection import Inspection
from vitalprep.inspect.steps import Options, next_steps
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

CASES = 9
FILLED = {"sex": "F", "age": "61", "height": "168", "weight": "70.5", "asa": "2"}


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of a ward's Dräger monitors under the names that the recorder gives, in folders of theatres."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("unknown recordings")
    simulate_folder(made, SimulationOptions(seed=8, cases=CASES, hours=0.15, spread=0.2, profile="draeger"))
    for number, recording in enumerate(sorted((made / "raw-data").glob("*.vital"))):
        theatre = folder / f"OR{number % 3 + 1}"
        theatre.mkdir(exist_ok=True)
        recording.rename(theatre / f"{theatre.name}_2311{number + 1:02d}_221320.vital")
    return folder


def _fill_in(table: Path) -> None:
    """Write what a person knows of each patient into the table, and leave the rest as it is."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | FILLED | {"subjectid": str(500 + n)} for n, row in enumerate(rows))


def _use_a_comment(overlay: Path) -> None:
    """Copy the line of a track that no profile lists below its input, as the comment above it says."""
    lines = overlay.read_text().splitlines()
    (comment,) = [line for line in lines if "track: Infinity/VENT_SET_FIO2" in line]
    source = comment.removeprefix("# ").replace("LOW", "21").replace("HIGH", "100")
    last = max(number for number, line in enumerate(lines) if "/FIO2," in line and not line.startswith("#"))
    overlay.write_text("\n".join([*lines[: last + 1], f"      {source}", *lines[last + 1 :]]))


def test_the_files_that_inspect_writes_make_a_data_set(unknown: Path, tmp_path: Path) -> None:
    table, overlay, output = tmp_path / "clinical.csv", tmp_path / "tracks.yaml", tmp_path / "out"
    found = run_vitalprep("inspect", unknown, "--table", table, "--profile-out", overlay).result
    assert found["unnamed"]["count"] == CASES
    given = ("--input", unknown, "--clinical", table, "--output", output, "--config", overlay)
    unfilled = run_vitalprep("plan", *given)
    assert unfilled.exit_code == 65
    assert "line 2 (case 1): subjectid is empty" in unfilled.result["message"]
    _fill_in(table)
    _use_a_comment(overlay)
    done = run_vitalprep("run", *given)
    assert done.exit_code == 0, done.result
    made = receipts(output)
    assert len(made) == CASES
    for receipt in made.values():
        assert receipt["status"] == "ok"
        sources = {name: list(quality["live_seconds"]) for name, quality in receipt["features"].items()}
        assert "Infinity/HR" in sources["HR"]
        assert "Infinity/VENT_SET_FIO2" in sources["FIO2"]


def test_the_steps_that_inspect_names_work_as_they_are(
    unknown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the table is filled in, and OUTPUT is a folder."""
    monkeypatch.chdir(tmp_path)
    found = Inspection.model_validate(_without_ok(run_vitalprep("inspect", unknown).result))
    commands = [shlex.split(step.command) for step in next_steps(found, Options()) if step.command]
    assert [command[1] for command in commands] == ["inspect", "inspect", "check", "run"]
    for command in commands:
        answer = run_vitalprep(*command[1:])
        assert answer.exit_code == 0, answer.log
        if "--table" in command:
            _fill_in(tmp_path / "clinical.csv")
    assert load_config("tracks.yaml", profiles=("draeger",)) == load_config(profiles=("draeger",)), "all comments"
    assert [one["status"] for one in receipts(tmp_path / "OUTPUT").values()] == ["ok"] * CASES


def _without_ok(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "ok"}
