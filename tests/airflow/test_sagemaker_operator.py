"""One task as a training job: what it asks for, what it makes of each end, and what it says to whoever must fix it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from aws_endpoint import WorkerProcess
from sagemaker_endpoint import Fault, SageMakerEndpoint
from task_context import Kept, TaskInstance, kind, until

OUTPUT = "s3://bucket/out"
SHARD = {
    "command": "harmonize",
    "arguments": ("--plan", "s3://bucket/out/runs/5/plan-1.json", "--shard", "3"),
    "interruptible": True,
    "output_uri": OUTPUT,
}
VALIDATE = {"command": "validate", "arguments": ("s3://bucket/out/datasets/5",), "output_uri": OUTPUT}
FAIL = 'mkdir -p "$VITALPREP_ML_FOLDER/output"; echo "{text}" > "$VITALPREP_ML_FOLDER/output/failure"; exit {code}'


@pytest.fixture
def script() -> dict[str, str]:
    """The container's program; a test sets ``script["body"]``."""
    return {"body": "echo done"}


@pytest.fixture
def sagemaker(
    worker: list[str], script: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[SageMakerEndpoint]:
    def launch(command: Any, environment: Any) -> WorkerProcess:
        return WorkerProcess(["/bin/sh", "-c", script["body"], "vitalprep"], command, environment)

    with SageMakerEndpoint(launch, tmp_path, {}) as endpoint:
        for name, value in sagemaker_settings(endpoint.url).items():
            monkeypatch.setenv(name, value)
        yield endpoint


def sagemaker_settings(url: str) -> dict[str, str]:
    return {
        "VITALPREP_BACKEND": "sagemaker",
        "VITALPREP_SAGEMAKER_ROLE": "arn:aws:iam::000000000000:role/vitalprep-sagemaker",
        "VITALPREP_SAGEMAKER_IMAGE": "000000000000.dkr.ecr.eu-north-1.amazonaws.com/vitalprep/worker:1",
        "VITALPREP_SAGEMAKER_POLL_SECONDS": "0.05",
        "VITALPREP_INTERRUPTION_PAUSE": "0.5",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ENDPOINT_URL_SAGEMAKER": url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": url,
    }


@pytest.fixture
def context() -> dict[str, Any]:
    return {"ti": TaskInstance(), "task_state_store": Kept()}


def operator(step: dict[str, Any] = SHARD) -> Any:
    from vitalprep_airflow.backends.sagemaker_operator import SageMakerWorkerOperator
    from vitalprep_airflow.step import Step

    return SageMakerWorkerOperator(task_id="harmonize", step=Step(**step), retries=3)


def failure(context: dict[str, Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (what it is, is what the tests ask)
        operator().execute(context)
    return caught.value


def test_a_shard_is_a_job_on_managed_spot(sagemaker: SageMakerEndpoint, context: dict[str, Any]) -> None:
    result = operator().execute(context)
    (job,) = sagemaker.jobs.values()
    assert result == {"job": job.name, "billable_seconds": 100, "training_seconds": 100}
    assert job.request["HyperParameters"] == {"command": "harmonize", "arguments": json.dumps(SHARD["arguments"])}
    assert job.request["AlgorithmSpecification"]["ContainerEntrypoint"] == ["vitalprep", "sagemaker-job"]
    assert job.request["OutputDataConfig"] == {"S3OutputPath": "s3://bucket/out/sagemaker/"}
    stopping = job.request["StoppingCondition"]
    assert job.spot
    assert stopping["MaxWaitTimeInSeconds"] >= stopping["MaxRuntimeInSeconds"]


def test_build_and_proof_are_jobs_on_demand(sagemaker: SageMakerEndpoint, context: dict[str, Any]) -> None:
    operator(VALIDATE).execute(context)
    (job,) = sagemaker.jobs.values()
    assert not job.spot
    assert "MaxWaitTimeInSeconds" not in job.request["StoppingCondition"]
    assert job.request["ResourceConfig"]["InstanceType"] == "ml.m5.xlarge"


def test_requests_are_what_sagemaker_takes(sagemaker: SageMakerEndpoint, context: dict[str, Any]) -> None:
    """botocore checks names and types before it sends; lengths and patterns are left to the service."""
    import re

    import botocore.session

    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("CreateTrainingJobRequest")
    context["ti"].run_id = "scheduled__2026-11-21T07:00:00+00:00 (ärger)" + "x" * 300
    operator().execute(context)
    (job,) = sagemaker.jobs.values()
    name = shape.members["TrainingJobName"].metadata
    assert re.fullmatch(name["pattern"], job.name)
    assert len(job.name) <= name["max"]
    assert all(len(tag["Value"]) <= 256 for tag in job.request["Tags"])
    for value in job.request["HyperParameters"].values():
        assert len(value) <= shape.members["HyperParameters"].value.metadata["max"]


def test_an_interrupted_job_goes_on_by_itself(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], script: dict[str, str], task_log: Callable[[], list[str]]
) -> None:
    script["body"] = "echo begun; sleep 0.3"
    sagemaker.faults = [Fault("interrupt")]
    assert operator().execute(context)["billable_seconds"] == 60
    (job,) = sagemaker.jobs.values()
    assert job.transitions == ["Training", "Interrupted", "Starting", "Training", "Completed"]
    assert any("60 s billed, 40% less than on demand" in line for line in task_log())
    assert task_log().count("begun") == 2, "the containers' lines"


def test_no_capacity_in_time_ends_on_demand(sagemaker: SageMakerEndpoint, context: dict[str, Any]) -> None:
    sagemaker.faults = [Fault("wait")]
    texts = []
    for _ in range(2):
        error = failure(context)
        assert kind(error) == "SpotLost"
        texts.append(str(error))
    operator().execute(context)
    assert "Interruption 2; the next try runs on demand." in texts[1]
    assert [job.spot for job in sagemaker.jobs.values()] == [True, True, False]


@pytest.mark.parametrize(("code", "expected"), [(2, "WorkerRefused"), (65, "WorkerRefused"), (1, "WorkerFailed")])
def test_exit_codes_mean_what_they_mean_elsewhere(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], script: dict[str, str], code: int, expected: str
) -> None:
    text = f"exit code {code}: The input changed: cases 4. Fix: plan again."
    script["body"] = FAIL.format(text=text, code=code)
    error = failure(context)
    assert kind(error) == expected
    assert "The input changed: cases 4. Fix: plan again." in str(error)
    assert "AlgorithmError" not in str(error)


def test_a_stopped_job_is_no_success(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    """The provider's operator takes `Stopped` for done."""
    script["body"] = "trap 'exit 143' TERM; echo begun; while :; do sleep 0.02; done"
    task = operator()
    errors: list[Exception] = []

    def execute() -> None:
        try:
            task.execute(context)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=execute, daemon=True)
    thread.start()
    until(lambda: sagemaker.jobs and next(iter(sagemaker.jobs.values())).events and task._job)
    task.on_kill()
    thread.join(120)
    assert [kind(error) for error in errors] == ["WorkerFailed"]
    assert "was stopped" in str(errors[0])


def test_a_new_airflow_process_follows_the_running_job(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    script["body"] = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"
    thread = threading.Thread(target=operator().execute, args=(context,), daemon=True)
    thread.start()
    until(lambda: context["task_state_store"].get("training_job"))
    second = operator()
    again = threading.Thread(target=second.execute, args=(context,), daemon=True)
    again.start()
    until(lambda: second._job)
    (tmp_path / "go").touch()
    again.join(120)
    assert len(sagemaker.jobs) == 1
    thread.join(120)
    operator().execute(context)
    assert len(sagemaker.jobs) == 2, "a job that has ended is not followed"


REFUSALS = [
    (
        "ResourceLimitExceeded",
        "The account-level service limit 'ml.m5.large for spot training job usage' is 0 Instances",
        "WorkerFailed",
        "quota",
    ),
    ("AccessDeniedException", "User is not authorized to perform: iam:PassRole", "WorkerRefused", "iam:PassRole"),
    ("AccessDeniedException", "not authorized: sagemaker:CreateTrainingJob", "WorkerRefused", "airflow_role"),
    ("ExpiredTokenException", "The security token is expired", "WorkerRefused", "renew"),
    ("ValidationException", "Could not assume role arn:x", "WorkerRefused", "SAGEMAKER_ROLE"),
    ("ValidationException", "Invalid image URI", "WorkerRefused", "push the image"),
    ("ThrottlingException", "Rate exceeded", "WorkerFailed", "tried again"),
]


@pytest.mark.parametrize(("code", "message", "expected", "fix"), REFUSALS)
def test_what_sagemaker_refuses_names_the_fix(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], code: str, message: str, expected: str, fix: str
) -> None:
    sagemaker.faults = [Fault("refuse", code=code, message=message)]
    error = failure(context)
    assert kind(error) == expected
    assert message in str(error)
    assert fix in str(error)


@pytest.mark.parametrize(
    ("reason", "expected", "fix"),
    [
        ("ClientError: Cannot find image in ECR", "WorkerRefused", "push docker/Dockerfile.worker"),
        ("ClientError: AccessDenied when calling S3", "WorkerRefused", "sagemaker.amazonaws.com"),
        ("CapacityError: Unable to provision requested ML compute capacity", "SpotLost", "on spot"),
        ("InternalServerError: We encountered an internal error. Please try again.", "WorkerFailed", "internal error"),
    ],
)
def test_a_job_that_does_not_run_names_the_fix(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], reason: str, expected: str, fix: str
) -> None:
    sagemaker.faults = [Fault("fail", message=reason)]
    error = failure(context)
    assert kind(error) == expected
    assert fix in str(error)


