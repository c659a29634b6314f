"""The hosts of a job in this process: what each does where another has failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sagemaker.left import BEFORE, NOW, failure
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


def test_the_first_host_waits_for_no_host_that_has_failed_in_this_attempt(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINING_JOB_NAME", "job")
    monkeypatch.setattr(pauses, "FIRST", 0.01)
    request = PlanRequest(
        input=str(recordings),
        config=load_config(None, ("split.allow_empty=true",)),
        cases="1-2",
        shards=2,
        sharding="modulo",
    )
    planned = plan_run(request, str(tmp_path), force=False)
    folder = JobFolder(Storage(tmp_path), "job")

    def first(wait_seconds: float) -> None:
        share = HostShare("algo-1", HOSTS, "the test")
        with WorkerPool(1, StopRequest()) as pool:
            run_plan(planned.uri, share, start=NOW, wait_seconds=wait_seconds, pool=pool)

    folder.put_failure(failure(BEFORE, host="algo-2"))
    with pytest.raises(RetryableError, match="No receipt has come"):
        first(0.02)
    folder.put_failure(failure(host="algo-2"))
    with pytest.raises(RefusedError, match=r"The host algo-2 failed: Too few\."):
        first(1800)
