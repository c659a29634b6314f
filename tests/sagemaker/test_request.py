"""The request for a training job: what SageMaker's own model says of it, and what is refused before AWS is asked."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.pipeline import run_vitalprep
from tests.sagemaker.endpoint import problems
from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError
from vitalprep.sagemaker.follow import EndedJob, refuse_unsuccessful
from vitalprep.sagemaker.ml_folder import failure_text
from vitalprep.sagemaker.patterns import cleaned_tags
from vitalprep.sagemaker.request import JobOptions, console_link, job_name, plan_job, refuse_job_name, step_job

# As the source system was called: six spot machines, at most 26 h of work, at most 52 h of waiting and work.
SOURCE_SYSTEM: dict[str, Any] = {
    "image": "123456789012.dkr.ecr.eu-north-1.amazonaws.com/vitalprep/worker:0.1.0",
    "role": "arn:aws:iam::123456789012:role/vitalprep-sagemaker",
    "region": "eu-north-1",
    "instance_type": "ml.m5.2xlarge",
    "instance_count": 6,
    "spot": True,
    "max_run": 93600,
    "max_wait": 187200,
}
PLAN = "s3://out/runs/2c5263cda312/plan-0123456789ab.json"


def request(**changed: Any) -> dict[str, Any]:
    name = job_name("2c5263cda312", 1)
    options = JobOptions(**(SOURCE_SYSTEM | changed))
    return plan_job(options, name=name, plan_uri=PLAN, dataset_id="2c5263cda312", output_uri="s3://out")


def test_the_source_system_s_flags_become_a_valid_request_for_spot() -> None:
    made = request()
    assert problems(made) == []
    assert made["TrainingJobName"] == "vitalprep-2c5263cda312-1"
    assert made["EnableManagedSpotTraining"] is True
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 93600, "MaxWaitTimeInSeconds": 187200}
    assert made["ResourceConfig"]["InstanceType"] == "ml.m5.2xlarge"
    assert made["ResourceConfig"]["InstanceCount"] == 6
    assert made["HyperParameters"] == {"command": "run-plan", "plan": PLAN}
    assert made["AlgorithmSpecification"]["ContainerEntrypoint"] == ["vitalprep", "sagemaker-job"]
    assert made["OutputDataConfig"]["S3OutputPath"] == "s3://out/sagemaker/"
    assert made["EnableNetworkIsolation"] is False
    assert made["Environment"] == {"AWS_DEFAULT_REGION": "eu-north-1", "VITALPREP_OUTPUT": "s3://out"}
    assert "CheckpointConfig" not in made
    assert {"Key": "vitalprep-dataset", "Value": "2c5263cda312"} in made["Tags"]


HARMONIZE = ("--plan", PLAN, "--shard", "3")
STEP = {
    "--command": "harmonize",
    "--arguments": json.dumps(HARMONIZE),
    "--part": "harmonize-3-1",
    "--output": "s3://out/",
    "--image": SOURCE_SYSTEM["image"],
    "--role": SOURCE_SYSTEM["role"],
    "--region": SOURCE_SYSTEM["region"],
    "--instance-type": "ml.m5.large",
    "--max-run": "14400",
}


def asked(*more: str, **changed: str) -> Any:
    """What ``vitalprep sagemaker-request`` answers to a scheduler."""
    options = STEP | {f"--{name}": value for name, value in changed.items()}
    return run_vitalprep("sagemaker-request", *(word for option in options.items() for word in option), *more)


def test_a_scheduler_s_step_becomes_a_valid_request() -> None:
    answer = asked(
        "--max-wait", "28800", "--tag", "airflow-run=scheduled__2026-11-21T07:00:00+00:00 (ä) a=b" + "x" * 300
    )
    assert answer.exit_code == 0
    made = answer.result["request"]
    assert problems(made) == []
    assert re.fullmatch(r"vitalprep-harmonize-3-1-\d{13}", made["TrainingJobName"])
    assert made["HyperParameters"] == {"command": "harmonize", "arguments": json.dumps(HARMONIZE)}
    assert made["AlgorithmSpecification"]["ContainerEntrypoint"] == ["vitalprep", "sagemaker-job"]
    assert made["OutputDataConfig"] == {"S3OutputPath": "s3://out/sagemaker/"}
    assert made["ResourceConfig"] == {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 14400, "MaxWaitTimeInSeconds": 28800}
    (tag,) = made["Tags"]
    assert tag["Key"] == "airflow-run"
    assert tag["Value"].startswith("scheduled__2026-11-21T07:00:00+00:00 _ä_ a=bxxx")
    assert len(tag["Value"]) == 256


def test_the_deployment_s_tags_stand_beside_the_job_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITALPREP_SAGEMAKER_TAGS", "project=ward, owner=anaesthesia,airflow-run=nobody's")
    made = asked("--tag", "airflow-run=manual__1").result["request"]
    assert problems(made) == []
    told = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert told == {"project": "ward", "owner": "anaesthesia", "airflow-run": "manual__1"}
    refused = asked("--job-tags", "project")
    assert refused.exit_code == 2


def test_a_step_on_demand_waits_for_no_spot() -> None:
    made = asked("--on-demand").result["request"]
    assert problems(made) == []
    assert made["EnableManagedSpotTraining"] is False
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 14400}


def test_a_long_name_keeps_the_time_that_makes_it_new() -> None:
    made = asked(part="a_group.of/" + "harmonize" * 9).result["request"]
    assert problems(made) == []
    assert re.fullmatch(r"vitalprep-a-group-of-harmonize[a-z]*-\d{13}", made["TrainingJobName"])
    assert len(made["TrainingJobName"]) <= 63


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"output": "/data/out"}, "--output is /data/out, which SageMaker's machines do not see."),
        ({"arguments": "--plan x"}, "The hyperparameter `arguments` is '--plan x'."),
        ({"command": "simulate"}, "'simulate' is not one of"),
        ({"tag": "no-value"}, "KEY=VALUE"),
        ({"image": "vitalprep-worker:1"}, "'vitalprep-worker:1' is not in ECR"),
    ],
)
def test_a_step_that_no_job_can_do(changed: dict[str, str], message: str) -> None:
    answer = asked(**changed)
    assert answer.exit_code == 2
    assert message in answer.result["message"]


def test_on_demand_waits_for_no_spot() -> None:
    made = request(spot=False, max_wait=None)
    assert problems(made) == []
    assert made["EnableManagedSpotTraining"] is False
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 93600}


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"TrainingJobName": "-x"}, "TrainingJobName '-x' does not match"),
        ({"RoleArn": "role"}, "RoleArn 'role' does not match"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.3xlarge"}}, "InstanceType 'ml.m5.3xlarge' is not one"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": "1"}}, "Invalid type"),
        ({"HyperParameters": {"plan": "x" * 2501}}, "more than 2500"),
        ({"Spot": True}, 'Unknown parameter in input: "Spot"'),
        ({"Tags": [{"Key": "run", "Value": "manual~1"}]}, "Value 'manual~1' does not match"),
        ({"Tags": [{"Key": "run", "Value": "e\u0301"}]}, "does not match"),
        ({"Tags": [{"Key": "Aws:run", "Value": ""}]}, "begins with aws:"),
        ({"Tags": [{"Key": "a", "Value": ""}] * 2}, "is there twice"),
    ],
)
def test_the_model_that_requests_are_held_against_notices(spoilt: dict[str, Any], said: str) -> None:
    assert said in "; ".join(problems(request() | spoilt))


@pytest.mark.parametrize(
    ("changed", "message", "fix"),
    [
        ({"max_wait": 93599}, "--max-wait is 93599 s and --max-run 93600 s", "give --max-wait 187200"),
        ({"max_wait": None}, "--max-wait is None", "give --max-wait 187200"),
        ({"spot": False}, "--max-wait is for spot capacity", "leave it out"),
        ({"max_run": 0, "max_wait": 0}, "--max-run is 0 s", "28 days"),
        ({"max_run": 2419201}, "--max-run is 2419201 s", "28 days"),
        ({"region": "eu-west-1"}, "The image is in eu-north-1, and the job is to run in eu-west-1", "eu-north-1"),
        ({"image": "vitalprep-worker"}, "'vitalprep-worker' is not in ECR", "VITALPREP_SAGEMAKER_IMAGE"),
        ({"role": "vitalprep-sagemaker"}, "is no ARN of a role", "VITALPREP_SAGEMAKER_ROLE"),
        ({"instance_type": "m5.xlarge"}, "'m5.xlarge' is none of SageMaker's", "ml.m5.xlarge"),
        ({"instance_count": 0}, "0 instances", "1 or more"),
    ],
)
def test_options_that_do_not_fit_together(changed: dict[str, Any], message: str, fix: str) -> None:
    with pytest.raises(UsageError) as refused:
        request(**changed)
    assert message in refused.value.message
    assert fix in refused.value.fix


@pytest.mark.parametrize("name", ["", "-a", "a_b", "a~b", "ä", "a" * 64, f"a{'-' * 62}b", "a\n", "a-"])
def test_job_names_that_sagemaker_does_not_take(name: str) -> None:
    assert problems(request() | {"TrainingJobName": name})
    with pytest.raises(UsageError):
        refuse_job_name(name)


def test_a_refused_job_name_comes_with_one_that_is_taken() -> None:
    with pytest.raises(UsageError, match="a~b") as refused:
        refuse_job_name("a~b_ä")
    assert refused.value.fix == "give up to 63 letters, digits and hyphens, such as a-b."


TEXTS = [
    "manual~2026",
    "é",
    "e\u0301",
    "Ελλ ٣ 東京",
    "a\u00a0b",
    "½ Ⅷ",
    "\U0001f600",
    "a\n\tb",
    "\ud800",
    "aws:x",
    "~" * 300,
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_whatever_a_scheduler_s_names_are_the_request_is_aws_s(text: str) -> None:
    made = step_job(
        JobOptions(**SOURCE_SYSTEM),
        command="build",
        arguments=(),
        part=text,
        output_uri="s3://out",
        tags={"airflow-run": text, f"k{text}": "v", "AWS:" + text: "v"},
        now=datetime(2026, 3, 4, tzinfo=UTC),
    )
    assert problems(made) == []


def test_tags_keep_what_aws_takes() -> None:
    kept = cleaned_tags({"run": "scheduled__2026-11-21T07:00:00+00:00 ä=東/ ٣@½", "e\u0301": "a~b"})
    assert kept == [
        {"Key": "run", "Value": "scheduled__2026-11-21T07:00:00+00:00 ä=東/ ٣@½"},
        {"Key": "é", "Value": "a_b"},
    ]


def test_the_link_is_the_console_s() -> None:
    link = "https://eu-north-1.console.aws.amazon.com/sagemaker/home?region=eu-north-1#/jobs/vitalprep-x"
    assert console_link("vitalprep-x", "eu-north-1") == link


def ended(status: str, secondary: str = "", reason: str = "") -> EndedJob:
    return EndedJob("vitalprep-x", status, secondary or status, reason, 6, training_seconds=1000, billable_seconds=380)


def test_the_saving_is_what_is_not_billed() -> None:
    """As AWS reckons it: (1 - BillableTimeInSeconds / TrainingTimeInSeconds) * 100."""
    assert ended("Completed").saving == pytest.approx(0.62)
    refuse_unsuccessful(ended("Completed"))


@pytest.mark.parametrize(
    ("job", "kind", "message", "fix"),
    [
        (
            ended("Failed", reason=f"AlgorithmError: {failure_text(65, 'Too few.', 'give more.')}, exit code: 65"),
            RefusedError, "The job vitalprep-x failed: Too few.", "give more.",
        ),
        (
            ended("Failed", reason=f"AlgorithmError: {failure_text(2, 'No right.', 'grant it.')}, exit code: 2"),
            RefusedError, "The job vitalprep-x failed: No right.", "grant it.",
        ),
        (
            ended("Failed", reason=f"AlgorithmError: {failure_text(1, 'The disk is full.', 'free space.')}"),
            RetryableError, "The job vitalprep-x failed: The disk is full.", "free space.",
        ),
        (
            ended("Failed", reason="AlgorithmError: , exit code: 137"),
            RetryableError, "exit code: 137", "a larger --instance-type",
        ),
        (
            ended("Failed", reason="CapacityError: Unable to provision requested ML compute capacity."),
            RetryableError, "Unable to provision", "another --instance-type, or --on-demand",
        ),
        (ended("Failed"), RetryableError, "no reason is given", "see its log"),
        (ended("Stopped"), RetryableError, "somebody stopped it", "submit again"),
        (ended("Stopped", "MaxRuntimeExceeded"), RetryableError, "longer than --max-run", "a longer --max-run"),
        (ended("Stopped", "MaxWaitTimeExceeded"), RetryableError, "longer than --max-wait", "--on-demand"),
    ],
)  # fmt: skip
def test_what_the_end_of_a_job_means(job: EndedJob, kind: type[Exception], message: str, fix: str) -> None:
    with pytest.raises(kind) as refused:
        refuse_unsuccessful(job)
    assert message in str(refused.value)
    assert fix in str(refused.value)
