"""A whole run of the DAG on SageMaker, with interruptions, in a real S3 API: the same bytes."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from aws_endpoint import WorkerProcess
from local_s3 import S3, running_s3
from sagemaker_endpoint import Fault, SageMakerEndpoint
from test_sagemaker_operator import sagemaker_settings

SHARDS = 3
SHARD = '"--shard", "{}"'


@pytest.fixture(scope="module")
def s3(worker: list[str], recordings: Path) -> Generator[S3]:
    """An S3 server with the recordings in its bucket, below ``raw``."""
    with running_s3(worker) as server:
        server.fill("raw", recordings)
        yield server


@pytest.fixture
def sagemaker(
    s3: S3, worker: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[SageMakerEndpoint]:
    def launch(command: Any, environment: Any) -> WorkerProcess:
        return WorkerProcess(worker, command, environment)

    with SageMakerEndpoint(launch, tmp_path, s3.environment) as endpoint:
        for name, value in (s3.environment | sagemaker_settings(endpoint.url)).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VITALPREP_SAGEMAKER_POLL_SECONDS", "0.2")
        yield endpoint


def test_a_run_with_interruptions(
    sagemaker: SageMakerEndpoint, s3: S3, worker: list[str], recordings: Path, request: Any, tmp_path: Path
) -> None:
    sagemaker.faults = [
        Fault("interrupt", SHARD.format(0), times=1),
        Fault("wait", SHARD.format(1)),
        Fault("fail", '"test"', times=1, message="InternalServerError: Please try again."),
    ]
    trigger = request.getfixturevalue("trigger")  # after `sagemaker`: the DAG is made for its backend
    run = trigger(input=f"{s3.uri}/raw", output=f"{s3.uri}/out", shards=SHARDS)
    assert run.state == "success", run.states
    first, second, third = (sagemaker.jobs_of(SHARD.format(shard)) for shard in range(SHARDS))
    assert first[0].transitions == ["Training", "Interrupted", "Starting", "Training", "Completed"]
    assert [job.spot for job in second] == [True, True, False]
    assert [job.spot for job in third] == [True]
    assert run.tries["build[2]"] == 2
    here = ["run", "--input", str(recordings), "--output", str(tmp_path / "alone")]
    subprocess.run([*worker, *here], capture_output=True, check=True)
    expected = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "alone").glob("datasets/*/*.tfrecord*")
    }
    assert expected
    dataset = run.result("plan_shards")["dataset"]
    assert s3.digests(dataset, ".tfrecord") == expected
