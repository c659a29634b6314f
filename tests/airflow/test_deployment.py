"""ECS with real containers, and with an Airflow that is killed in the middle. Run by `make test-deployment`."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from aws_endpoint import Container, WorkerProcess
from conftest import REPOSITORY
from ecs_endpoint import EcsEndpoint, Fault
from ecs_settings import ecs_settings
from local_s3 import S3, running_s3
from task_context import until
from test_ecs_runs import digests

from local_airflow.rest import Airflow
from local_airflow.server import noted, start, stop, wait_until_ready

pytestmark = pytest.mark.deployment

IMAGE = "vitalprep-worker:test"
THIS_MACHINE = "host.docker.internal"  # as containers call it
SHARDS = 3
RUN_SECONDS = 300


class DockerContainer:
    """A worker in a container as Fargate runs it: an ordinary user, a read-only root, no capabilities."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = f"vitalprep-ecs-{uuid.uuid4().hex[:12]}"
        told = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        locked = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--memory", "1g"]
        network = ["--add-host", f"{THIS_MACHINE}:host-gateway"]
        self._process = subprocess.Popen(
            ["docker", "run", "--rm", "--name", self.name, *locked, *network, *told, IMAGE, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        yield from self._process.stdout

    def signal(self, number: int) -> None:
        subprocess.run(["docker", "kill", "--signal", str(number), self.name], capture_output=True, check=False)

    def wait(self) -> int:
        return self._process.wait()


@pytest.fixture(scope="module")
def image() -> None:
    """The worker's image of this tree; skips where no engine answers."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no container engine answers (docker info)")
    dockerfile = REPOSITORY / "docker" / "Dockerfile.worker"
    subprocess.run(
        ["docker", "build", "--quiet", "--file", dockerfile, "--tag", IMAGE, REPOSITORY],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def s3(image: None, worker: list[str], recordings: Path) -> Generator[S3]:
    """An S3 server that containers reach over the network, with the recordings in its bucket."""
    with running_s3(worker, host="0.0.0.0") as server:  # noqa: S104  containers are another host
        server.fill("raw", recordings)
        yield server


@pytest.fixture(scope="session")
def undisturbed(worker: list[str], recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the worker makes of the recordings without Airflow and without ECS."""
    output = tmp_path_factory.mktemp("undisturbed")
    here = ["run", "--input", str(recordings), "--output", str(output)]
    subprocess.run([*worker, *here], check=True, capture_output=True)
    return digests(next((output / "datasets").glob("*/validation.json")).parent)


def test_shards_in_containers_two_of_them_interrupted(
    s3: S3, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    there = s3.environment | {"AWS_ENDPOINT_URL": s3.environment["AWS_ENDPOINT_URL"].replace("127.0.0.1", THIS_MACHINE)}
    with EcsEndpoint(DockerContainer, there) as ecs:
        for name, value in (s3.environment | ecs_settings(ecs.url)).items():
            monkeypatch.setenv(name, value)

        def begun() -> bool:
            return any(task.events for task in ecs.tasks)

        ecs.faults = [Fault("interrupt", f"--shard {shard} ", times=1, when=begun) for shard in (0, 1)]
        trigger = request.getfixturevalue("trigger")  # after the settings: the DAG is made for its backend
        run = trigger(input=f"{s3.uri}/raw", output=f"{s3.uri}/out", shards=SHARDS)
        assert run.state == "success", run.states
        assert s3.digests(run.result("plan_shards")["dataset"], ".tfrecord") == undisturbed
        for shard in (0, 1):
            first, second = ecs.runs_of(f"--shard {shard} ")
            assert (first.stop_code, second.exit_code) == ("SpotInterruption", 0)
        assert len(ecs.runs_of("--shard 2 ")) == 1


def test_airflow_is_killed_and_started_again_and_finds_its_containers(
    worker: list[str], recordings: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    """Every process of Airflow gets SIGKILL while containers run; the new one goes on with the same containers."""
    held = tmp_path / "held"
    held.touch()
    script = f'while test -e {held}; do sleep 0.1; done; exec {shlex.join(worker)} "$@"'

    def launch(command: Sequence[str], environment: Mapping[str, str]) -> Container:
        waits = "harmonize" in command
        return WorkerProcess(["/bin/sh", "-c", script, "vitalprep"] if waits else worker, command, environment)

    home = tmp_path / "airflow"
    with EcsEndpoint(launch, {}) as ecs:
        environment = ecs_settings(ecs.url) | {
            "VITALPREP_COMMAND": shlex.join(worker),
            "VITALPREP_INPUT": str(recordings),
            "VITALPREP_SHARDS": str(SHARDS),
            "VITALPREP_RETRIES": "2",
            "VITALPREP_RETRY_DELAY": "1",
            # After how long a task or a scheduler that says nothing is taken for dead; by default five minutes.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        }
        try:
            with _started(home, environment) as airflow:
                run = airflow.trigger(output=str(tmp_path / "out"))
                until(lambda: len(ecs.runs_of("harmonize")) == SHARDS, seconds=120)
            _kill_session(home)
            ecs.described.clear()
            with _started(home, environment) as airflow:
                until(lambda: len(ecs.described) == SHARDS, seconds=120)  # found again
                held.unlink()
                assert airflow.wait(run, seconds=RUN_SECONDS) == "success"
        finally:
            stop(home)
        assert len(ecs.runs_of("harmonize")) == SHARDS, "no container was started a second time"
    dataset = next((tmp_path / "out" / "datasets").glob("*/validation.json")).parent
    assert digests(dataset) == undisturbed


def _started(home: Path, environment: dict[str, str]) -> Airflow:
    from local_airflow.server import free_port

    return wait_until_ready(start(home, port=free_port(), environment=environment))


def _kill_session(home: Path) -> None:
    server = noted(home)
    assert server is not None
    members = [one for one in psutil.process_iter() if _session_of(one.pid) == server.session]
    assert members
    for one in members:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    psutil.wait_procs(members, timeout=30)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
