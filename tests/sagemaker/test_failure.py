"""The reason of a failure, where a container may leave it and where it may not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.pipeline import BUCKET
from tests.sagemaker.hosts import lay_out
from vitalprep.runtime.errors import RefusedError, Stopped, VitalprepError
from vitalprep.sagemaker.job_folder import failure_told_there
from vitalprep.sagemaker.ml_folder import MlFolder

PLAN = "runs/0123456789ab/plan-0123456789ab.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlFolder:
    """A container's folder; its job's output is `tmp_path/out`."""
    monkeypatch.setenv("TRAINING_JOB_NAME", "job")
    monkeypatch.delenv("VITALPREP_OUTPUT", raising=False)
    given = {"command": "run-plan", "plan": f"{tmp_path}/out/{PLAN}"}
    return MlFolder(lay_out(tmp_path / "ml", "algo-2", ["algo-1", "algo-2"], given))


def fail(folder: MlFolder, error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, folder.failure_told():
        raise error
    assert raised.value is error, "the failure itself is what is seen"


def told(tmp_path: Path, output: str = "out") -> dict[str, object]:
    content: dict[str, object] = json.loads((tmp_path / output / "sagemaker/job/failure-algo-2.json").read_bytes())
    return content


def test_it_is_in_both_places_and_there_in_full(folder: MlFolder, tmp_path: Path) -> None:
    fail(folder, RefusedError("x" * 5000, fix="give more."))
    assert len(folder.failure.read_text()) == 1024
    content = {"exit_code": 65, "fix": "give more.", "host": "algo-2", "message": "x" * 5000, "schema_version": 1}
    content |= {"start": folder.start.id, "started": folder.start.at.isoformat().replace("+00:00", "Z")}
    assert told(tmp_path) == content


def test_where_sagemaker_s_folder_is_root_s_it_is_in_the_job_s(
    folder: MlFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("vitalprep"), "propagate", True)
    folder.failure.mkdir(parents=True)  # no file can be written there
    fail(folder, RefusedError("Too few.", fix="give more."))
    assert told(tmp_path)["message"] == "Too few."
    assert any("output/failure cannot be written" in line for line in caplog.messages)


def test_where_neither_can_be_written_it_is_still_the_one_that_is_raised(
    folder: MlFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("vitalprep"), "propagate", True)
    (tmp_path / "out").write_text("no folder")
    folder.failure.mkdir(parents=True)
    fail(folder, RefusedError("Too few.", fix="give more."))
    assert any("the failure is not in the job's folder: " in line for line in caplog.messages)


@pytest.mark.parametrize("error", [ValueError("\ud800\x1b[31m"), BaseException("a panic")])
def test_what_nobody_foresaw_is_told_too(folder: MlFolder, tmp_path: Path, error: BaseException) -> None:
    fail(folder, error)
    assert str(told(tmp_path)["message"]).startswith(f"unforeseen {type(error).__name__} at test_failure.py:")
    assert folder.failure.read_bytes().startswith(b"exit code 1: unforeseen")


def test_the_request_says_where_the_output_of_one_command_is(
    folder: MlFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_OUTPUT", str(tmp_path / "told"))
    folder.hyperparameters.write_text('{"command": "build", "arguments": "[]"}')
    fail(folder, RefusedError("Too few.", fix="give more."))
    assert told(tmp_path, "told")["message"] == "Too few."


def test_where_the_hyperparameters_are_wrong_the_request_says_it_too(
    folder: MlFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_OUTPUT", str(tmp_path / "told"))
    folder.hyperparameters.write_text('{"command": "run-plan"}')
    fail(folder, RefusedError("Too few.", fix="give more."))
    assert told(tmp_path, "told")["exit_code"] == 65


def test_the_plan_s_output_is_where_the_other_hosts_look(
    folder: MlFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_OUTPUT", str(tmp_path / "told"))
    fail(folder, RefusedError("Too few.", fix="give more."))
    assert told(tmp_path)["exit_code"] == 65


@pytest.mark.parametrize("name", ["", "a/../b"])
def test_without_the_job_s_name_it_is_in_sagemaker_s_folder_alone(
    folder: MlFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TRAINING_JOB_NAME", name)
    fail(folder, RefusedError("Too few.", fix="give more."))
    assert folder.failure.read_text() == "exit code 65: Too few. Fix: give more."
    assert not (tmp_path / "out").exists()


def test_the_endpoint_that_the_sdk_s_local_mode_sets_is_taken(
    folder: MlFolder, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (s3_environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_environment["AWS_ENDPOINT_URL"])
    plan = f"s3://{BUCKET}/local-mode/{PLAN}"
    folder.hyperparameters.write_text(json.dumps({"command": "run-plan", "plan": plan}))
    fail(folder, RefusedError("Too few.", fix="give more."))
    told = failure_told_there(f"s3://{BUCKET}/local-mode", "job", "")
    assert told is not None
    assert told.message == "Too few."


def test_a_stop_is_no_failure_of_the_job(folder: MlFolder, tmp_path: Path) -> None:
    stopped: VitalprepError = Stopped("Stopped by a signal.", fix="run it again.")
    fail(folder, stopped)
    assert folder.failure.read_text().startswith("exit code 143")
    assert not (tmp_path / "out").exists()
