"""Following a job whose state and log AWS does not always give."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.sagemaker.endpoint import GROUP, KEYS, REGION, Job, SageMaker, sagemaker
from vitalprep.runtime.errors import RetryableError, Stopped, UsageError
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker import follow as following
from vitalprep.sagemaker import pauses
from vitalprep.sagemaker.follow import EndedJob, follow

THROTTLED = (400, "ThrottlingException", "Rate exceeded")
DENIED = (400, "AccessDeniedException", "not authorized to perform logs")
REQUEST: dict[str, Any] = {"TrainingJobName": "done", "ResourceConfig": {"InstanceCount": 1}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMaker]:
    """SageMaker with a completed job, whose first host said three things."""
    with sagemaker(tmp_path_factory.mktemp("jobs")) as application:
        application.jobs["done"] = Job(REQUEST, application.folder, {}, status="Completed", secondary="Completed")
        logs = client(application, "logs")
        if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:  # all servers of a process share it
            logs.create_log_group(logGroupName=GROUP)
        said(logs, "done/algo-1-1", "one", "two", "three")
        yield application


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, served: SageMaker) -> None:
    """Nothing waits for CloudWatch, and log lines reach the test."""
    monkeypatch.setattr(following, "LAST_LINES", 0)
    monkeypatch.setattr(pauses, "FIRST", 0.01)
    monkeypatch.setattr(logging.getLogger("vitalprep"), "propagate", True)
    caplog.set_level(logging.INFO, "vitalprep")
    served.faults, served.log_answers, served.describe_answer = 0, [], None


def client(application: SageMaker, service: str) -> Any:
    """A client that does not try again."""
    keys = {name.lower(): value for name, value in KEYS.items()}
    where = {"endpoint_url": application.environment["AWS_ENDPOINT_URL"], "region_name": REGION}
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}), **where, **keys)


def said(logs: Any, stream: str, *lines: str) -> None:
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def followed(served: SageMaker, name: str = "done", stop: StopRequest | None = None) -> EndedJob:
    return follow(name, sagemaker=client(served, "sagemaker"), logs=client(served, "logs"), stop=stop or StopRequest())


def shown(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    records = dict.fromkeys(caplog.records)  # each once: another test's logger may hand them over twice
    return [record.getMessage() for record in records if record.levelno == level]


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [THROTTLED],
        [None, THROTTLED],
        [None, None, THROTTLED],
        [None, None, None, THROTTLED],
        [(503, "ServiceUnavailable", "")],
    ],
)
def test_each_line_of_a_completed_job_is_shown_once_whatever_fails_meanwhile(
    served: SageMaker, answers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    served.log_answers = list(answers)
    assert followed(served).status == "Completed"
    assert [line for line in shown(caplog, logging.INFO) if line.startswith("algo-1: ")] == [
        "algo-1: one", "algo-1: two", "algo-1: three",
    ]  # fmt: skip
    warned = shown(caplog, logging.WARNING)
    assert len(warned) == bool(answers)
    assert all(line.endswith("The job does not depend on its log.") for line in warned)


@pytest.mark.parametrize("refusal", [THROTTLED, DENIED, (500, "InternalFailure", "")])
def test_a_log_that_never_comes_is_warned_of_once_and_decides_nothing(
    served: SageMaker, refusal: tuple[int, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    served.faults, served.log_answers = 1, [refusal] * 9
    assert followed(served).status == "Completed"
    warned = [line for line in shown(caplog, logging.WARNING) if "read the log" in line]
    assert len(warned) == 1
    assert f"Could not read the log of done: AWS answered {refusal[1]}" in warned[0]
    assert len(served.log_answers) == (8 if refusal == DENIED else 6), "what is denied is not asked for again"


def test_a_state_that_cannot_be_asked_for_is_warned_of_once(
    served: SageMaker, caplog: pytest.LogCaptureFixture
) -> None:
    served.faults = 2
    assert followed(served).status == "Completed"
    [warned] = shown(caplog, logging.WARNING)
    assert warned.startswith("Could not look at the training job done: AWS answered ServiceUnavailable")


def test_aws_out_of_reach_for_long_leaves_the_job_alone(served: SageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE", 0)
    served.faults = 9
    with pytest.raises(RetryableError, match="done goes on"):
        followed(served)


def test_credentials_that_expire_leave_the_job_alone(served: SageMaker) -> None:
    served.describe_answer = (400, "ExpiredTokenException", "The security token included in the request is expired")
    with pytest.raises(UsageError, match="done goes on") as refused:
        followed(served)
    assert "sign in again" in refused.value.fix


def test_who_stops_following_is_told_how_to_go_on(served: SageMaker) -> None:
    served.jobs["runs"] = Job(REQUEST, served.folder, {})
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(Stopped, match="the job runs goes on") as stopped:
        followed(served, "runs", stop)
    assert "with --wait follows it and starts no second job" in stopped.value.fix
    assert f"aws sagemaker stop-training-job --training-job-name runs --region {REGION}" in stopped.value.fix
    assert not served.jobs["runs"].stopping


def test_a_job_began_with_its_last_attempt(served: SageMaker) -> None:
    starts = [(100, "Starting"), (200, "Training"), (300, "Interrupted"), (400, "Training"), (500, "Uploading")]
    steps = [{"Status": status, "StartTime": at, "StatusMessage": ""} for at, status in starts]
    request = REQUEST | {"TrainingJobName": "twice", "SecondaryStatusTransitions": steps, "TrainingStartTime": 200}
    served.jobs["twice"] = Job(request, served.folder, {}, status="Failed", secondary="Failed")
    ended = followed(served, "twice")
    assert ended.started is not None
    assert ended.started.timestamp() == 400
    assert ended.arn.endswith(":training-job/twice")
