"""Whole runs of the DAG with the real worker on simulated recordings: what is done, and what is not done twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import CASES, HOME, Run

CUT = 3
LENIENT = "validation.min_success_rate=0.5"  # one damaged recording of ten is more than the default allows


@pytest.fixture(scope="module")
def cut_recordings(recordings: Path) -> Path:
    """The simulated recordings, one of them cut in the middle."""
    folder = Path(shutil.copytree(recordings, HOME / "cut"))
    cut(folder)
    return folder


def cut(folder: Path) -> None:
    recording = next(path for path in folder.rglob("*.vital") if int(path.stem) == CUT)
    recording.write_bytes(recording.read_bytes()[: recording.stat().st_size // 2])


@pytest.fixture
def first(trigger: Any, cut_recordings: Path) -> Run:
    """A run on a new output, made once for the tests that look at it and at what follows it."""
    if not hasattr(first, "run"):
        output = HOME / "output"
        first.run = trigger(  # type: ignore[attr-defined]
            input=str(cut_recordings), output=str(output), cases=f"1-{CASES + 1}", shards=2, set=[LENIENT]
        )
    return first.run  # type: ignore[attr-defined,no-any-return]


def again(trigger: Any, cut_recordings: Path, **conf: Any) -> Run:
    conf = {"shards": 2, "set": [LENIENT], "cases": f"1-{CASES + 1}"} | conf
    result: Run = trigger(input=str(cut_recordings), output=str(HOME / "output"), **conf)
    return result


def test_a_damaged_recording_costs_only_itself(first: Run) -> None:
    assert first.state == "success"
    assert set(first.states.values()) == {"success"}
    published = first.result("publish")
    assert published["excluded"] == {"raw_object_missing": 1, "truncated": 1}
    assert published["success_rate"] == pytest.approx(1 - 1 / CASES)
    dataset = Path(published["dataset"])
    assert json.loads((dataset / "validation.json").read_text())["passed"]
    accounting = json.loads((HOME / "output" / "runs" / dataset.name / "accounting.json").read_text())
    assert accounting["requested"] == CASES + 1 == accounting["written"] + sum(accounting["excluded"].values())


def test_shards_and_splits_have_names(first: Run) -> None:
    names = [first.names[name] for name in first.ran("harmonize")]
    assert [name.split(":")[0] for name in names] == ["shard 0", "shard 1"]
    assert all("cases " in name and "MB" in name for name in names)
    assert [first.names[name] for name in first.ran("build")] == ["train", "validation", "test"]


def test_the_asset_says_what_is_in_it(first: Run) -> None:
    published = first.result("publish")
    identity = {"dataset": published["dataset"], "dataset_id": published["dataset"].rsplit("/", 1)[-1]}
    assert first.announced == [identity | {"windows": published["windows"]}]


def test_a_run_with_nothing_new_ends_at_the_plan(first: Run, trigger: Any, cut_recordings: Path) -> None:
    run = again(trigger, cut_recordings)
    assert run.state == "success"
    assert "Nothing to do" in run.reason("plan_shards")
    assert first.result("publish")["dataset"] in run.reason("plan_shards")
    later = ["unfinished_shards", "splits_to_build", "harmonize", "build", "publish", "validate", "dataset_ready"]
    assert {run.states[task] for task in later} == {"skipped"}
    assert [name for task in later for name in run.ran(task)] == []


def test_appending_nothing_new_ends_at_the_plan(first: Run, trigger: Any, cut_recordings: Path) -> None:
    parent = first.result("publish")["dataset"]
    run = again(trigger, cut_recordings, append_to=parent)
    assert run.state == "success"
    assert parent in run.reason("plan_shards")


def test_other_windows_need_only_the_build(first: Run, trigger: Any, cut_recordings: Path) -> None:
    run = again(trigger, cut_recordings, set=[LENIENT, "windowing.step=60"])
    assert run.state == "success"
    assert run.reason("unfinished_shards") == f"All {CASES} cases are already harmonized."
    assert run.states["harmonize"] == "skipped"
    assert run.ran("harmonize") == []
    assert run.ran("build") == ["build[0]", "build[1]", "build[2]"]
    assert run.states["dataset_ready"] == "success"
    assert run.result("publish")["dataset"] != first.result("publish")["dataset"]


def test_force_does_it_again(first: Run, trigger: Any, cut_recordings: Path) -> None:
    run = again(trigger, cut_recordings, force=True, shards=1)
    assert run.state == "success"
    assert run.ran("harmonize") == ["harmonize[0]"]
    assert run.result("publish")["dataset"] == first.result("publish")["dataset"]


def test_too_many_damaged_recordings_are_accounted_for_and_refused(
    trigger: Any, own_recordings: Path, tmp_path: Path, task_log: Any
) -> None:
    cut(own_recordings)
    run = trigger(input=str(own_recordings), output=str(tmp_path / "output"), shards=1)
    assert run.state == "failed"
    assert run.states["publish"] == "failed"
    assert run.tries["publish"] == 1
    accounting = json.loads(next((tmp_path / "output").rglob("accounting.json")).read_text())
    assert accounting["excluded"] == {"truncated": 1}
    assert not (tmp_path / "output" / "datasets" / "latest.json").exists()
    assert task_log()[-1].startswith("publish refused (exit 65): ")
