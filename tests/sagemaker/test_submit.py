"""`vitalprep submit` where nothing runs: moto's SageMaker, which takes a job and calls it completed at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.pipeline import BUCKET, COMMAND, Answer, run_vitalprep, s3_client
from tests.sagemaker.endpoint import REGION, problems
from vitalprep.cli.options import plan_request
from vitalprep.plan.make_plan import PlanRequest
from vitalprep.runtime.errors import Stopped, UsageError
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker.request import JobOptions
from vitalprep.sagemaker.submit import preview
from vitalprep.sagemaker.submit import submit as start_job

IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/vitalprep/worker:0.1.0"
ROLE = "arn:aws:iam::123456789012:role/vitalprep-sagemaker"
DESCRIBED = ("TrainingJobName", "HyperParameters", "RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition")


@pytest.fixture(scope="module")
def raw(recordings: Path, s3_environment: dict[str, str]) -> str:
    client = s3_client(s3_environment)
    for path in recordings.rglob("*"):
        if path.suffix in (".vital", ".csv"):
            client.upload_file(str(path), BUCKET, f"submitted/{path.relative_to(recordings)}")
    return f"s3://{BUCKET}/submitted"


def submit(raw: str, environment: dict[str, str], *options: str) -> Answer:
    where = ("--input", raw, "--output", f"s3://{BUCKET}/moto", "--image", IMAGE, "--role", ROLE, "--region", REGION)
    return run_vitalprep("submit", *where, *options, environment=environment)


def test_the_documented_variables_stand_for_the_options(raw: str, s3_environment: dict[str, str]) -> None:
    variables = {
        "VITALPREP_INPUT": raw,
        "VITALPREP_OUTPUT": f"s3://{BUCKET}/moto",
        "VITALPREP_SAGEMAKER_IMAGE": IMAGE,
        "VITALPREP_SAGEMAKER_ROLE": ROLE,
        "AWS_DEFAULT_REGION": REGION,
    }
    command = ("submit", "--cases", "1-14", "--instance-count", "2", "--use-spot", "--dry-run")
    made = run_vitalprep(*command, environment=s3_environment | variables)
    assert made.exit_code == 0, made.result
    assert made.result["request"]["RoleArn"] == ROLE
    for name in variables.keys() - {"AWS_DEFAULT_REGION"}:
        rest = {key: value for key, value in variables.items() if key != name}
        missing = run_vitalprep(*command, environment=s3_environment | rest)
        assert missing.exit_code == 2
        assert f"set {name}: `make env-from-terraform`" in missing.result["fix"]


def test_sagemaker_has_the_job_and_a_completed_one_without_a_data_set_is_no_success(
    raw: str, s3_environment: dict[str, str]
) -> None:
    options = ("--cases", "1-9", "--instance-count", "6", "--instance-type", "ml.m5.2xlarge", "--use-spot")
    times = ("--max-run", "93600", "--max-wait", "187200")
    submitted = submit(raw, s3_environment, *options, *times)
    assert submitted.exit_code == 0, submitted.result
    name = submitted.result["job"]
    assert name == f"vitalprep-{submitted.result['dataset_id']}-1"
    assert submitted.result["console"].endswith(f"#/jobs/{name}")
    assert (submitted.result["cases"], submitted.result["finished_cases"]) == (9, 0)

    client = boto3.client(
        "sagemaker", region_name=REGION, endpoint_url=s3_environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    described: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
    dry = submit(raw, s3_environment, *options, *times, "--job-name", name, "--dry-run").result["request"]
    assert {key: described[key] for key in DESCRIBED} == {key: dry[key] for key in DESCRIBED}
    assert described["EnableManagedSpotTraining"] is True
    assert problems(dry) == []
    plan = described["HyperParameters"]["plan"].removeprefix(f"s3://{BUCKET}/")
    assert s3_client(s3_environment).head_object(Bucket=BUCKET, Key=plan)["ContentLength"] > 0

    waited = submit(raw, s3_environment, *options, "--wait")
    assert waited.exit_code == 65
    assert "has no verdict" in waited.result["message"]


def test_max_wait_is_twice_max_run_unless_said(raw: str, s3_environment: dict[str, str]) -> None:
    dry = submit(raw, s3_environment, "--max-run", "7200", "--dry-run").result["request"]
    assert dry["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}
    assert dry["EnableManagedSpotTraining"] is True
    on_demand = submit(raw, s3_environment, "--on-demand", "--dry-run").result["request"]
    assert on_demand["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}


def asked(raw: str, **changed: Any) -> PlanRequest:
    what: dict[str, Any] = {"input_uri": raw, "cases": None, "clinical": None, "config_file": None, "settings": ()}
    what |= {"append_to": None, "shards": 1, "sharding": "modulo"}
    return plan_request(f"s3://{BUCKET}/refused", **(what | changed))


def options(instances: int) -> JobOptions:
    return JobOptions(
        image=IMAGE, role=ROLE, region=REGION, instance_type="ml.m5.xlarge", instance_count=instances, spot=False,
        max_run=60, max_wait=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input_uri": "recordings"}, "which SageMaker's machines do not see"),
        ({"settings": ("privacy.hash_subjects=true",)}, "SageMaker shows a job's environment"),
        ({"cases": "1-9"}, "10 instances for 9 cases"),
        ({"name": "vital_prep"}, "'vital_prep' is not one that SageMaker takes"),
    ],
)
def test_what_would_fail_there_is_refused_here(
    changed: dict[str, Any], message: str, raw: str, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in s3_environment.items():
        monkeypatch.setenv(variable, value)
    name = changed.get("name")
    request = asked(raw, shards=10, **{key: value for key, value in changed.items() if key != "name"})
    with pytest.raises(UsageError, match=message):
        preview(request, f"s3://{BUCKET}/refused", options(10), name=name)


def test_a_stop_while_it_plans_starts_no_job(
    raw: str, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in s3_environment.items():
        monkeypatch.setenv(variable, value)
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(Stopped, match="no job was started"):
        start_job(asked(raw), f"s3://{BUCKET}/refused", options(1), name=None, sagemaker=None, stop=stop)


def test_times_are_checked_before_anything_is_planned(s3_environment: dict[str, str]) -> None:
    refused = submit("s3://no-such-bucket/raw", s3_environment, "--max-run", "7200", "--max-wait", "3600")
    assert refused.exit_code == 2
    assert refused.result["message"].startswith("--max-wait is 3600 s and --max-run 7200 s")


def test_without_boto3_it_names_the_extra_before_anything_is_planned() -> None:
    code = f"import sys; sys.modules['boto3'] = None; {COMMAND[-1]}"
    where = ("--input", "s3://none/in", "--output", "s3://none/out", "--image", IMAGE, "--role", ROLE)
    process = subprocess.run(
        [COMMAND[0], "-c", code, "submit", *where, "--region", REGION],
        env=os.environ | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert process.returncode == 2
    assert "install the extra `aws`" in process.stderr


def test_settings_of_the_environment_that_are_missing_are_named() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("VITALPREP_")}
    process = subprocess.run([*COMMAND, "submit"], env=own, capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 2
    assert "VITALPREP_INPUT" in process.stderr
