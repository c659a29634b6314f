"""Whole runs of the DAG on ECS: containers that are interrupted, refused and killed, and the bytes all the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from aws_endpoint import WorkerProcess
from conftest import Run
from ecs_endpoint import BUILDER, WORKER, EcsEndpoint, Fault
from ecs_settings import ecs_settings

SHARDS = 3


@pytest.fixture
def ecs(worker: list[str], monkeypatch: pytest.MonkeyPatch) -> Generator[EcsEndpoint]:
    """An ECS that runs the worker as processes, and an Airflow that is told of it."""
    with EcsEndpoint(lambda command, environment: WorkerProcess(worker, command, environment), {}) as endpoint:
        for name, value in ecs_settings(endpoint.url).items():
            monkeypatch.setenv(name, value)
        yield endpoint


@pytest.fixture
def run(ecs: EcsEndpoint, recordings: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Run]:
    """``run(...)``: a run of the DAG on that ECS."""
    trigger = request.getfixturevalue("trigger")  # after `ecs`: the DAG is made for its backend
    return lambda **conf: trigger(input=str(recordings), output=str(tmp_path / "out"), shards=SHARDS, **conf)


@pytest.fixture
def receipts(tmp_path: Path) -> Callable[[], int]:
    return lambda: len(list((tmp_path / "out").glob("harmonized/*/*.json")))


def digests(dataset: Path) -> dict[str, str]:
    """SHA-256 of the records: the same bytes on every backend."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(dataset.glob("*.tfrecord*"))}


@pytest.fixture(scope="session")
def undisturbed(worker: list[str], recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the worker makes of the recordings without Airflow and without ECS."""
    import json
    import subprocess

    output = tmp_path_factory.mktemp("undisturbed")
    arguments = ["run", "--input", str(recordings), "--output", str(output), "--json"]
    answer = subprocess.run([*worker, *arguments], check=True, capture_output=True, text=True)
    return digests(Path(json.loads(answer.stdout.splitlines()[-1])["dataset"]))


def published(run: Run) -> dict[str, str]:
    assert run.state == "success", run.states
    return digests(Path(run.result("plan_shards")["dataset"]))


def test_a_run(run: Any, ecs: EcsEndpoint, undisturbed: dict[str, str], task_log: Any) -> None:
    result = run()
    assert published(result) == undisturbed
    assert set(result.states.values()) == {"success"}
    assert [task.provider for task in ecs.runs_of("harmonize")] == ["FARGATE_SPOT"] * SHARDS
    assert {task.request["taskDefinition"] for task in ecs.runs_of("harmonize")} == {WORKER}
    for step, tasks in {"build": 3, "publish": 1, "validate": 1}.items():
        ran = ecs.runs_of(f"{step} ")
        assert [(task.provider, task.request["taskDefinition"]) for task in ran] == [("FARGATE", BUILDER)] * tasks
    network = ecs.tasks[0].request["networkConfiguration"]["awsvpcConfiguration"]
    assert network == {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}
    assert sum("harmonized case_id=" in line for line in task_log()) == 10, "each case's line of the containers' logs"
    assert result.result("publish")["written"] == 10, "the last line of the container's log is the task's result"


def test_every_shard_interrupted_once(run: Any, ecs: EcsEndpoint, receipts: Any, undisturbed: dict[str, str]) -> None:
    ecs.faults = [
        Fault("interrupt", f"--shard {shard} ", times=1, when=lambda: receipts() > 0) for shard in range(SHARDS)
    ]
    result = run()
    assert published(result) == undisturbed
    for shard in range(SHARDS):
        assert result.tries[f"harmonize[{shard}]"] == 2
        first, second = ecs.runs_of(f"--shard {shard} ")
        assert first.stop_code == "SpotInterruption"
        assert second.provider == "FARGATE_SPOT"
        assert second.exit_code == 0


def test_all_that_spot_capacity_does_at_once(
    run: Any, ecs: EcsEndpoint, undisturbed: dict[str, str], task_log: Any
) -> None:
    text = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
    ecs.faults = [
        Fault("refuse", "--shard 0 ", times=1, text=text),
        Fault("failure", "--shard 0 ", times=1, text=text),
        Fault("interrupt", "--shard 1 "),
        Fault("interrupt", "--shard 2 ", times=2),
        Fault("memory", "--shard 2 ", times=1),
        Fault("lose", "--split train ", times=1),
    ]
    result = run()
    assert published(result) == undisturbed
    assert [task.provider for task in ecs.runs_of("--shard 0 ")] == ["FARGATE"]
    assert [task.provider for task in ecs.runs_of("--shard 1 ")] == ["FARGATE_SPOT", "FARGATE_SPOT", "FARGATE"]
    assert result.tries["harmonize[0]"] == result.tries["harmonize[1]"] == 3
    assert result.tries["harmonize[2]"] == 4, "one retry is allowed here, and two interruptions did not use it up"
    assert result.tries["build[0]"] == 2
    assert any("Interruption 2; the next try runs on demand." in line for line in task_log())


def test_a_poison_shard_is_given_up_and_named(run: Any, ecs: EcsEndpoint, task_log: Any) -> None:
    """Interruptions may cost tries; failures have only the retries that the deployment allows, here one."""
    ecs.faults = [Fault("memory", "--shard 1 ")]
    result = run()
    assert result.state == "failed"
    assert result.tries["harmonize[1]"] == 2
    assert any(
        "killed because it ran out of memory" in line and "Given up after 2 failures" in line for line in task_log()
    )
    assert result.states["harmonize[0]"] == result.states["harmonize[2]"] == "success"
    assert any("are not harmonized (shards 1)" in line for line in task_log()), "publish says what is missing"
    assert ecs.runs_of("publish ")[0].exit_code == 65
