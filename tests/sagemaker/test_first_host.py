"""What the hosts of a job tell each other by documents in the job's folder."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vitalprep.clean.inventory import take_inventory
from vitalprep.contract.job import HostFailure
from vitalprep.runtime.errors import RefusedError, RetryableError, Stopped, UsageError, VitalprepError
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker import pauses
from vitalprep.sagemaker.first_host import WatchedFirstHost, signs_of_life
from vitalprep.sagemaker.job_folder import JobFolder, failure_told_there
from vitalprep.storage import Storage

FAILED = HostFailure(host="algo-1", exit_code=65, message="Too few.", fix="give more.")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "FIRST", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(Storage(tmp_path), "job")


def sign(output: Path) -> str:
    return str(json.loads((output / "sagemaker" / "job" / "first-host.json").read_bytes())["state"])


def test_the_first_host_works_and_then_is_done(folder: JobFolder, tmp_path: Path) -> None:
    with signs_of_life(folder, "algo-1"):
        assert sign(tmp_path) == "running"
    assert sign(tmp_path) == "done"
    WatchedFirstHost(folder, "algo-1").wait(0, StopRequest())


def test_a_first_host_that_fails_is_never_done(folder: JobFolder, tmp_path: Path) -> None:
    with pytest.raises(RefusedError), signs_of_life(folder, "algo-1"):
        raise RefusedError("Too few.", fix="give more.")
    assert sign(tmp_path) == "running"


def test_who_may_not_write_to_the_job_s_folder_learns_it_before_the_work(folder: JobFolder, tmp_path: Path) -> None:
    (tmp_path / "sagemaker").write_text("no folder")
    with pytest.raises(VitalprepError, match=r"sagemaker/job/first-host\.json"), signs_of_life(folder, "algo-1"):
        pytest.fail("the work began")


@pytest.mark.parametrize(("code", "kind"), [(65, RefusedError), (2, UsageError), (1, RetryableError)])
def test_the_other_hosts_fail_as_the_first_did(folder: JobFolder, code: int, kind: type[VitalprepError]) -> None:
    watched = WatchedFirstHost(folder, "algo-1")
    folder.put_failure(FAILED.model_copy(update={"exit_code": code}))
    with pytest.raises(kind, match=r"The first host algo-1 failed: Too few\.") as raised:
        watched.wait(60, StopRequest())
    assert raised.value.exit_code == code
    assert raised.value.fix == "give more."


def test_a_failure_of_an_attempt_before_is_not_this_one_s(folder: JobFolder) -> None:
    folder.put_failure(FAILED)
    watched = WatchedFirstHost(folder, "algo-1")
    folder.put_first_host("algo-1", "done")
    watched.wait(0, StopRequest())


def test_a_first_host_that_says_nothing_is_given_up(folder: JobFolder) -> None:
    folder.put_first_host("algo-1", "running")
    with pytest.raises(RetryableError, match=r"algo-1 has given no sign of life for 0\.05 s") as raised:
        WatchedFirstHost(folder, "algo-1").wait(0.05, StopRequest())
    assert "wait_seconds" in raised.value.fix


def test_signs_of_life_keep_the_others_waiting(tmp_path: Path) -> None:
    looks = 0

    class Beating(JobFolder):
        def failure_of(self, host: str) -> HostFailure | None:
            nonlocal looks
            looks += 1
            self.put_first_host(host, "running" if looks < 9 else "done")
            return super().failure_of(host)

    WatchedFirstHost(Beating(Storage(tmp_path), "job"), "algo-1").wait(0.2, StopRequest())
    assert looks >= 9


def test_a_signal_ends_the_waiting(folder: JobFolder) -> None:
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(Stopped, match="waiting for algo-1"):
        WatchedFirstHost(folder, "algo-1").wait(60, stop)


def test_a_folder_that_cannot_be_read_holds_up_no_host(
    folder: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A role from before that may not read there: its jobs go on as they did."""
    monkeypatch.setattr(logging.getLogger("vitalprep"), "propagate", True)
    (tmp_path / "sagemaker" / "job").mkdir(parents=True)
    (tmp_path / "sagemaker" / "job" / "first-host.json").write_text("{")
    WatchedFirstHost(folder, "algo-1").wait(60, StopRequest())
    assert len([one for one in caplog.messages if "without waiting for algo-1" in one]) >= 1


def test_the_cause_of_a_failed_job_is_the_first_failure_with_its_exit_code(folder: JobFolder, tmp_path: Path) -> None:
    folder.put_failure(FAILED.model_copy(update={"host": "algo-2", "exit_code": 1}))
    folder.put_failure(FAILED)
    output = str(tmp_path)
    assert failure_told_there(output, "job", "AlgorithmError: , exit code: 65") == FAILED
    first = failure_told_there(output, "job", "")
    assert first is not None
    assert first.host == "algo-2"
    assert failure_told_there(output, "job", "AlgorithmError: , exit code: 137") is None
    assert failure_told_there(output, "job", "InternalServerError: We encountered an error") is None
    assert failure_told_there(output, "another", "") is None


def test_a_cause_that_cannot_be_read_is_not_in_the_way(folder: JobFolder, tmp_path: Path) -> None:
    folder.put_failure(FAILED)
    (tmp_path / "sagemaker" / "job" / "failure-algo-1.json").write_text("{")
    assert failure_told_there(str(tmp_path), "job", "") is None


def test_clean_leaves_the_folders_of_jobs_alone(folder: JobFolder, tmp_path: Path) -> None:
    folder.put_failure(FAILED)
    inventory = take_inventory(Storage(tmp_path), now=datetime.now(UTC), older_than=timedelta(0))
    assert (inventory.items, inventory.foreign) == ((), 0)
