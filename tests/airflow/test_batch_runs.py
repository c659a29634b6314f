"""A whole run of the DAG on AWS Batch, with an interruption: the same bytes."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from aws_endpoint import WorkerProcess
from batch_endpoint import BUILDER, ON_DEMAND, SPOT, WORKER, BatchEndpoint, Fault, batch_settings

SHARDS = 2


@pytest.fixture
def batch(worker: list[str], monkeypatch: pytest.MonkeyPatch) -> Generator[BatchEndpoint]:
    """A Batch that runs the worker as processes, and an Airflow that is told of it."""
    with BatchEndpoint(lambda command, environment: WorkerProcess(worker, command, environment), {}) as endpoint:
        for name, value in batch_settings(endpoint.url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VITALPREP_BATCH_POLL_SECONDS", "0.2")
        yield endpoint


def test_a_run_with_an_interruption(
    batch: BatchEndpoint, worker: list[str], recordings: Path, request: Any, tmp_path: Path
) -> None:
    batch.faults = [Fault("interrupt", "--shard 1 ", times=1)]
    trigger = request.getfixturevalue("trigger")  # after `batch`: the DAG is made for its backend
    run = trigger(input=str(recordings), output=str(tmp_path / "out"), shards=SHARDS)
    assert run.state == "success", run.states
    jobs = {step: batch.jobs_of(f"{step} ") for step in ("harmonize", "build", "publish", "validate")}
    assert {step: len(found) for step, found in jobs.items()} == {
        "harmonize": SHARDS,
        "build": 3,
        "publish": 1,
        "validate": 1,
    }
    assert {(job.queue, job.request["jobDefinition"]) for job in jobs.pop("harmonize")} == {(SPOT, WORKER)}
    others = {(job.queue, job.request["jobDefinition"]) for found in jobs.values() for job in found}
    assert others == {(ON_DEMAND, BUILDER)}
    (interrupted,) = batch.jobs_of("--shard 1 ")
    assert [attempt["container"]["exitCode"] for attempt in interrupted.attempts] == [143, 0]
    assert run.tries["harmonize[1]"] == 1, "Batch starts it again, and Airflow does not notice"
    here = ["run", "--input", str(recordings), "--output", str(tmp_path / "alone")]
    subprocess.run([*worker, *here], capture_output=True, check=True)
    expected = _digests(next((tmp_path / "alone" / "datasets").glob("*/")))
    assert expected
    assert _digests(Path(run.result("plan_shards")["dataset"])) == expected


def _digests(dataset: Path) -> dict[str, str]:
    """SHA-256 of the records."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(dataset.glob("*.tfrecord*"))}
