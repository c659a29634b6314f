"""What Terraform made becomes lines of ``.env``, and nothing else in that file changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "terraform" / "env_from_terraform.py"


def env_from_terraform(path: Path, outputs: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, path], input=outputs, capture_output=True, text=True, check=False)


def outputs(**variables: object) -> str:
    return json.dumps({"environment": {"value": variables}, "airflow_role": {"value": "arn:aws:iam::1:role/x"}})


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    done = env_from_terraform(env, outputs(AWS_DEFAULT_REGION="eu-north-1", VITALPREP_ECS_SUBNETS="subnet-1,subnet-2"))
    assert done.returncode == 0, done.stderr
    assert env.read_text() == "AWS_DEFAULT_REGION=eu-north-1\nVITALPREP_ECS_SUBNETS=subnet-1,subnet-2\n"
    assert env.stat().st_mode & 0o777 == 0o600


def test_other_lines_stay_and_old_values_go(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(
        "# ours\nPOSTGRES_PASSWORD=x=y\nVITALPREP_BACKEND=local\nVITALPREP_SHARDS=8\nVITALPREP_BACKEND=twice"
    )
    env.chmod(0o640)
    assert env_from_terraform(env, outputs(VITALPREP_BACKEND="ecs", VITALPREP_INPUT="s3://b/raw")).returncode == 0
    after = "# ours\nPOSTGRES_PASSWORD=x=y\nVITALPREP_BACKEND=ecs\nVITALPREP_SHARDS=8\nVITALPREP_INPUT=s3://b/raw\n"
    assert env.read_text() == after
    assert env.stat().st_mode & 0o777 == 0o640
    assert env_from_terraform(env, outputs(VITALPREP_BACKEND="ecs", VITALPREP_INPUT="s3://b/raw")).returncode == 0
    assert env.read_text() == after
    assert list(tmp_path.iterdir()) == [env]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "terraform apply"),
        ("{}", "terraform apply"),
        (outputs(VITALPREP_INPUT="s3://b/raw data"), "VITALPREP_INPUT"),
        (outputs(VITALPREP_INPUT="x\nPATH=/evil"), "VITALPREP_INPUT"),
        (outputs(VITALPREP_INPUT="$HOME"), "VITALPREP_INPUT"),
        (outputs(VITALPREP_INPUT=None), "VITALPREP_INPUT"),
        (outputs(**{"bad name": "x"}), "bad name"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(tmp_path: Path, text: str, named: str) -> None:
    env = tmp_path / ".env"
    env.write_text("POSTGRES_PASSWORD=x\n")
    done = env_from_terraform(env, text)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Fix: " in done.stderr
    assert env.read_text() == "POSTGRES_PASSWORD=x\n"
