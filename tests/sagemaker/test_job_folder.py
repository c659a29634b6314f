"""The folder of a job: whose documents are in it, and what of them is the cause of a failed job."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.sagemaker.left import NOW, failure, living
from vitalprep.clean.inventory import take_inventory
from vitalprep.sagemaker.job_folder import JobFolder, failure_told_there
from vitalprep.storage import Storage

ARN = "arn:aws:sagemaker:{}:{}:training-job/job"


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(Storage(tmp_path), "job")


def test_jobs_of_the_same_name_elsewhere_have_folders_of_their_own(tmp_path: Path) -> None:
    """Names are unique in a region of an account only."""
    here, there, account = (
        JobFolder(Storage(tmp_path), "job", arn=ARN.format(*place))
        for place in (("eu-north-1", "1" * 12), ("eu-west-1", "1" * 12), ("eu-north-1", "2" * 12))
    )
    for other in (there, account):
        other.put_first_host(living(state="done"))
        other.put_failure(failure())
    assert (here.first_host(), here.failure_of("algo-1"), here.failures()) == (None, None, [])
    assert here.uri.endswith("/sagemaker/job/eu-north-1-111111111111")


def test_the_cause_is_of_the_last_attempt_and_of_this_job(tmp_path: Path) -> None:
    arn = ARN.format("eu-north-1", "1" * 12)
    folder = JobFolder(Storage(tmp_path), "job", arn=arn)
    for host in ("algo-1", "algo-2"):
        folder.put_failure(failure(host=host))
    interrupted = (NOW.at - timedelta(hours=1)).timestamp()
    os.utime(next(tmp_path.rglob("failure-algo-1.json")), (interrupted, interrupted))
    told = failure_told_there(str(tmp_path), "job", "", arn=arn, since=NOW.at)
    assert told == failure(host="algo-2")
    assert failure_told_there(str(tmp_path), "job", "", arn=arn) == failure(host="algo-1")
    assert failure_told_there(str(tmp_path), "job", "", arn=ARN.format("eu-west-1", "1" * 12)) is None


def test_the_cause_of_a_failed_job_is_the_first_failure_with_its_exit_code(folder: JobFolder, tmp_path: Path) -> None:
    folder.put_failure(failure(host="algo-2", exit_code=1))
    folder.put_failure(failure())
    output = str(tmp_path)
    assert failure_told_there(output, "job", "AlgorithmError: , exit code: 65") == failure()
    first = failure_told_there(output, "job", "")
    assert first is not None
    assert first.host == "algo-2"
    assert failure_told_there(output, "job", "AlgorithmError: , exit code: 137") is None
    assert failure_told_there(output, "job", "InternalServerError: We encountered an error") is None
    assert failure_told_there(output, "another", "") is None


def test_a_cause_that_cannot_be_read_is_not_in_the_way(folder: JobFolder, tmp_path: Path) -> None:
    folder.put_failure(failure())
    (tmp_path / "sagemaker" / "job" / "failure-algo-1.json").write_text("{")
    assert failure_told_there(str(tmp_path), "job", "") is None


def test_clean_leaves_the_folders_of_jobs_alone(folder: JobFolder, tmp_path: Path) -> None:
    folder.put_failure(failure())
    inventory = take_inventory(Storage(tmp_path), now=datetime.now(UTC), older_than=timedelta(0))
    assert (inventory.items, inventory.foreign) == ((), 0)
