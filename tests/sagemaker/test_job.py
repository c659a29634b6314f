"""`vitalprep submit` against an endpoint that runs the real worker, and against AWS's refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.pipeline import COMMAND, Answer, data_digests, run_vitalprep, s3_client
from tests.sagemaker.endpoint import REGION, SageMaker, sagemaker
from vitalprep.runtime.errors import RetryableError, UsageError, VitalprepError
from vitalprep.sagemaker.aws import aws_errors, client
from vitalprep.sagemaker.request import JobOptions, plan_job

BUCKET = "vitalprep-jobs"  # all of moto's servers in a process have the same buckets
SETTINGS = {
    "VITALPREP_SAGEMAKER_ROLE": "arn:aws:iam::123456789012:role/vitalprep-sagemaker",
    "VITALPREP_SAGEMAKER_IMAGE": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/vitalprep/worker:0.1.0",
    "AWS_DEFAULT_REGION": REGION,
}
REQUEST = plan_job(
    JobOptions(
        image=SETTINGS["VITALPREP_SAGEMAKER_IMAGE"],
        role=SETTINGS["VITALPREP_SAGEMAKER_ROLE"],
        region=REGION,
        instance_type="ml.m5.xlarge",
        instance_count=1,
        spot=False,
        max_run=60,
        max_wait=None,
    ),
    name="vitalprep-refused",
    plan_uri="s3://none/runs/2c5263cda312/plan-0123456789ab.json",
    dataset_id="2c5263cda312",
    output_uri="s3://none",
)


@pytest.fixture(scope="module")
def served(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMaker]:
    """SageMaker, and S3 with the recordings."""
    with sagemaker(tmp_path_factory.mktemp("jobs")) as application:
        client = s3_client(application.environment | {"AWS_REGION": REGION})
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        for path in recordings.rglob("*"):
            if path.suffix in (".vital", ".csv"):
                client.upload_file(str(path), BUCKET, f"raw/{path.relative_to(recordings)}")
        yield application


def told(served: SageMaker, output: str) -> dict[str, str]:
    where = {"VITALPREP_INPUT": f"s3://{BUCKET}/raw", "VITALPREP_OUTPUT": f"s3://{BUCKET}/{output}"}
    return SETTINGS | where | served.environment


def submit(served: SageMaker, output: str, *options: str) -> Answer:
    return run_vitalprep("submit", *options, environment=told(served, output))


def keys(served: SageMaker, prefix: str) -> list[str]:
    client = s3_client(served.environment | {"AWS_REGION": REGION})
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def messages(answer: Answer) -> list[str]:
    return [str(line["message"]) for line in answer.log]


def test_two_machines_interrupted_once_make_the_data_set_of_one_run(
    served: SageMaker, undisturbed: Path, tmp_path: Path
) -> None:
    served.interruptions.append("harmonized")
    answer = submit(served, "spot", "--instance-count", "2", "--wait")
    assert answer.exit_code == 0, answer.result
    [job] = served.jobs.values()
    assert job.transitions == ["Training", "Interrupted", "Training", "Uploading", "Completed"]
    said = messages(answer)
    assert any("console.aws.amazon.com/sagemaker/home?region=eu-north-1#/jobs/" in line for line in said)
    assert any(line.startswith("algo-2: case ") for line in said), "what the machines log is followed"
    assert answer.result["status"] == "Completed"
    assert (answer.result["billable_seconds"], answer.result["training_seconds"]) == (380, 1000)
    assert answer.result["saving"] == pytest.approx(0.62)
    assert sum(answer.result["windows"].values()) > 0

    client = s3_client(served.environment | {"AWS_REGION": REGION})
    dataset = answer.result["dataset"].removeprefix(f"s3://{BUCKET}/")
    for key in keys(served, dataset):
        client.download_file(BUCKET, key, str(tmp_path / key.rpartition("/")[2]))
    assert data_digests(tmp_path) == data_digests(undisturbed)

    again = submit(served, "spot", "--instance-count", "2", "--wait")
    assert again.exit_code == 0
    assert (again.result["new"], again.result["job"]) == (False, None)
    assert "nothing new" in again.last_message
    assert len(served.jobs) == 1, "what is published needs no job"


def test_what_the_worker_refuses_is_refused_here(served: SageMaker) -> None:
    """Where the container cannot leave the reason in ``/opt/ml/output/failure``, it is in the job's folder."""
    strict = ("--set", "validation.min_windows=1000000")
    served.output_of_others = True
    answer = submit(served, "strict", *strict, "--job-name", "vitalprep-strict", "--wait")
    served.output_of_others = False
    assert served.jobs["vitalprep-strict"].reason == "AlgorithmError: , exit code: 65"
    assert answer.exit_code == 65
    assert "windows, less than the required 1000000" in answer.result["message"]
    assert answer.result["fix"] == "add more cases, or lower validation.min_windows."


