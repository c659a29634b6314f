"""A whole run: recordings in, a proven data set out, the same bytes however it got there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline import COMMAND, Answer, data_digests, receipts, run_vitalprep


@pytest.fixture(scope="module")
def undisturbed(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """One run of one shard in one process: what every other run is held against."""
    output = tmp_path_factory.mktemp("undisturbed")
    answer = run_vitalprep("run", "--input", recordings, "--output", output, "--workers", "1")
    assert answer.exit_code == 0, answer.result
    return answer


def test_every_case_ends_in_windows_or_a_reason(undisturbed: Answer) -> None:
    result = undisturbed.result
    assert result["new"] is True
    assert result["requested"] == result["written"] + sum(result["excluded"].values()) == 14
    assert all(result["windows"][split] > 0 for split in ("train", "validation", "test"))
    dataset = Path(result["dataset"])
    assert json.loads((dataset / "validation.json").read_bytes())["passed"] is True
    latest = json.loads((dataset.parent / "latest.json").read_bytes())
    assert latest["dataset_id"] == result["dataset_id"]
    assert len((dataset / "cases.csv").read_text().splitlines()) == 15
    metadata = json.loads((dataset / "preprocessing_metadata.json").read_bytes())
    assert [item["name"] for item in metadata["inputs"]][:3] == ["HR", "BP_SYS", "BP_DIA"]
    assert metadata["shapes"] == {"timeseries": [300, 16], "static": [6], "target": [8]}
    assert sum(split["windows"] for split in metadata["splits"].values()) == sum(result["windows"].values())


@pytest.mark.parametrize(("shards", "workers"), [(1, 2), (2, 2), (5, 1), (5, 5)])
def test_the_bytes_do_not_depend_on_shards_or_workers(
    recordings: Path, undisturbed: Answer, tmp_path: Path, shards: int, workers: int
) -> None:
    answer = run_vitalprep(
        "run", "--input", recordings, "--output", tmp_path, "--shards", str(shards), "--workers", str(workers)
    )
    assert answer.exit_code == 0
    assert answer.result["dataset_id"] == undisturbed.result["dataset_id"]
    assert data_digests(answer.result["dataset"]) == data_digests(undisturbed.result["dataset"])


def test_stages_of_their_own_give_the_same_bytes(recordings: Path, undisturbed: Answer, tmp_path: Path) -> None:
    planned = run_vitalprep("plan", "--input", recordings, "--output", tmp_path, "--shards", "3").result
    assert [shard["index"] for shard in planned["shards"]] == [0, 1, 2]
    for index in (2, 0, 1):
        assert run_vitalprep("harmonize", "--plan", planned["plan"], "--shard", str(index)).exit_code == 0
    for split in ("test", "train", "validation"):
        assert run_vitalprep("build", "--plan", planned["plan"], "--split", split).exit_code == 0
    published = run_vitalprep("publish", "--plan", planned["plan"]).result
    assert run_vitalprep("validate", published["dataset"], "--quick").exit_code == 65  # nothing is proved yet
    assert run_vitalprep("validate", published["dataset"]).exit_code == 0
    assert run_vitalprep("validate", published["dataset"], "--quick").exit_code == 0
    assert data_digests(published["dataset"]) == data_digests(undisturbed.result["dataset"])
    named = "preprocessing_metadata.json"
    alone = Path(undisturbed.result["dataset"], named).read_bytes()
    assert Path(published["dataset"], named).read_bytes() == alone


def _killed(command: list[str], number: int, when: Callable[[], bool]) -> int:
    """Start the command, send a signal as soon as `when` holds, and return the exit code."""
    process = subprocess.Popen([*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not when():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the moment to kill never came"
        time.sleep(0.002)
    os.kill(process.pid, number)
    return process.wait(timeout=40)


def test_a_run_killed_twice_ends_in_the_same_bytes(recordings: Path, undisturbed: Answer, tmp_path: Path) -> None:
    command = ["run", "--input", str(recordings), "--output", str(tmp_path), "--workers", "2"]
    assert _killed(command, signal.SIGTERM, lambda: len(list(tmp_path.glob("harmonized/*/*.json"))) >= 2) == 143
    committed = set(receipts(tmp_path))
    assert 2 <= len(committed) < 14, "finished cases are committed, the rest is left"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("harmonized/*/*.json")}
    assert _killed(command, signal.SIGKILL, lambda: bool(list(tmp_path.glob("datasets/*/build-train.json")))) == -9
    assert not (tmp_path / "datasets" / "latest.json").exists(), "what was killed must not look published"
    answer = run_vitalprep(*command)
    assert answer.exit_code == 0
    assert data_digests(answer.result["dataset"]) == data_digests(undisturbed.result["dataset"])
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("harmonized/*/*.json")}
    assert len(after) == 14
    assert before.items() <= after.items(), "finished cases are not done again"


def test_a_second_run_has_nothing_to_do(recordings: Path, undisturbed: Answer) -> None:
    output = Path(undisturbed.result["dataset"]).parents[1]
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    answer = run_vitalprep("run", "--input", recordings, "--output", output)
    assert answer.exit_code == 0
    assert answer.result["new"] is False
    assert any("nothing new" in line["message"] for line in answer.log)
    assert set(answer.result["stage_seconds"]) == {"plan"}, "no other stage ran"
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()} == before


def test_a_published_file_that_vanished_is_built_again(recordings: Path, undisturbed: Answer, tmp_path: Path) -> None:
    command = ("run", "--input", recordings, "--output", tmp_path)
    dataset = Path(run_vitalprep(*command).result["dataset"])
    next(dataset.glob("vitaldb-test.tfrecord-*")).unlink()
    answer = run_vitalprep(*command)
    assert answer.exit_code == 0
    assert answer.result["new"] is True
    assert data_digests(dataset) == data_digests(undisturbed.result["dataset"])


def test_a_table_that_is_not_its_receipt_s_is_refused(recordings: Path, tmp_path: Path) -> None:
    planned = run_vitalprep("plan", "--input", recordings, "--output", tmp_path).result
    assert run_vitalprep("harmonize", "--plan", planned["plan"]).exit_code == 0
    table, *_ = sorted(tmp_path.glob("harmonized/*/*.parquet"))
    whole = table.read_bytes()
    for spoil, exit_code, said in (
        (lambda: table.write_bytes(whole[:-1]), 65, "is not the table that case 1's receipt describes"),
        (table.unlink, 1, "the table of case 1, is missing"),  # another process may just be writing it
    ):
        spoil()
        answer = run_vitalprep("build", "--plan", planned["plan"])
        assert answer.exit_code == exit_code
        assert said in answer.result["message"]
        assert "--force" in answer.result["fix"]


def test_force_does_everything_again_with_the_same_bytes(recordings: Path, undisturbed: Answer, tmp_path: Path) -> None:
    command = ("run", "--input", recordings, "--output", tmp_path)
    run_vitalprep(*command)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("harmonized/*/*.json")}
    answer = run_vitalprep(*command, "--force")
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("harmonized/*/*.json")}
    assert answer.result["new"] is True
    assert before.keys() == after.keys()
    assert all(after[name] > before[name] for name in before)
    assert data_digests(answer.result["dataset"]) == data_digests(undisturbed.result["dataset"])


def test_another_window_needs_only_a_new_build(recordings: Path, undisturbed: Answer) -> None:
    output = Path(undisturbed.result["dataset"]).parents[1]
    before = {path: path.stat().st_mtime_ns for path in output.glob("harmonized/*/*")}
    answer = run_vitalprep("run", "--input", recordings, "--output", output, "--set", "windowing.step=60")
    assert answer.exit_code == 0
    assert answer.result["dataset_id"] != undisturbed.result["dataset_id"]
    assert sum(answer.result["windows"].values()) < sum(undisturbed.result["windows"].values())
    assert {path: path.stat().st_mtime_ns for path in output.glob("harmonized/*/*")} == before


def test_single_layout_is_the_concatenation_of_the_shards(recordings: Path, tmp_path: Path) -> None:
    small = ("run", "--input", recordings, "--output", tmp_path, "--set", "output.shard_mb=1")
    sharded = run_vitalprep(*small).result
    single = run_vitalprep(*small, "--set", "output.layout=single").result
    names = sorted(path.name for path in Path(sharded["dataset"]).glob("vitaldb-train.tfrecord-*"))
    assert len(names) > 2
    assert names[0].endswith(f"-00000-of-{len(names):05d}")
    for split in ("train", "validation", "test"):
        parts = sorted(Path(sharded["dataset"]).glob(f"vitaldb-{split}.tfrecord-*"))
        whole = Path(single["dataset"]) / f"{split}.tfrecord"
        assert whole.read_bytes() == b"".join(part.read_bytes() for part in parts)


def test_a_changed_recording_is_refused_and_named(tmp_path: Path, recordings: Path) -> None:
    source = tmp_path / "input"
    subprocess.run(["cp", "-r", recordings, source], check=True)
    planned = run_vitalprep("plan", "--input", source, "--output", tmp_path / "out").result
    (source / "raw-data" / "0003.vital").write_bytes((source / "raw-data" / "0004.vital").read_bytes())
    (source / "raw-data" / "0005.vital").unlink()
    answer = run_vitalprep("harmonize", "--plan", planned["plan"])
    assert answer.exit_code == 65
    assert "3,5" in answer.result["message"]
    assert "plan again" in answer.result["fix"]
    assert len(receipts(tmp_path / "out")) == 12, "the other cases are done"


def test_the_real_cases_become_a_valid_data_set(shared_data: Path, tmp_path: Path) -> None:
    answer = run_vitalprep("run", "--input", shared_data / "vitaldb_open", "--output", tmp_path)
    assert answer.exit_code == 0
    assert answer.result["written"] == 11
    assert run_vitalprep("validate", answer.result["dataset"]).exit_code == 0


def test_the_hot_path_imports_neither_tensorflow_nor_pandas() -> None:
    code = (
        "import sys, vitalprep.run.all_stages, vitalprep.cli.main\n"
        "import numpy as np\n"
        "from vitalprep.contract.table import from_parquet, to_parquet\n"
        "from_parquet(to_parquet(np.zeros((3, 1), np.float32), ['a']), ['a'])\n"
        "print(sorted({'tensorflow', 'pandas', 'airflow'} & set(sys.modules)))"
    )
    process = subprocess.run([COMMAND[0], "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
