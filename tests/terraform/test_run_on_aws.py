"""`make run-on-aws` starts one task that does a whole run, or says why none was started."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ARN = "arn:aws:ecs:eu-west-1:111122223333:task/vitalprep/0123456789abcdef"
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "VITALPREP_INPUT": "s3://raw/raw-data",
    "VITALPREP_OUTPUT": "s3://out",
    "VITALPREP_ECS_CLUSTER": "vitalprep",
    "VITALPREP_ECS_CONTAINER": "vitalprep",
    "VITALPREP_ECS_SUBNETS": "subnet-1,subnet-2",
    "VITALPREP_ECS_SECURITY_GROUPS": "sg-1",
    "VITALPREP_ECS_ASSIGN_PUBLIC_IP": "true",
    "VITALPREP_ECS_LOG_GROUP": "/vitalprep/tasks",
    "VITALPREP_ECS_LOG_STREAM_PREFIX": "task",
}
STARTED: dict[str, Any] = {"tasks": [{"taskArn": ARN}], "failures": []}


def make(
    folder: Path, *arguments: str, aws: str = json.dumps(STARTED), runner: str = "vitalprep-runner", **changed: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the target with stand-ins for Terraform and AWS; return how it ended, and how aws was called."""
    outputs = {"environment": {"value": ENVIRONMENT | changed}} | ({"runner_task": {"value": runner}} if runner else {})
    (folder / "outputs.json").write_text(json.dumps(outputs))
    (folder / "answer").write_text(aws)
    calls = folder / "calls"
    answer = folder / "answer"
    body = f'for word in "$@"; do printf "%s\\0" "$word"; done >> {calls}; cat {answer}; test -s {answer}'
    for name, text in {"terraform": f"cat {folder / 'outputs.json'}", "aws": body}.items():
        script = folder / name
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    command = ["make", "--silent", "run-on-aws", f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True)
    return done, calls.read_text().split("\0")[:-1] if calls.exists() else []


def options(words: list[str]) -> dict[str, str]:
    assert words[:2] == ["ecs", "run-task"]
    return dict(zip(words[2::2], words[3::2], strict=True))


def test_one_task_does_the_whole_run(tmp_path: Path) -> None:
    done, words = make(tmp_path, "CASES=1-3000", "RUN=--set windowing.step=60")
    assert done.returncode == 0, done.stderr
    asked = options(words)
    assert (asked["--cluster"], asked["--task-definition"]) == ("vitalprep", "vitalprep-runner")
    assert asked["--capacity-provider-strategy"] == "capacityProvider=FARGATE,weight=1"
    assert asked["--propagate-tags"] == "TASK_DEFINITION"
    assert json.loads(asked["--network-configuration"])["awsvpcConfiguration"] == {
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroups": ["sg-1"],
        "assignPublicIp": "ENABLED",
    }
    [container] = json.loads(asked["--overrides"])["containerOverrides"]
    told = "run --input s3://raw/raw-data --output s3://out --cases 1-3000 --set windowing.step=60 --json"
    assert container == {"name": "vitalprep", "command": told.split()}


def test_it_says_how_to_see_log_and_end(tmp_path: Path) -> None:
    done, _ = make(tmp_path)
    assert ARN in done.stdout
    assert "--log-stream-names task/vitalprep/0123456789abcdef --follow" in done.stdout
    assert "--tasks 0123456789abcdef --query 'tasks[0].[lastStatus, containers[0].exitCode" in done.stdout


def test_a_dry_run_prints_the_command_and_starts_nothing(tmp_path: Path) -> None:
    done, called = make(
        tmp_path, "RUN=--dry-run --spot --input s3://theirs/raw", VITALPREP_ECS_ASSIGN_PUBLIC_IP="false"
    )
    assert (done.returncode, called) == (0, [])
    asked = options(shlex.split(done.stdout)[1:])
    assert asked["--capacity-provider-strategy"] == "capacityProvider=FARGATE_SPOT,weight=1"
    assert '"assignPublicIp": "DISABLED"' in asked["--network-configuration"]
    [container] = json.loads(asked["--overrides"])["containerOverrides"]
    assert container["command"] == ["run", "--output", "s3://out", "--input", "s3://theirs/raw", "--json"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"aws": json.dumps({"tasks": [], "failures": [{"reason": "RESOURCE:CPU"}]})}, "RESOURCE:CPU"),
        ({"aws": ""}, "AWS refused the task"),
        ({"runner": ""}, "terraform apply"),
    ],
)
def test_it_says_why_nothing_was_started(tmp_path: Path, given: dict[str, str], named: str) -> None:
    done, _ = make(tmp_path, **given)
    assert done.returncode != 0
    assert named in done.stderr
    assert "Fix: " in done.stderr
    assert "Started" not in done.stdout


def test_the_worker_knows_the_options(tmp_path: Path) -> None:
    """What stands in the command is parsed by the worker: it fails at the place, not at a word of the command."""
    done, words = make(tmp_path, "CASES=1-3", f"RUN=--input {tmp_path / 'none'} --output {tmp_path / 'out'}")
    assert done.returncode == 0
    [container] = json.loads(options(words)["--overrides"])["containerOverrides"]
    worker = subprocess.run(
        [REPOSITORY / ".venv" / "bin" / "vitalprep", *container["command"]], capture_output=True, text=True, check=False
    )
    assert str(tmp_path / "none") in json.loads(worker.stdout.splitlines()[-1])["message"]
