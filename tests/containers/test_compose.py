"""The compose file as it is: a complete Airflow beside an S3 server, and the DAG triggered over REST."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.containers.conftest import IMAGE, REPOSITORY, docker

DAG = "vitaldb_preprocessing"
COMPOSE = ("docker", "compose", "--file", str(REPOSITORY / "airflow-docker-compose.yaml"), "--profile", "local")


@dataclass(frozen=True)
class System:
    """A started compose project."""

    project: str
    env_file: Path
    port: int
    password: str

    def compose(self, *arguments: str, seconds: float = 300) -> str:
        command = [*COMPOSE, "--project-name", self.project, "--env-file", str(self.env_file), *arguments]
        environment = os.environ | {"AIRFLOW_PORT": str(self.port)}
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds, env=environment, cwd=REPOSITORY
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def call(self, method: str, path: str, content: Any = None, *, token: str | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def system(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    docker("tag", IMAGE, "vitalprep-worker")
    for name in ("airflow", "s3"):
        dockerfile = REPOSITORY / "docker" / f"Dockerfile.{name}"
        docker("build", "--quiet", "--file", dockerfile, "--tag", f"vitalprep-{name}", REPOSITORY)
    env_file = tmp_path_factory.mktemp("compose") / ".env"
    subprocess.run([sys.executable, REPOSITORY / "docker" / "secrets_to_env.py", env_file], check=True)
    made = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    system = System(f"vitalprep-test-{uuid.uuid4().hex[:8]}", env_file, port, made["AIRFLOW_ADMIN_PASSWORD"])
    try:
        system.compose("up", "--detach", "--wait", "--wait-timeout", "480")
        yield system
    finally:
        system.compose("down", "--volumes", "--timeout", "60")


def test_a_triggered_run_ends_in_a_proven_data_set(system: System) -> None:
    token = system.call("POST", "/auth/token", {"username": "admin", "password": system.password})["access_token"]
    run = system.call("POST", f"/api/v2/dags/{DAG}/dagRuns", {"logical_date": None}, token=token)["dag_run_id"]
    end = time.monotonic() + 240
    while (state := system.call("GET", f"/api/v2/dags/{DAG}/dagRuns/{run}", token=token)["state"]) not in (
        "success",
        "failed",
    ):
        assert time.monotonic() < end, f"the run is still {state}"
        time.sleep(2)
    assert state == "success", system.compose("logs", "--tail", "200", "scheduler")
    published = f"/api/v2/dags/{DAG}/dagRuns/{run}/taskInstances/publish/xcomEntries/return_value?deserialize=true"
    dataset = system.call("GET", published, token=token)["value"]["dataset"]
    assert dataset.startswith("s3://vitalprep/output/datasets/")
    answer = system.compose(
        "exec", "--no-TTY", "scheduler", "/opt/vitalprep/bin/vitalprep", "validate", dataset, "--json"
    )
    verdict = json.loads(answer.splitlines()[-1])
    assert verdict["verdict"] == "passed"
    assert verdict["windows"]["train"] > 0
    logs = f"/api/v2/dags/{DAG}/dagRuns/{run}/taskInstances/harmonize/logs/1?map_index=0&full_content=true"
    assert "harmonized" in json.dumps(
        system.call("GET", logs, token=token)
    )  # the API server reads the scheduler's logs


@pytest.mark.parametrize("password", ["admin", "airflow", ""])
def test_there_is_no_default_password(system: System, password: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        system.call("POST", "/auth/token", {"username": "admin", "password": password})
    assert refused.value.code in (400, 401, 422)


def test_without_secrets_nothing_starts(engine: None, tmp_path: Path) -> None:
    empty = tmp_path / ".env"
    empty.touch()
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "POSTGRES"))}
    answer = subprocess.run(
        [*COMPOSE, "--env-file", str(empty), "config"], capture_output=True, text=True, env=bare, check=False
    )
    assert answer.returncode != 0
    assert "run make secrets" in answer.stderr
