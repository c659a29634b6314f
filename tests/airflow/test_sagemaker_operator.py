"""One task as a training job: what it asks for, what it makes of each end, and what it says to whoever must fix it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from aws_endpoint import CallFault, WorkerProcess
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
    return failure_of(operator(), context)


def failure_of(task: Any, context: dict[str, Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (what it is, is what the tests ask)
        task.execute(context)
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


@pytest.mark.parametrize("run_id", ["replay~2026-01-01", "\N{ROCKET} (ärger)" + "x" * 300, "aws:1", "Ω/2²"])
def test_names_and_tags_are_what_sagemaker_takes(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], run_id: str
) -> None:
    """The endpoint refuses what SageMaker's own patterns refuse."""
    context["ti"].run_id, context["ti"].dag_id = run_id, "größen"
    operator().execute(context)
    (job,) = sagemaker.jobs.values()
    tags = {tag["Key"]: tag["Value"] for tag in job.request["Tags"]}
    cleaned = {"r": "replay_2026-01-01", "a": "aws_1", "Ω": "Ω/2²"}
    assert tags["airflow-run"] == cleaned.get(run_id[0], "_ _ärger_" + "x" * 247)
    assert tags["airflow-dag"] == "größen"


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
    sagemaker.call_faults = [CallFault("StopTrainingJob", "ThrottlingException", times=1)]
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


@pytest.mark.parametrize(("max_tries", "jobs"), [(3, 1), (7, 2)])
def test_a_completed_job_is_not_paid_twice_unless_the_task_was_cleared(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], max_tries: int, jobs: int
) -> None:
    """Airflow crashed after the job had completed. Clearing a task raises `max_tries`."""
    first = operator().execute(context)
    context["ti"].max_tries = max_tries
    again = operator().execute(context)
    assert len(sagemaker.jobs) == jobs
    assert (again["job"] == first["job"]) is (jobs == 1)


@pytest.mark.parametrize("note", [{"name": "vitalprep-harmonize-3-1-1", "max_tries": 3}, "vitalprep-harmonize-3-1-1"])
def test_a_noted_job_that_sagemaker_does_not_know_is_started_anew(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], note: Any
) -> None:
    context["task_state_store"].set("training_job", note)
    assert operator().execute(context)["job"] in sagemaker.jobs


def test_a_job_that_cannot_be_stopped_is_named_with_the_command_that_stops_it(
    sagemaker: SageMakerEndpoint, task_log: Callable[[], list[str]]
) -> None:
    sagemaker.call_faults = [CallFault("StopTrainingJob", "AccessDeniedException", "No.")]
    task = operator()
    task._job = "job-1"
    task.on_kill()
    (line,) = [line for line in task_log() if "was not stopped" in line]
    assert line.endswith("To stop it: aws sagemaker stop-training-job --training-job-name job-1")


def test_no_job_starts_before_a_stopping_one_has_ended(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script["body"] = f"trap '' TERM; echo begun; while ! test -e {go}; do sleep 0.02; done"
    task = operator()
    # The stopped try ends with an error.
    first = threading.Thread(target=lambda: failure_of(task, context), daemon=True)
    first.start()
    until(lambda: sagemaker.jobs and next(iter(sagemaker.jobs.values())).events and task._job)
    task.on_kill()
    second = threading.Thread(target=operator().execute, args=(context,), daemon=True)
    calls = sagemaker.calls["DescribeTrainingJob"]
    second.start()
    until(lambda: sagemaker.calls["DescribeTrainingJob"] > calls + 8)
    assert [job.status for job in sagemaker.jobs.values()] == ["Stopping"]
    go.touch()
    second.join(60)
    first.join(60)
    assert [job.status for job in sagemaker.jobs.values()] == ["Stopped", "Completed"]


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", ""])
def test_a_job_is_followed_without_its_log(
    sagemaker: SageMakerEndpoint,
    context: dict[str, Any],
    code: str,
    task_log: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if code:
        sagemaker.call_faults = [CallFault("DescribeLogStreams", code), CallFault("GetLogEvents", code)]
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://127.0.0.1:9")
    assert operator().execute(context)["billable_seconds"] == 100
    assert len([line for line in task_log() if "cannot be read now" in line]) == 1


def test_a_sagemaker_that_throttles_or_fails_is_asked_again(
    sagemaker: SageMakerEndpoint, context: dict[str, Any]
) -> None:
    sagemaker.call_faults = [
        CallFault("CreateTrainingJob", "ThrottlingException", times=2),
        CallFault("CreateTrainingJob", "InternalFailure", times=2, status=500),
        CallFault("DescribeTrainingJob", "ThrottlingException", times=2),
        CallFault("DescribeTrainingJob", "InternalFailure", times=2, status=500),
    ]
    assert operator().execute(context)["billable_seconds"] == 100
    assert len(sagemaker.jobs) == 1


def test_after_a_long_silence_the_next_try_takes_the_result(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_AWS_PATIENCE", "0.05")
    sagemaker.call_faults = [CallFault("DescribeTrainingJob", "ThrottlingException")]
    assert kind(failure(context)) == "WorkerFailed"
    sagemaker.call_faults = []
    (job,) = sagemaker.jobs.values()
    until(lambda: job.status == "Completed")
    assert operator().execute(context)["job"] == job.name
    assert len(sagemaker.jobs) == 1


def test_the_lost_answer_of_a_started_job_is_no_failure(
    sagemaker: SageMakerEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore asks again, and SageMaker has that name already."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    sagemaker.lost_answers = {"CreateTrainingJob"}
    assert operator().execute(context)["billable_seconds"] == 100
    assert len(sagemaker.jobs) == 1


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
    sagemaker: SageMakerEndpoint,
    context: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    message: str,
    expected: str,
    fix: str,
) -> None:
    monkeypatch.setenv("VITALPREP_AWS_PATIENCE", "0.05")
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
