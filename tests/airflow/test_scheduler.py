"""On a real scheduler and triggerer: one shard fails, is cleared alone with what follows it, and the run completes.

Recordings that arrive begin a run by themselves.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from aws_endpoint import WorkerProcess
from ecs_endpoint import EcsEndpoint
from ecs_settings import ecs_settings

from local_airflow.rest import Airflow
from local_airflow.server import noted, running

SHARDS = 3
RUN_SECONDS = 600
LOOK_SECONDS = 4

CONTAINERS = """
from airflow.sdk import DAG

from vitalprep_airflow.backends.ecs_operator import EcsWorkerOperator
from vitalprep_airflow.step import Step

with DAG("containers", schedule=None):
    steps = [Step(command="harmonize", arguments=()).mapped() for _ in range(2)]
    EcsWorkerOperator.partial(task_id="container", retries=0).expand_kwargs(steps)
"""
# A container whose work goes on until the file "done" is there.
CONTAINER = """
trap 'exit 143' TERM
echo begun
while ! test -e {folder}/done; do sleep 0.1; done
echo '{{"ok": true}}'
"""

# The real worker, whose shard 1 is refused while the file "refuse" is there, and waits while "wait" is there.
WORKER = """#!/bin/sh
case "$*" in *"--shard 1 "*)
    if test -e {folder}/refuse; then
        echo '{{"ok": false, "exit_code": 65, "message": "Case 4 changed.", "fix": "Plan again."}}'
        exit 65
    fi
    if test -e {folder}/wait; then
        trap 'echo stopped > {folder}/stopped; exit 143' TERM
        echo $$ > {folder}/waiting
        while :; do sleep 0.1; done
    fi;;
esac
exec {worker} "$@"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scheduler")


@pytest.fixture(scope="module")
def ecs(folder: Path) -> Generator[EcsEndpoint]:
    def launch(command: Any, environment: Any) -> WorkerProcess:
        return WorkerProcess(["/bin/sh", "-c", CONTAINER.format(folder=folder), "vitalprep"], command, environment)

    with EcsEndpoint(launch, {}) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def airflow(folder: Path, recordings: Path, worker: list[str], ecs: EcsEndpoint) -> Generator[Airflow]:
    """A running Airflow; that no process of it is left behind is tested at the end, and with it the tests' own."""
    script = folder / "worker"
    script.write_text(WORKER.format(folder=folder, worker=shlex.join(worker)))
    script.chmod(0o755)
    (folder / "dags").mkdir()
    (folder / "dags" / "containers.py").write_text(CONTAINERS)
    bundle = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": "dags-folder", "classpath": bundle, "kwargs": {}},
        {"name": "containers", "classpath": bundle, "kwargs": {"path": str(folder / "dags")}},
    ]
    environment = ecs_settings(ecs.url) | {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "VITALPREP_BACKEND": "local",
        "VITALPREP_ECS_POLL_SECONDS": "3",
        "VITALPREP_COMMAND": str(script),
        "VITALPREP_SCHEDULE": "@arrival",
        "VITALPREP_ARRIVAL_SECONDS": str(LOOK_SECONDS),
        "VITALPREP_INPUT": str(folder / "arriving"),
        "VITALPREP_OUTPUT": str(folder / "arrived"),
        "VITALPREP_SHARDS": str(SHARDS),
        "VITALPREP_RETRIES": "0",
    }
    home = folder / "airflow"
    with suppress(KeyboardInterrupt), running(home, environment=environment) as client:
        server = noted(home)
        assert server is not None
        client.unpause()
        yield client
        raise KeyboardInterrupt
    assert [pid for pid in psutil.pids() if session_of(pid) == server.session] == []
    assert noted(home) is None


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def states(airflow: Airflow, run: str) -> dict[str, str]:
    return {
        task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): task["state"]
        for task in airflow.tasks(run)
    }


def tries(airflow: Airflow, run: str, task: str) -> list[int]:
    found = [one for one in airflow.tasks(run) if one["task_id"] == task]
    return [one["try_number"] for one in sorted(found, key=lambda one: one["map_index"])]


