"""The hosts of a job in this process: what each does where another has failed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.sagemaker.left import BEFORE, NOW, failure, living
from vitalprep.contract.config_file import load_config
from vitalprep.plan.make_plan import PlanRequest
from vitalprep.run.plan_run import plan_run
from vitalprep.runtime.errors import RefusedError, RetryableError
from vitalprep.runtime.workers import StopRequest, WorkerPool
from vitalprep.sagemaker import pauses
from vitalprep.sagemaker.hosts import HostShare
from vitalprep.sagemaker.job_folder import JobFolder
from vitalprep.sagemaker.run_plan import run_plan
from vitalprep.storage import Storage

HOSTS = ("algo-1", "algo-2")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINING_JOB_NAME", "job")
    monkeypatch.setattr(pauses, "FIRST", 0.01)


def run(host: str, plan: str, wait_seconds: float) -> None:
    with WorkerPool(1, StopRequest()) as pool:
        run_plan(plan, HostShare(host, HOSTS, "the test"), start=NOW, wait_seconds=wait_seconds, pool=pool)


def planned(recordings: Path, output: Path, cases: str | None = None) -> str:
    config = load_config(None, ("split.allow_empty=true",) if cases else ())
    request = PlanRequest(input=str(recordings), config=config, cases=cases, shards=2, sharding="modulo")
    return plan_run(request, str(output)).uri


def test_the_first_host_waits_for_no_host_that_has_failed_in_this_attempt(recordings: Path, tmp_path: Path) -> None:
    plan = planned(recordings, tmp_path, "1-2")
    folder = JobFolder(Storage(tmp_path), "job")
    folder.put_failure(failure(BEFORE, host="algo-2"))
    with pytest.raises(RetryableError, match="No receipt has come"):
        run("algo-1", plan, 0.02)
    folder.put_failure(failure(host="algo-2"))
    with pytest.raises(RefusedError, match=r"The host algo-2 failed: Too few\."):
        run("algo-1", plan, 1800)


def test_another_host_ends_well_where_the_data_set_is_published_and_the_first_is_silent(
    recordings: Path, undisturbed: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(undisturbed.parents[1], tmp_path / "out")
    plan = planned(recordings, output)
    JobFolder(Storage(output), "job").put_first_host(living(BEFORE))
    run("algo-2", plan, 0)
    next(output.glob("datasets/*/validation.json")).unlink()
    with pytest.raises(RetryableError, match="no sign of life"):
        run("algo-2", plan, 0)
