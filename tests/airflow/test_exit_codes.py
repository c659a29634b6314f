"""What a worker's exit code means to the scheduler. Real processes, real retries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

WHERE = {"input": "/nowhere", "output": "/nowhere"}


def started(calls: Path, command: str) -> int:
    return calls.read_text().split().count(command)


@pytest.mark.parametrize("code", [2, 65])
def test_refused_is_not_retried(trigger: Any, fake_worker: Any, code: int, task_log: Any) -> None:
    answer = json.dumps({"ok": False, "exit_code": code, "message": "Case 1 changed.", "fix": "Plan again."})
    calls = fake_worker(harmonize=f"echo '{answer}'; exit {code}")
    run = trigger(**WHERE)
    assert run.states["harmonize[0]"] == "failed"
    assert run.tries["harmonize[0]"] == started(calls, "harmonize") == 1
    assert f"harmonize refused (exit {code}): Case 1 changed. Fix: Plan again." in task_log()


@pytest.mark.parametrize("end", ["exit 1", "exit 143", "kill -KILL $$", "kill -TERM $$"])
def test_failed_is_retried_and_may_succeed(trigger: Any, fake_worker: Any, tmp_path: Path, end: str) -> None:
    again = tmp_path / "again"
    calls = fake_worker(harmonize=f"""test -e {again} || {{ touch {again}; {end}; }}; echo '{{"ok": true}}'""")
    run = trigger(**WHERE)
    assert run.state == "success"
    assert run.tries["harmonize[0]"] == started(calls, "harmonize") == 2


def test_retries_end_and_the_accounting_is_still_written(trigger: Any, fake_worker: Any) -> None:
    """It is written when all shards have ended: the first one is lost at once, the second one after its retry."""
    harmonize = 'case "$*" in *"--shard 0"*) exit 65;; *) exit 1;; esac'
    calls = fake_worker(shards=2, harmonize=harmonize, publish="exit 65")
    run = trigger(**WHERE)
    assert run.state == "failed"
    assert calls.read_text().split()[4:] == ["harmonize", "harmonize", "harmonize", "publish"]
    assert (run.tries["harmonize[0]"], run.tries["harmonize[1]"]) == (1, 2)
    assert run.states["build"] == "upstream_failed"
    assert started(calls, "build") == 0
    assert started(calls, "publish") == 1
    assert run.states["validate"] == run.states["dataset_ready"] == "upstream_failed"


def test_a_plan_that_failed_is_not_published(trigger: Any, fake_worker: Any) -> None:
    calls = fake_worker(plan="exit 65")
    run = trigger(**WHERE)
    assert run.state == "failed"
    assert run.states["publish"] == "upstream_failed"
    assert calls.read_text().split() == ["check", "check", "check", "plan"]


def test_a_check_that_cannot_be_made_is_retried_not_taken_for_a_no(trigger: Any, fake_worker: Any) -> None:
    calls = fake_worker(check="exit 1")
    run = trigger(**WHERE)
    assert run.state == "failed"
    assert run.states["check_config"] == "failed"
    assert started(calls, "check") == 2


def test_no_worker_installed(trigger: Any, monkeypatch: pytest.MonkeyPatch, task_log: Any) -> None:
    monkeypatch.setenv("VITALPREP_COMMAND", "/nowhere/vitalprep --quiet")
    run = trigger(**WHERE)
    assert run.states["check_config"] == "failed"
    assert run.tries["check_config"] == 1
    assert "Fix: set VITALPREP_COMMAND" in task_log()[-1]


@pytest.mark.parametrize("task", ["check", "plan"])
def test_a_command_that_is_not_the_worker(trigger: Any, fake_worker: Any, task_log: Any, task: str) -> None:
    calls = fake_worker(**{task: "true"})
    assert trigger(**WHERE).state == "failed"
    assert started(calls, task) == 1
    assert "ended with exit code 0 but printed no result" in task_log()[-1]


def test_a_backend_that_is_not_there(trigger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITALPREP_BACKEND", "moon")
    run = trigger(**WHERE)
    assert run.state == "success"
    assert run.states["plan_shards"] == "skipped"
    assert "VITALPREP_BACKEND='moon'" in run.reason("check_config")
    assert "local" in run.reason("check_config")


@pytest.fixture
def sensor(fake_worker: Any, tmp_path: Path) -> Any:
    """``sensor(disagreements, timeout)``: looks at a data set that disagrees with its verdict so many times."""
    from vitalprep_airflow.sensor import DatasetReadySensor

    def make(disagreements: int, timeout: float) -> Any:
        refusal = json.dumps({"ok": False, "message": "train-00000 is 3 bytes short.", "fix": "Wait."})
        seen = tmp_path / "calls"
        body = f"test $(grep -c validate {seen}) -gt {disagreements} || {{ echo '{refusal}'; exit 65; }}; "
        fake_worker(validate=body + """echo '{"ok": true, "verdict": "passed"}'""")
        return DatasetReadySensor(task_id="ready", dataset="/nowhere/set", poke_interval=0.1, timeout=timeout)

    return make


def test_the_sensor_waits_for_a_listing_that_comes_late(sensor: Any) -> None:
    assert sensor(disagreements=2, timeout=30).execute({})["verdict"] == "passed"


def test_the_sensor_says_what_disagreed(sensor: Any) -> None:
    from airflow.sdk.exceptions import AirflowSensorTimeout

    with pytest.raises(AirflowSensorTimeout, match="/nowhere/set is not ready: train-00000 is 3 bytes short"):
        sensor(disagreements=1000, timeout=0.5).execute({})