def wait_until(ready: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 300
    while not ready():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def wait_for(path: Path) -> str:
    wait_until(lambda: path.exists() and path.read_text().strip(), f"{path.name} was not written")
    return path.read_text()


def begun_by_arrival(airflow: Airflow) -> list[str]:
    """The runs that nobody triggered, the oldest first."""
    return [run["dag_run_id"] for run in reversed(airflow.runs()) if run["run_type"] == "asset_triggered"]


def test_one_shard_is_cleared_alone_and_the_run_completes(airflow: Airflow, folder: Path, recordings: Path) -> None:
    (folder / "refuse").touch()
    run = airflow.trigger(input=str(recordings), output=str(folder / "output"))
    assert airflow.wait(run, seconds=RUN_SECONDS) == "failed"
    found = states(airflow, run)
    assert [found[f"harmonize[{index}]"] for index in range(SHARDS)] == ["success", "failed", "success"]
    assert found["build"] == "upstream_failed"
    assert found["publish"] == "failed"
    assert not (folder / "output" / "datasets" / "latest.json").exists()
    log = airflow.log_lines(run, "harmonize", 1, map_index=1)
    assert log[-1] == "ERROR harmonize refused (exit 65): Case 4 changed. Fix: Plan again."
    assert "is not built" in airflow.log_lines(run, "publish", 1)[-1]
    assert list((folder / "output" / "runs").rglob("accounting.json"))

    (folder / "refuse").unlink()
    airflow.clear(run, "harmonize", 1)
    assert airflow.wait(run, seconds=RUN_SECONDS) == "success"
    assert set(states(airflow, run).values()) == {"success"}
    assert tries(airflow, run, "harmonize") == [1, 2, 1]
    assert tries(airflow, run, "shards_ended") == [2], "publish waits for the cleared shard"
    assert (folder / "output" / "datasets" / "latest.json").exists()
    lines: list[Any] = airflow.log_lines(run, "harmonize", 2, map_index=1)
    assert any("$ vitalprep harmonize" in line for line in lines)


def test_a_check_says_last_why_it_ended_the_run(airflow: Airflow, folder: Path, recordings: Path) -> None:
    run = airflow.trigger(input=str(recordings), output=str(folder / "output"), cases="900")
    assert airflow.wait(run, seconds=RUN_SECONDS) == "success"
    reason = airflow.result(run, "check_enough_cases", key="reason")
    assert "raw_object_missing" in reason
    assert airflow.log_lines(run, "check_enough_cases", 1)[-1] == f"ERROR {reason}"


def test_marking_a_task_failed_stops_its_worker(airflow: Airflow, folder: Path, recordings: Path) -> None:
    (folder / "wait").touch()
    run = airflow.trigger(input=str(recordings), output=str(folder / "other"))
    worker = psutil.Process(int(wait_for(folder / "waiting")))
    airflow.set_failed(run, "harmonize", 1)
    wait_for(folder / "stopped")
    psutil.wait_procs([worker], timeout=5)
    assert not worker.is_running()
    (folder / "wait").unlink()
    assert airflow.wait(run, seconds=RUN_SECONDS) == "failed"


def test_ending_a_task_that_waits_for_a_container_stops_the_container(
    airflow: Airflow, folder: Path, ecs: EcsEndpoint
) -> None:
    """The task waits in the triggerer; a person marks it as failed, or clears it."""
    with Airflow(airflow.url, dag="containers") as containers:
        wait_until(containers.is_healthy, "the DAG of the containers is not parsed")
        run = containers.trigger()
        wait_until(lambda: len(ecs.described) == 2, "the triggerer does not wait for both")
        assert set(states(containers, run).values()) == {"deferred"}
        failed, cleared = sorted(ecs.tasks, key=lambda task: task.request["tags"][2]["value"])
        containers.set_failed(run, "container", 0)
        containers.clear(run, "container", 1)
        wait_until(lambda: (failed.exit_code, cleared.exit_code) == (143, 143), "the containers were not stopped")
        wait_until(lambda: len(ecs.described) == 3, "the cleared task did not begin anew")
        (folder / "done").touch()
        assert containers.wait(run, seconds=RUN_SECONDS) == "failed"
        assert states(containers, run) == {"container[0]": "failed", "container[1]": "success"}
        assert ecs.tasks[2].exit_code == 0
        assert "INFO begun" in containers.log_lines(run, "container", 2, map_index=1), "its log is the task's log"


def test_recordings_that_arrive_begin_a_run(airflow: Airflow, folder: Path, recordings: Path) -> None:
    """One for what keeps an input from being planned, so that people are told; then one for each thing that is new."""
    wait_until(lambda: begun_by_arrival(airflow), "the missing input began no run")
    (first,) = begun_by_arrival(airflow)
    assert airflow.wait(first, seconds=RUN_SECONDS) == "success"
    assert "arriving" in airflow.result(first, "check_raw_data", key="reason")

    arriving = folder / "arriving"
    shutil.copytree(recordings, arriving)
    wait_until(lambda: len(begun_by_arrival(airflow)) == 2, "the recordings began no run")
    second = begun_by_arrival(airflow)[1]
    assert airflow.wait(second, seconds=RUN_SECONDS) == "success"
    assert airflow.result(second, "plan_shards")["cases"]["present"] == len(list(arriving.rglob("*.vital")))
    assert airflow.result(second, "dataset_ready") is not None

    replaced, other, *_ = sorted(arriving.rglob("*.vital"))
    replaced.touch()
    time.sleep(4 * LOOK_SECONDS)
    assert len(begun_by_arrival(airflow)) == 2, "nothing is new: a copy of a recording is recognized"
    replaced.write_bytes(other.read_bytes())
    wait_until(lambda: len(begun_by_arrival(airflow)) == 3, "a replaced recording began no run")
    third = begun_by_arrival(airflow)[2]
    assert airflow.wait(third, seconds=RUN_SECONDS) == "success"
    assert sum(shard["unfinished"] for shard in airflow.result(third, "plan_shards")["shards"]) == 1
