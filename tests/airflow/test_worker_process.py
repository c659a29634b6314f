"""The worker as a child process: its lines in the log, its result, and that it is stopped with all its children."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from task_context import until

from vitalprep_airflow.process import WorkerProcess, readable

Lines = list[tuple[int, str]]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines) -> Callable[..., WorkerProcess]:
    """``script("exit 1")``: a process that runs this shell script in the worker's place."""

    def make(body: str, *arguments: str, grace_seconds: float = 30) -> WorkerProcess:
        path = tmp_path / "worker"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("VITALPREP_COMMAND", str(path))
        return WorkerProcess(
            "command", arguments, log=lambda level, text: lines.append((level, text)), grace_seconds=grace_seconds
        )

    return make


def wait_for(path: Path) -> str:
    until(lambda: path.exists() and path.read_text().strip())
    return path.read_text()


def is_alive(pid: int) -> bool:
    """Whether it runs: one that has ended and waits to be collected does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def _command_lines() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_lines_keep_their_level_and_read_well(script: Any, lines: Lines) -> None:
    outcome = script(
        """echo '{"time": "2024-01-01", "level": "WARNING", "message": "gap", "case_id": 7, "track": "A/B C"}' >&2
        echo 'Segmentation fault' >&2
        echo progress; echo '{"ok": true, "windows": {"train": 3}}'"""
    ).run()
    assert lines[1:] == [(logging.WARNING, 'gap case_id=7 track="A/B C"'), (logging.INFO, "Segmentation fault")]
    assert outcome.exit_code == 0
    assert outcome.document == {"ok": True, "windows": {"train": 3}}


@pytest.mark.parametrize("line", ["", "[1, 2]", "null", "{", '{"message": 3, "level": 9}', "\x1b[31mred"])
def test_any_line_can_be_read(line: str) -> None:
    level, text = readable(line)
    assert level == logging.INFO
    assert isinstance(text, str)


@pytest.mark.parametrize("says", [str, lambda text: json.dumps({"message": text, "case": text, text: "a b"})])
def test_a_line_reaches_the_log_as_one_printable_line(says: Callable[[str], str]) -> None:
    level, text = readable(says("\x1b[2J\x9b2J a\x85b\u2028c\u202ed\rErr: forged"))
    assert text.isprintable()
    assert r"\x1b[2J" in text or r"\u001b[2J" in text
    assert level == logging.INFO


def test_a_line_may_nest_deeply() -> None:
    assert readable("[" * 100_000) == (logging.INFO, "[" * 100_000)


def test_a_command_that_died_is_told_by_its_last_words(script: Any) -> None:
    outcome = script("echo 'ImportError: no module' >&2; exit 1").run()
    assert outcome.exit_code == 1
    assert outcome.problem == "ImportError: no module"


def test_a_million_lines_of_each_do_not_block(script: Any) -> None:
    outcome = script("""yes | head -n 200000; yes | head -n 2000 >&2; echo '{"ok": true}'""").run()
    assert outcome.document == {"ok": True}


def test_arguments_arrive_as_they_are(script: Any) -> None:
    outcome = script(
        """printf '{"command": "%s", "n": %d, "last": "%s"}\\n' "$1" $# "$3" """, "--set", "a b='c'; rm -rf $HOME"
    ).run()
    assert outcome.document == {"command": "command", "n": 3, "last": "a b='c'; rm -rf $HOME"}


def test_airflows_secrets_stay_with_airflow(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "hidden")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    outcome = script("""printf '{"key": "%s", "region": "%s"}\\n' "$AIRFLOW__CORE__FERNET_KEY" "$AWS_REGION" """).run()
    assert outcome.document == {"key": "", "region": "eu-north-1"}


def test_stop_lets_it_commit_and_takes_its_children(script: Any, tmp_path: Path) -> None:
    child = tmp_path / "child"
    process = script(f"sleep 60 & echo $! > {child}; trap 'exit 143' TERM; wait")
    outcomes: list[Any] = []
    runner = threading.Thread(target=lambda: outcomes.append(process.run()))
    runner.start()
    pid = int(wait_for(child))
    process.stop()
    process.stop()
    runner.join(timeout=120)
    assert outcomes[0].exit_code == 143
    assert not is_alive(pid)


def test_one_that_does_not_listen_is_killed_after_its_grace(script: Any, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = script(f"trap '' TERM; echo $$ > {ready}; while :; do sleep 0.1; done", grace_seconds=1)
    outcomes: list[Any] = []
    runner = threading.Thread(target=lambda: outcomes.append(process.run()))
    runner.start()
    wait_for(ready)
    begin = time.monotonic()
    process.stop()
    runner.join(timeout=120)
    assert outcomes[0].exit_code == -signal.SIGKILL
    assert time.monotonic() - begin > 0.9, "it was left its grace period"


def test_a_worker_that_was_killed_leaves_no_children(script: Any, tmp_path: Path) -> None:
    child = tmp_path / "child"
    outcome = script(f"sleep 60 & echo $! > {child}; kill -KILL $$").run()
    assert outcome.exit_code == -signal.SIGKILL
    until(lambda: not is_alive(int(child.read_text())))


TASK = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: print("on_kill", flush=True))
from vitalprep_airflow.process import WorkerProcess
outcome = WorkerProcess("harmonize", [], log=lambda level, text: None, grace_seconds=8).run()
print("exit code", outcome.exit_code, flush=True)
"""


@pytest.fixture
def task(script: Any, tmp_path: Path) -> Any:
    """A program that runs a worker as an Airflow task does, and the worker's process id."""
    started: list[subprocess.Popen[str]] = []

    def start(body: str) -> tuple[subprocess.Popen[str], int]:
        ready = tmp_path / "ready"
        script(body.format(ready=ready))
        command = [sys.executable, "-c", TASK]
        plugins = str(Path(__file__).resolve().parents[2] / "plugins")
        environment = os.environ | {"PYTHONPATH": plugins}
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return started[0], int(wait_for(ready))

    yield start
    for one in started:
        one.kill()
        one.wait()


def test_sigterm_reaches_the_worker_and_airflows_own_handler(task: Any) -> None:
    program, _ = task("trap 'exit 143' TERM; echo $$ > {ready}; while :; do sleep 0.1; done")
    program.terminate()
    assert program.communicate(timeout=120)[0].split("\n")[:2] == ["on_kill", "exit code 143"]


def test_a_stuck_worker_ends_although_airflow_killed_the_task_first(task: Any) -> None:
    """Airflow gives a task 5 s between SIGTERM and SIGKILL, the worker has more: the grace must outlive the task."""
    program, worker = task("trap '' TERM; echo $$ > {ready}; while :; do sleep 0.1; done")
    program.terminate()
    assert program.stdout.readline() == "on_kill\n"
    until(lambda: f" {worker} 8" in _command_lines())  # the one that kills it: Airflow would give 5 s for its start
    program.kill()
    program.wait()
    assert is_alive(worker)
    until(lambda: not is_alive(worker))
