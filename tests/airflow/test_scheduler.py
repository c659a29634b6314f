"""On a real scheduler: one shard fails, is cleared alone with what follows it, and the run completes."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_airflow.rest import Airflow
from local_airflow.server import noted, running

SHARDS = 3
RUN_SECONDS = 120

# The real worker, whose shard 1 is refused while the file "refuse" is there, and waits while "wait" is there.
WORKER = """#!/bin/sh
case "$*" in *"--shard 1 "*)
    if test -e {folder}/refuse; then
        echo '{{"ok": false, "exit_code": 65, "message": "Case 4 changed.", "mend": "Plan again."}}'
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
def airflow(folder: Path, recordings: Path, worker: list[str]) -> Generator[Airflow]:
    """A running Airflow; that no process of it is left behind is tested at the end, and with it the tests' own."""
    script = folder / "worker"
    script.write_text(WORKER.format(folder=folder, worker=shlex.join(worker)))
    script.chmod(0o755)
    environment = {
        "VITALPREP_COMMAND": str(script),
        "VITALPREP_INPUT": str(recordings),
        "VITALPREP_SHARDS": str(SHARDS),
        "VITALPREP_RETRIES": "0",
    }
    home = folder / "airflow"
    with suppress(KeyboardInterrupt), running(home, environment=environment) as client:
        server = noted(home)
        assert server is not None
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


def wait_for(path: Path) -> str:
    end = time.monotonic() + 60
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < end, f"{path.name} was not written"
        time.sleep(0.1)
    return path.read_text()


def test_one_shard_is_cleared_alone_and_the_run_completes(airflow: Airflow, folder: Path) -> None:
    (folder / "refuse").touch()
    run = airflow.trigger(output=str(folder / "output"))
    assert airflow.wait(run, seconds=RUN_SECONDS) == "failed"
    found = states(airflow, run)
    assert [found[f"harmonize[{index}]"] for index in range(SHARDS)] == ["success", "failed", "success"]
    assert found["build"] == "upstream_failed"
    assert found["publish"] == "failed"
    assert not (folder / "output" / "datasets" / "latest.json").exists()
    log = airflow.log_lines(run, "harmonize", 1, map_index=1)
    assert log[-1] == "ERROR harmonize refused (exit 65): Case 4 changed. To mend: Plan again."
    assert "is not built" in airflow.log_lines(run, "publish", 1)[-1]
    assert list((folder / "output" / "runs").rglob("accounting.json"))

    (folder / "refuse").unlink()
    airflow.clear(run, "harmonize", 1)
    assert airflow.wait(run, seconds=RUN_SECONDS) == "success"
    assert set(states(airflow, run).values()) == {"success"}
    assert tries(airflow, run, "harmonize") == [1, 2, 1]
    assert (folder / "output" / "datasets" / "latest.json").exists()
    lines: list[Any] = airflow.log_lines(run, "harmonize", 2, map_index=1)
    assert any("$ vitalprep harmonize" in line for line in lines)


def test_a_check_says_last_why_it_ended_the_run(airflow: Airflow, folder: Path) -> None:
    run = airflow.trigger(output=str(folder / "output"), cases="900")
    assert airflow.wait(run, seconds=RUN_SECONDS) == "success"
    reason = airflow.result(run, "check_enough_cases", key="reason")
    assert "raw_object_missing" in reason
    assert airflow.log_lines(run, "check_enough_cases", 1)[-1] == f"ERROR {reason}"


def test_marking_a_task_failed_stops_its_worker(airflow: Airflow, folder: Path) -> None:
    (folder / "wait").touch()
    run = airflow.trigger(output=str(folder / "other"))
    worker = psutil.Process(int(wait_for(folder / "waiting")))
    airflow.set_failed(run, "harmonize", 1)
    wait_for(folder / "stopped")
    psutil.wait_procs([worker], timeout=5)
    assert not worker.is_running()
    (folder / "wait").unlink()
    assert airflow.wait(run, seconds=RUN_SECONDS) == "failed"
