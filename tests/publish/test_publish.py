"""What is published beside the records, and when nothing is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.pipeline import Answer, run_vitalprep
from vitalprep.contract.accounting import account
from vitalprep.contract.plan import load_plan
from vitalprep.publish.metadata import cases_csv


@pytest.fixture(scope="module")
def answer(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    output = tmp_path_factory.mktemp("published")
    return run_vitalprep("run", "--input", recordings, "--output", output, "--cases", "1-16")


def test_the_accounting_adds_up(answer: Answer) -> None:
    dataset = Path(answer.result["dataset"])
    rows = list(csv.DictReader((dataset / "cases.csv").open()))
    assert [int(row["case_id"]) for row in rows] == list(range(1, 17))
    assert [row["reason"] for row in rows[14:]] == ["raw_object_missing"] * 2
    written = [row for row in rows if row["outcome"] == "written"]
    assert all(int(row["windows"]) > 0 and not row["reason"] for row in written)
    assert all(row["reason"] and int(row["windows"]) == 0 for row in rows if row["outcome"] == "excluded")
    for split, windows in answer.result["windows"].items():
        assert windows == sum(int(row["windows"]) for row in written if row["split"] == split)
    accounting = json.loads((dataset.parents[1] / "runs" / dataset.name / "accounting.json").read_bytes())
    assert accounting["requested"] == 16
    assert accounting["present"] == 14
    assert accounting["written"] + sum(accounting["excluded"].values()) == 16
    assert accounting["success_rate"] == 1.0


def test_statistics_are_those_of_the_harmonized_tables(answer: Answer) -> None:
    import numpy as np
    import pyarrow.parquet as pq

    dataset = Path(answer.result["dataset"])
    metadata = json.loads((dataset / "preprocessing_metadata.json").read_bytes())
    rows = csv.DictReader((dataset / "cases.csv").open())
    train = [int(row["case_id"]) for row in rows if row["split"] == "train" and row["outcome"] == "written"]
    tables = [
        pq.read_table(path) for case in train for path in dataset.parents[1].glob(f"harmonized/*/{case:04d}-*.parquet")
    ]
    for name in ("HR", "BIS", "Propofol_INF", "etSEV"):
        values = np.concatenate([table.column(name).to_numpy() for table in tables]).astype(float)
        measured = values[~np.isnan(values)]
        described = metadata["splits"]["train"]["statistics"][name]
        assert described["observed_seconds"] == len(measured)
        assert described["observed_seconds"] + described["held_seconds"] + described["default_seconds"] == len(values)
        if len(measured):
            assert described["mean"] == pytest.approx(measured.mean())
            assert described["standard_deviation"] == pytest.approx(measured.std(), abs=1e-6)
            assert described["maximum"] == measured.max()


def test_two_runs_describe_the_same_data_set_in_the_same_words(
    recordings: Path, answer: Answer, tmp_path: Path
) -> None:
    again = run_vitalprep("run", "--input", recordings, "--output", tmp_path, "--cases", "1-16", "--shards", "3")
    first, second = Path(answer.result["dataset"]), Path(again.result["dataset"])
    assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}
    for path in first.iterdir():
        assert _without_timings(path) == _without_timings(second / path.name), path.name


def _without_timings(path: Path) -> bytes:
    """Return a file; of the report, which shows what harmonizing took, all but that."""
    data = path.read_bytes()
    if path.name != "report.html":
        return data
    before, _, rest = data.partition(b'<section id="timings"')
    return before + rest.partition(b"</section>")[2]


def test_too_few_windows_are_not_published_and_lowering_the_bound_is_enough(recordings: Path, tmp_path: Path) -> None:
    command = ("run", "--input", recordings, "--output", tmp_path, "--set")
    refused = run_vitalprep(*command, "validation.min_windows=100000")
    assert refused.exit_code == 65
    assert "100000" in refused.result["message"]
    assert not (tmp_path / "datasets" / "latest.json").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("datasets/*/*.tfrecord*")}
    assert run_vitalprep(*command, "validation.min_windows=10").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("datasets/*/*.tfrecord*")} == before


def test_hashed_subjects_show_nowhere_beside_the_records(recordings: Path, tmp_path: Path) -> None:
    salt = {"VITALPREP_SUBJECT_SALT": "a long and random salt"}
    command = ("run", "--input", recordings, "--output", tmp_path, "--set", "privacy.hash_subjects=true")
    hashed = run_vitalprep(*command, environment=salt)
    assert hashed.exit_code == 0
    with (recordings / "clinical_data.csv").open(encoding="utf-8-sig") as file:
        subjects = {row["subjectid"] for row in csv.DictReader(file)}
    rows = list(csv.DictReader((Path(hashed.result["dataset"]) / "cases.csv").open()))
    assert not subjects & {row["subject_id"] for row in rows}
    assert len({row["subject_id"] for row in rows}) == len(subjects)
    other = run_vitalprep("build", "--plan", hashed.result["plan"], environment={k: v[::-1] for k, v in salt.items()})
    assert other.exit_code == 2
    assert "salt" in other.result["message"]


def test_a_lost_shard_is_named_by_publish(recordings: Path, tmp_path: Path) -> None:
    planned = run_vitalprep("plan", "--input", recordings, "--output", tmp_path, "--shards", "3").result
    for shard in (0, 2):
        assert run_vitalprep("harmonize", "--plan", planned["plan"], "--shard", str(shard)).exit_code == 0
    assert run_vitalprep("build", "--plan", planned["plan"]).exit_code == 1
    answer = run_vitalprep("publish", "--plan", planned["plan"])
    assert answer.exit_code == 65
    assert "(shards 1)" in answer.result["message"]
    accounting = json.loads(next(tmp_path.glob("runs/*/accounting.json")).read_bytes())
    plan = json.loads(Path(planned["plan"]).read_bytes())
    assert accounting["unfinished"] == plan["shards"][1]


@pytest.mark.parametrize("folder", ["=cmd()", "+1", "-1", "@x"])
def test_no_path_of_an_object_is_a_formula(answer: Answer, folder: str) -> None:
    plan, output = load_plan(answer.result["plan"])
    first, *others = plan.cases
    moved = plan.model_copy(update={"cases": (first.model_copy(update={"object": f"{folder}/1.vital"}), *others)})
    table = cases_csv(moved, account(plan, output).outcomes, None).decode()
    rows = list(csv.DictReader(table.splitlines()))
    assert rows[0]["object"] == f"./{folder}/1.vital"
    assert rows[1]["object"] == others[0].object
