"""`vitalprep status` says how far each data set is, from the first plan to the verdict."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import COMMAND, run_vitalprep
from vitalprep.status.status import status

# The page in Airflow is written against these.
DATASET = {
    "dataset_id", "name", "content_id", "dataset", "state", "planned", "validated", "requested", "written", "excluded",
    "windows", "windows_unobserved", "windows_dropped", "warnings", "report", "plan", "shards", "problem",
}  # fmt: skip
SHARD = {
    "index", "label", "cases", "bytes", "state", "done", "excluded", "bytes_done", "bytes_per_second", "seconds_left",
    "updated",
}  # fmt: skip


@pytest.fixture(scope="module")
def published(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a whole run printed."""
    output = tmp_path_factory.mktemp("published")
    return run_vitalprep("run", "--input", recordings, "--output", output, "--workers", "1", "--cases", "1-10").result


def _output(run: dict[str, Any]) -> Path:
    return Path(run["dataset"]).parent.parent


def _status(output: Path, dataset_id: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = status(str(output), dataset_id=dataset_id)["datasets"]
    for one in found:
        assert one.keys() == DATASET
        assert all(shard.keys() == SHARD for shard in one["shards"])
    return found


def _states(output: Path) -> tuple[str, list[str]]:
    [one] = _status(output)
    return one["state"], [shard["state"] for shard in one["shards"]]


def _plan(source: Path, output: Path, *more: str) -> dict[str, Any]:
    return run_vitalprep("plan", "--input", source, "--output", output, *more).result


def test_the_way_of_a_data_set(recordings: Path, tmp_path: Path) -> None:
    planned = _plan(recordings, tmp_path, "--shards", "2")
    assert _states(tmp_path) == ("planned", ["waiting", "waiting"])
    plan = ("--plan", planned["plan"])
    run_vitalprep("harmonize", *plan, "--shard", "1")
    [one] = _status(tmp_path)
    assert (one["state"], [shard["state"] for shard in one["shards"]]) == ("harmonizing", ["waiting", "done"])
    for shard, of_plan in zip(one["shards"], planned["shards"], strict=True):
        assert {key: shard[key] for key in ("index", "label", "cases", "bytes")} == {
            key: of_plan[key] for key in ("index", "label", "cases", "bytes")
        }
    assert [shard["done"] for shard in one["shards"]] == [0, planned["shards"][1]["cases"]]
    assert (one["requested"], one["windows"], one["warnings"], one["report"]) == (None, None, None, False)
    run_vitalprep("harmonize", *plan)  # both: no heartbeat tells of the first
    assert _states(tmp_path) == ("building", ["done", "done"])
    run_vitalprep("build", *plan)
    run_vitalprep("publish", *plan)
    assert _states(tmp_path)[0] == "building", "nothing is proved yet"
    run_vitalprep("validate", planned["dataset"])
    assert _states(tmp_path) == ("published", [])
    [one] = _status(tmp_path, planned["dataset_id"])
    assert [shard["state"] for shard in one["shards"]] == ["done", "done"], "where it is asked for"

    _plan(recordings, tmp_path, "--shards", "2", "--force")
    assert _states(tmp_path) == ("planned", ["waiting", "waiting"])
    assert not list(tmp_path.glob("runs/*/*/progress-*"))


def test_it_says_what_the_stages_said(published: dict[str, Any]) -> None:
    output = _output(published)
    answer = run_vitalprep("status", output).result
    assert answer["latest"] == published["dataset_id"]
    assert answer["output"] == str(output)
    [one] = answer["datasets"]
    for key in ("dataset_id", "dataset", "plan", "requested", "written", "excluded", "windows"):
        assert one[key] == published[key]
    metadata = json.loads(Path(published["dataset"], "preprocessing_metadata.json").read_bytes())
    assert one["warnings"] == sum(warning["level"] == "warning" for warning in metadata["warnings"]) > 0
    assert one["report"] is True
    assert one["planned"] <= one["validated"]


def test_a_grown_set_waits_although_most_is_done_and_stands_first(
    published: dict[str, Any], recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    run_vitalprep("run", "--input", recordings, "--output", output, "--cases", "1-10")
    grown = _plan(recordings, output, "--cases", "11-14", "--append-to", f"{output}/datasets/{published['dataset_id']}")
    first, second = _status(output)
    assert (first["dataset_id"], first["state"]) == (grown["dataset_id"], "planned")
    assert first["shards"][0]["done"] == 10
    assert (second["dataset_id"], second["state"]) == (published["dataset_id"], "published")
    assert status(str(output))["older"] == []
    monkeypatch.setattr("vitalprep.status.status.NEWEST", 1)
    assert [one["dataset_id"] for one in _status(output)] == [grown["dataset_id"]]
    assert status(str(output))["older"] == [published["dataset_id"]]


@pytest.mark.parametrize("limit", ["validation.min_windows=100000", "validation.min_success_rate=1.0"])
def test_what_publish_refused_is_refused(recordings: Path, tmp_path: Path, limit: str) -> None:
    raw = Path(shutil.copytree(recordings, tmp_path / "raw"))
    next(raw.rglob("0003.vital")).write_bytes(b"no recording")
    command = ("run", "--input", raw, "--output", tmp_path / "out", "--set", limit)
    assert run_vitalprep(*command).exit_code == 65
    [one] = _status(tmp_path / "out")
    assert (one["state"], one["validated"], one["excluded"]) == ("refused", None, {"not_vital": 1})


def test_the_plan_that_is_worked_at_is_shown(recordings: Path, tmp_path: Path) -> None:
    two = _plan(recordings, tmp_path, "--shards", "2")
    three = _plan(recordings, tmp_path, "--shards", "3")
    assert [one["plan"] for one in _status(tmp_path)] == [three["plan"]]
    assert _plan(recordings, tmp_path, "--shards", "2")["plan"] == two["plan"]
    run_vitalprep("harmonize", "--plan", two["plan"], "--shard", "0")
    [one] = _status(tmp_path)
    assert (one["plan"], len(one["shards"])) == (two["plan"], 2)


def test_where_there_is_nothing(published: dict[str, Any], tmp_path: Path) -> None:
    assert _status(tmp_path) == []
    assert run_vitalprep("status", tmp_path / "typo").exit_code == 2
    for wrong in ("000000000000", "../raw"):
        answer = run_vitalprep("status", _output(published), "--dataset", wrong)
        assert answer.exit_code == 2
        assert wrong in answer.result["message"]


def test_people_get_a_table(published: dict[str, Any]) -> None:
    command = [*COMMAND, "status", str(_output(published)), "--dataset", published["dataset_id"]]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"latest: {published['dataset_id']}" in shown
    assert f"{published['written']} of {published['requested']}" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_stored_report_is_printed_byte_for_byte(published: dict[str, Any]) -> None:
    command = [*COMMAND, "report", "--dataset", published["dataset"], "--stored"]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert printed == Path(published["dataset"], "report.html").read_bytes()
    assert run_vitalprep(*command[len(COMMAND) :]).exit_code == 2, "a page is no JSON"
    absent = [*command[:-2], f"{_output(published)}/datasets/000000000000", "--stored"]
    missing = subprocess.run(absent, capture_output=True, text=True, check=False)
    assert missing.returncode == 65
    assert "vitalprep publish" in missing.stderr


BROKEN = {
    "preprocessing_metadata.json": ["[]", '{"warnings":null}', '{"warnings":[{}]}', "[" * 100_000, "\x00"],
    "validation.json": ["[]", "{}", '{"windows": {"\\u001b[2J": 1}}', "9" * 5000],
    "../../runs/{}/accounting.json": ["{}", "[" * 100_000],
    "../../runs/{}/plan-{}.json": ["{}", "[]"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_what_is_broken_is_said_of_it_and_keeps_no_other_from_being_shown(
    published: dict[str, Any], recordings: Path, tmp_path: Path, name: str, text: str
) -> None:
    output = Path(shutil.copytree(_output(published), tmp_path / "out"))
    other = _plan(recordings, output, "--cases", "1-9")
    dataset_id, plan = published["dataset_id"], Path(published["plan"]).stem.removeprefix("plan-")
    Path(output, "datasets", dataset_id, name.format(dataset_id, plan)).write_text(text)
    found = {one["dataset_id"]: one for one in _status(output)} | {
        one["dataset_id"]: one for one in _status(output, dataset_id)
    }
    assert found[other["dataset_id"]]["problem"] is None
    broken = found[dataset_id]
    assert Path(name.format(dataset_id, plan)).name in broken["problem"]
    assert "Fix:" in broken["problem"]
    assert broken["state"] in ("published", "building")
    done = subprocess.run([*COMMAND, "status", str(output), "--dataset", dataset_id], capture_output=True, text=True)
    assert (done.returncode, f"{dataset_id}: " in done.stdout) == (0, True)
    assert done.stdout.replace("\n", "").isprintable()


def test_a_latest_that_names_no_data_set_is_a_problem(published: dict[str, Any], tmp_path: Path) -> None:
    output = Path(shutil.copytree(_output(published), tmp_path / "out"))
    (output / "datasets" / "latest.json").write_text('{"dataset_id": "\\u001b[2J", "path": "x"}')
    found = status(str(output))
    assert (found["latest"], len(found["datasets"])) == (None, 1)
    assert "latest.json is not a valid Latest" in found["problem"]