def followed(served: SageMaker, name: str) -> subprocess.Popen[str]:
    """A submitted job that is followed."""
    process = subprocess.Popen(
        [*COMMAND, "submit", "--wait", "--json", "--job-name", name],
        env=os.environ | told(served, name),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait_until(lambda: name in served.jobs)
    return process


def wait_until(moment: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not moment():
        assert time.monotonic() < end, "that moment never came"
        time.sleep(0.02)


def test_a_job_that_somebody_stops_can_be_submitted_again(served: SageMaker) -> None:
    following = followed(served, "vitalprep-stopped")
    wait_until(lambda: bool(served.jobs["vitalprep-stopped"].hosts))
    aws = {"endpoint_url": served.environment["AWS_ENDPOINT_URL"], "region_name": REGION}
    keys_of = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    boto3.client("sagemaker", **aws, **keys_of).stop_training_job(TrainingJobName="vitalprep-stopped")
    out, _ = following.communicate(timeout=60)
    result = json.loads(out)
    assert following.returncode == 1
    assert result["message"] == "The job vitalprep-stopped is stopped: somebody stopped it."
    assert result["fix"] == "submit again: it goes on from the receipts."


def test_whoever_stops_following_leaves_the_job_alone(served: SageMaker) -> None:
    following = followed(served, "vitalprep-left")
    following.send_signal(signal.SIGTERM)
    out, _ = following.communicate(timeout=30)
    assert following.returncode == 143
    assert "aws sagemaker stop-training-job --training-job-name vitalprep-left" in json.loads(out)["fix"]
    wait_until(lambda: served.jobs["vitalprep-left"].status == "Completed")


@pytest.mark.parametrize(
    ("answer", "exit_code", "message", "fix"),
    [
        (
            (400, "AccessDeniedException", "User is not authorized to perform: sagemaker:CreateTrainingJob"),
            2, "AccessDeniedException", "airflow_role",
        ),
        (
            (400, "ResourceLimitExceeded", "The account-level service limit 'ml.m5.xlarge for spot training job usage' "
             "is 0 Instances, with current utilization of 0 Instances and a request delta of 1 Instances."),
            2, "spot training job usage", "Service Quotas",
        ),
        (
            (400, "ValidationException", "Could not assume role arn:aws:iam::123456789012:role/x. Please ensure that "
             "the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role."),
            2, "Could not assume role", "VITALPREP_SAGEMAKER_ROLE",
        ),
        (
            (400, "ValidationException", "Requested image 123456789012.dkr.ecr... not found."),
            2, "Requested image", "push the worker's image",
        ),
        (
            (400, "ValidationException", "The specified bucket is in another region"),
            2, "another region", "a bucket of the job's region",
        ),
        ((400, "UnrecognizedClientException", "The security token is invalid."), 2, "token", "AWS_ACCESS_KEY_ID"),
        ((400, "SomethingNew", "Nobody knows."), 2, "SomethingNew (Nobody knows)", "correct what it names."),
    ],
)  # fmt: skip
def test_what_aws_refuses_comes_with_the_mend(
    served: SageMaker,
    answer: tuple[int, str, str],
    exit_code: int,
    message: str,
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    served.answers.append(answer)
    with pytest.raises(VitalprepError) as refused, aws_errors("create the training job"):
        client("sagemaker", REGION).create_training_job(**REQUEST)
    assert refused.value.exit_code == exit_code
    assert refused.value.message.startswith("Could not create the training job: AWS answered")
    assert message in refused.value.message
    assert fix in refused.value.fix


def test_without_an_answer_or_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="no AWS credentials were found"), aws_errors("create the training job"):
        client("sagemaker", REGION).create_training_job(**REQUEST)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(RetryableError, match="Could not connect"), aws_errors("create the training job"):
        client("sagemaker", REGION).create_training_job(**REQUEST)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="nobody"):
        client("sagemaker", REGION)


def test_a_moment_s_fault_is_tried_again_and_a_refusal_ends_the_command(served: SageMaker) -> None:
    served.answers += [
        (500, "InternalFailure", ""),
        (400, "ThrottlingException", "Rate exceeded"),
        (400, "ResourceLimitExceeded", "The account-level service limit is 0 Instances"),
    ]
    answer = submit(served, "fault", "--cases", "1-9")
    assert answer.exit_code == 2
    assert answer.result["message"].startswith("Could not create the training job: AWS answered ResourceLimitExceeded")
    assert served.answers == []


def test_a_dry_run_prints_the_request_and_writes_nothing(served: SageMaker) -> None:
    jobs = len(served.jobs)
    options = ("--instance-count", "2", "--job-name", "vitalprep-dry")
    dry = submit(served, "dry", *options, "--dry-run")
    assert dry.exit_code == 0
    assert keys(served, "dry") == []
    assert len(served.jobs) == jobs
    served.machines = False
    assert submit(served, "dry", *options).exit_code == 0
    again = submit(served, "dry", *options)
    assert (again.exit_code, again.result["new"], again.result["job"]) == (0, False, "vitalprep-dry")
    served.jobs["vitalprep-dry"].becomes("Stopped", "Stopped")
    taken = submit(served, "dry", *options)
    assert (taken.exit_code, taken.result["fix"]) == (2, "leave out --job-name, or give another.")
    served.machines = True
    sent: dict[str, Any] = served.jobs["vitalprep-dry"].request
    assert dry.result["request"] == sent
    printed = subprocess.run(
        [*COMMAND, "submit", *options, "--dry-run"],
        env=os.environ | told(served, "dry"), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(printed.stdout) == sent, "as `aws sagemaker create-training-job --cli-input-json` takes it"