def test_an_output_that_is_not_in_s3(sagemaker: SageMakerEndpoint, context: dict[str, Any]) -> None:
    step = {"command": "publish", "arguments": ("--plan", "/data/out/runs/5/plan.json"), "output_uri": "/data/out"}
    with pytest.raises(Exception, match=r"/data/out, which SageMaker's machines do not see\. Fix: ") as caught:
        operator(step).execute(context)
    assert kind(caught.value) == "WorkerRefused"
    assert sagemaker.jobs == {}


def test_settings_that_make_no_request(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker builds the request and refuses what SageMaker would refuse."""
    monkeypatch.setenv("VITALPREP_SAGEMAKER_IMAGE", "vitalprep-worker:1")
    error = failure(context)
    assert kind(error) == "WorkerRefused"
    assert "'vitalprep-worker:1' is not in ECR" in str(error)
    assert "VITALPREP_SAGEMAKER_IMAGE" in str(error)
    assert sagemaker.jobs == {}


def test_settings_that_cannot_be(monkeypatch: pytest.MonkeyPatch, sagemaker: SageMakerEndpoint) -> None:
    from vitalprep_airflow.backends.sagemaker import SageMakerSettings

    assert SageMakerSettings.from_environment().problem is None
    monkeypatch.setenv("VITALPREP_SAGEMAKER_MAX_WAIT", "60")
    assert "VITALPREP_SAGEMAKER_MAX_WAIT (60 s) is less than" in str(SageMakerSettings.from_environment().problem)
    monkeypatch.delenv("VITALPREP_SAGEMAKER_ROLE")
    assert "needs VITALPREP_SAGEMAKER_ROLE" in str(SageMakerSettings.from_environment().problem)
