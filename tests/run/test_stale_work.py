"""After a change, exactly what depends on it is done again. Window and case list: see `test_all_stages`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import COMMAND, data_digests, receipts, run_vitalprep
from vitalprep.contract import identity
from vitalprep.contract.config_file import load_config
from vitalprep.plan.make_plan import PlanRequest
from vitalprep.run.all_stages import RunResult, run
from vitalprep.runtime.workers import StopRequest

CASES = set(range(1, 10))


def _run(source: Path, output: Path, *settings: str, force: bool = False) -> RunResult:
    request = PlanRequest(input=str(source), config=load_config(None, settings), cases="1-9")
    return run(request, str(output), workers=1, force=force, stop=StopRequest())


@pytest.fixture(scope="module")
def source(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the recordings that the tests change, each for good: the output knows what was before."""
    return Path(shutil.copytree(recordings, tmp_path_factory.mktemp("stale") / "input"))


@pytest.fixture(scope="module")
def output(source: Path) -> Path:
    folder = source.parent / "out"
    _run(source, folder)
    return folder


def _tables(output: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in output.glob("harmonized/*/*")}


def _harmonized(before: dict[Path, int], output: Path) -> set[int]:
    """The cases that were harmonized since; what was there is as it was."""
    after = _tables(output)
    assert before.items() <= after.items()
    return {int(path.name.split("-")[0]) for path in after.keys() - before.keys()}


def test_a_changed_object_is_done_again_alone(source: Path, output: Path) -> None:
    before, first = _tables(output), _run(source, output)
    assert first.verdict is None, "nothing is new yet"
    old = data_digests(first.planned.dataset_uri)
    (source / "raw-data" / "0003.vital").write_bytes((source / "raw-data" / "0012.vital").read_bytes())
    second = _run(source, output)
    assert _harmonized(before, output) == {3}
    assert second.planned.plan.dataset_id != first.planned.plan.dataset_id
    assert second.verdict is not None
    assert data_digests(first.planned.dataset_uri) == old, "the old data set is untouched"
    assert run_vitalprep("validate", first.planned.dataset_uri, "--quick").exit_code == 0


def test_a_copied_object_is_recognized(source: Path, output: Path) -> None:
    before, first = _tables(output), _run(source, output)
    path = source / "raw-data" / "0005.vital"
    path.write_bytes(path.read_bytes())
    second = _run(source, output)
    assert second.verdict is None, "nothing is new"
    assert _harmonized(before, output) == set()
    assert second.planned.plan.dataset_id == first.planned.plan.dataset_id
    assert [case.case_id for case in second.planned.plan.cases if case.known_as] == [5]


def test_a_changed_body_is_done_again_alone(source: Path, output: Path) -> None:
    """Weight enters doses; age enters none, so it asks for a new build only."""
    table = source / "clinical_data.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    column = {name: index for index, name in enumerate(lines[0])}
    for name, changed in (("age", set[int]()), ("weight", {4})):
        before = _tables(output)
        lines[4][column[name]] = "61.5"
        table.write_text("\n".join(",".join(line) for line in lines) + "\n")
        assert lines[4][column["caseid"]] == "4"
        assert _run(source, output).verdict is not None, "a new data set"
        assert _harmonized(before, output) == changed


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("imputation.causal=false", set()),
        ("split.seed=7", set()),
        ("inputs.Noradrenalin_INF.sources.Orchestra/NEPI_RATE.conversion.per_kg_min.concentration=40", CASES),
    ],
)
def test_a_changed_setting(source: Path, output: Path, setting: str, changed: set[int]) -> None:
    before = _tables(output)
    result = _run(source, output, setting)
    assert result.verdict is not None, "a new data set"
    assert _harmonized(before, output) == changed


@pytest.mark.parametrize(("version", "changed"), [("BUILD_VERSION", set()), ("HARMONIZE_VERSION", CASES)])
def test_changed_code(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch, version: str, changed: set[int]
) -> None:
    before, first = _tables(output), _run(source, output)
    monkeypatch.setattr(identity, version, getattr(identity, version) + 1)
    second = _run(source, output)
    assert _harmonized(before, output) == changed
    assert second.planned.plan.dataset_id != first.planned.plan.dataset_id
    assert second.verdict is not None
    assert data_digests(second.planned.dataset_uri) == data_digests(first.planned.dataset_uri)


def _published(dataset: Path) -> dict[str, Any]:
    answer = run_vitalprep("validate", dataset, "--quick")
    return {"exit code": answer.exit_code, "verdict": (dataset / "validation.json").exists()}


def test_a_forced_run_killed_between_two_files_leaves_nothing_that_looks_published(
    recordings: Path, tmp_path: Path
) -> None:
    """The data set was published before: its verdict and build summaries go before the first file does."""
    many = ("--cases", "1-9", "--set", "output.shard_mb=0.4", "--set", "windowing.step=5", "--workers", "1")
    command = ["run", "--input", str(recordings), "--output", str(tmp_path), *many]
    dataset = Path(run_vitalprep(*command).result["dataset"])
    assert _published(dataset) == {"exit code": 0, "verdict": True}
    whole = data_digests(dataset)
    files = sorted(dataset.glob("vitaldb-train.tfrecord-*"))
    assert len(files) > 5
    written = files[0].stat().st_mtime_ns
    process = subprocess.Popen([*COMMAND, *command, "--force"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while files[0].stat().st_mtime_ns == written:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the moment to kill never came"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=40)
    assert _published(dataset) == {"exit code": 65, "verdict": False}
    appending = run_vitalprep("plan", "--input", recordings, "--output", tmp_path, "--append-to", dataset)
    assert appending.exit_code == 65
    assert "not published" in appending.result["message"]
    answer = run_vitalprep(*command)
    assert answer.result["new"] is True
    assert _published(dataset) == {"exit code": 0, "verdict": True}
    assert data_digests(dataset) == whole
    assert set(receipts(tmp_path)) == CASES


def test_a_new_plan_sweeps_what_killed_writes_left_and_nothing_else(recordings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "harmonized" / "0123456789ab"
    folder.mkdir(parents=True)
    abandoned, fresh, foreign = (
        folder / name for name in ("0001-0123456789ab.parquet#1", "0002-0123456789ab.parquet#1", "notes.txt#1")
    )
    for path in (abandoned, fresh, foreign):
        path.write_bytes(b"half")
    two_hours_ago = time.time() - 7200
    for path in (abandoned, foreign):
        os.utime(path, (two_hours_ago, two_hours_ago))
    assert run_vitalprep("plan", "--input", recordings, "--output", tmp_path).exit_code == 0
    assert [path.exists() for path in (abandoned, fresh, foreign)] == [False, True, True]
