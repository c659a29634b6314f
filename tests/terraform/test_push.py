"""`make push` builds the worker's image under the name and for the architecture that Terraform knows."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGE = "registry.example/vitalprep-worker:0.1.0"


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_the_image_gets_terraform_s_name_and_platform(tmp_path: Path, platform: str) -> None:
    """The programs it calls are stand-ins that say how they were called; containers and accounts are not needed."""
    outputs = json.dumps({"VITALPREP_SAGEMAKER_IMAGE": IMAGE, "AWS_DEFAULT_REGION": "eu-west-1"})
    calls = tmp_path / "calls"
    programs = {
        "terraform": f"case \"$*\" in *platform*) echo {platform};; *) echo '{outputs}';; esac",
        "aws": "echo password",
        "docker": 'if test "$1" = login; then test "$(cat)" = password; fi',
    }
    for name, body in programs.items():
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho {name} "$@" >> {calls}\n{body}\n')
        script.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["make", "push"], cwd=REPOSITORY, env=environment, check=True, capture_output=True)
    made = [line for line in calls.read_text().splitlines() if not line.startswith("terraform")]
    assert sorted(made[:2]) == [
        "aws ecr get-login-password --region eu-west-1",
        "docker login --username AWS --password-stdin registry.example",
    ]
    assert made[2:] == [
        f"docker build --platform {platform} --file docker/Dockerfile.worker --tag {IMAGE} .",
        f"docker push {IMAGE}",
    ]
