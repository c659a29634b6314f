"""One ``vitalprep`` command as a child process of an Airflow task.

Airflow and the worker are two environments that never import each other; this module is the whole of what passes
between them: a command line down, log lines and one JSON document up, signals down, an exit code up.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO

from vitalprep_outcomes import Outcome, document_in

__all__ = ["GRACE_SECONDS", "Log", "WorkerProcess", "readable", "worker_command"]

Log = Callable[[int, str], None]

# The worker promises to leave within 30 s of SIGTERM: finished cases are committed by then.
GRACE_SECONDS = 30

# Kills the process group if it outlives its grace. It runs beside the task because Airflow kills the task itself 5 s
# after SIGTERM: a wait inside the task would never see the end of the grace, and a stuck worker would stay for good.
REAPER = """
import os, signal, sys, time
group, end = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
try:
    while time.monotonic() < end:
        os.killpg(group, 0)
        time.sleep(0.2)
    os.killpg(group, signal.SIGKILL)
except (ProcessLookupError, PermissionError):
    pass
"""


class WorkerProcess:
    """Runs one worker command in a process group of its own, so that it is stopped with all its children."""

    def __init__(self, arguments: Sequence[str], *, log: Log, grace_seconds: float = GRACE_SECONDS) -> None:
        self.arguments = tuple(arguments)
        self._log = log
        self._grace_seconds = grace_seconds
        self._process: subprocess.Popen[str] | None = None
        self._stopping = False

    def run(self, output: IO[bytes] | None = None) -> Outcome:
        """Start, forward log lines until the end, and say how it ended. Raises OSError if there is no such command.

        With `output`, what the command prints goes there byte for byte, and the outcome has no document.
        """
        stdout: deque[str] = deque(maxlen=1)
        stderr: deque[str] = deque(maxlen=3)
        with self._stopped_by_sigterm():
            self._log(logging.INFO, "$ vitalprep " + shlex.join(self.arguments))
            process = self._start(output)
            readers = [threading.Thread(target=self._forward, args=(process.stderr, stderr), daemon=True)]
            if process.stdout is not None:
                readers.append(threading.Thread(target=_keep, args=(process.stdout, stdout), daemon=True))
            for reader in readers:
                reader.start()
            try:
                exit_code = process.wait()
            finally:
                # Reached early by a task time-out or Ctrl-C: neither may leave the worker running.
                self.stop()
                exit_code = process.wait()
            # Children of a worker that was killed would hold the pipes open for ever.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            for reader in readers:
                reader.join()
        return Outcome(self.arguments, exit_code, document_in(stdout), tuple(stderr))

    def stop(self) -> None:
        """SIGTERM to the group now, SIGKILL after the grace. Returns at once; may be called twice, or too late."""
        self._stopping = True
        process = self._process
        if process is None or process.poll() is not None:
            return
        self._process = None
        self._log(logging.WARNING, f"stopping the worker; it has {self._grace_seconds:.0f} s to commit its work")
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        reaper = [sys.executable, "-I", "-S", "-c", REAPER, str(process.pid), str(self._grace_seconds)]
        # Not waited for: it ends by itself, at the latest when the grace is over.
        subprocess.Popen(reaper, stdin=subprocess.DEVNULL, process_group=0)

    def _start(self, output: IO[bytes] | None) -> subprocess.Popen[str]:
        self._process = process = subprocess.Popen(
            [*worker_command(), *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=_worker_environment(),
            process_group=0,
        )
        if self._stopping:  # the signal came while the process was being made
            self.stop()
        return process

    def _forward(self, stream: IO[str], last_lines: deque[str]) -> None:
        for line in stream:
            if line.strip():
                level, text = readable(line)
                last_lines.append(text)
                self._log(level, text)

    @contextmanager
    def _stopped_by_sigterm(self) -> Generator[None]:
        """Let SIGTERM reach the worker also from tasks that have no ``on_kill`` of their own, like the checks."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.getsignal(signal.SIGTERM)

        def stop(signum: int, frame: FrameType | None) -> None:
            self.stop()
            if callable(previous):
                previous(signum, frame)

        signal.signal(signal.SIGTERM, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)


def worker_command() -> list[str]:
    """The worker's command from ``VITALPREP_COMMAND``, split as a shell would."""
    return shlex.split(os.environ.get("VITALPREP_COMMAND", "")) or ["vitalprep"]


def readable(line: str) -> tuple[int, str]:
    """Level and printable text of one line of the worker's stderr; JSON becomes ``message key=value ...``."""
    level, text = _told(line)
    return level, "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _told(line: str) -> tuple[int, str]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return logging.INFO, line.rstrip()
    if not isinstance(record, dict):
        return logging.INFO, line.rstrip()
    level = logging.getLevelNamesMapping().get(str(record.pop("level", "")).upper(), logging.INFO)
    record.pop("time", None)  # the task log has its own
    message = str(record.pop("message", ""))
    return level, " ".join([message, *(f"{key}={_short(value)}" for key, value in record.items())]).strip()


def _short(value: object) -> str:
    if isinstance(value, str) and value and not any(c.isspace() or c == '"' for c in value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _keep(stream: IO[str], lines: deque[str]) -> None:
    lines.extend(line for line in stream if line.strip())


def _worker_environment() -> dict[str, str]:
    """Ours, without what belongs to Airflow: its database password and signing keys, and its Python path."""
    own = ("AIRFLOW_", "_AIRFLOW", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {key: value for key, value in os.environ.items() if not key.startswith(own)}
