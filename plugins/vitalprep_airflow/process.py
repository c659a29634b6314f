"""One ``vitalprep`` command as a child process of an Airflow task.

Airflow and the worker are two environments that never import each other. This module is their whole interface: a
command line and signals go down; log lines, one JSON document and an exit code come up.
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

from vitalprep_airflow.outcome import Outcome, document_in

__all__ = ["GRACE_SECONDS", "Log", "WorkerProcess", "readable", "worker_command"]

Log = Callable[[int, str], None]

# The worker commits finished cases and exits within 30 s of SIGTERM.
GRACE_SECONDS = 30

# Kills the process group if it outlives its grace period. This is a process of its own because Airflow kills the task
# 5 s after SIGTERM: a wait inside the task would end too early, and a stuck worker would run on for ever.
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
    """Runs one worker command in its own process group, so that a stop also reaches the command's children.

    Parameters
    ----------
    command : str
        The worker's command, such as ``plan``.
    arguments : sequence of str
        Its command line.
    log : callable
        Called with level and text of each log line.
    grace_seconds : float
        Time between SIGTERM and SIGKILL when the command is stopped.
    """

    def __init__(
        self, command: str, arguments: Sequence[str], *, log: Log, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self.command = command
        self.arguments = tuple(arguments)
        self._log = log
        self._grace_seconds = grace_seconds
        self._process: subprocess.Popen[str] | None = None
        self._stopping = False

    def run(self, output: IO[bytes] | None = None) -> Outcome:
        """Start the command, forward its log lines, and return how it ended.

        With `output`, the command's stdout goes there byte for byte, and the outcome has no document. Raises OSError if
        the command cannot be started.
        """
        stdout: deque[str] = deque(maxlen=1)
        stderr: deque[str] = deque(maxlen=3)
        with self._stopped_by_sigterm():
            self._log(logging.INFO, "$ vitalprep " + shlex.join([self.command, *self.arguments]))
            process = self._start(output)
            readers = [threading.Thread(target=self._forward, args=(process.stderr, stderr), daemon=True)]
            if process.stdout is not None:
                readers.append(threading.Thread(target=_keep, args=(process.stdout, stdout), daemon=True))
            for reader in readers:
                reader.start()
            try:
                exit_code = process.wait()
            finally:
                # A task timeout or Ctrl-C gets here early; neither may leave the worker running.
                self.stop()
                exit_code = process.wait()
            # The children of a killed worker would keep the pipes open for ever.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            for reader in readers:
                reader.join()
        return Outcome(self.command, exit_code, document_in(stdout), tuple(stderr))

    def stop(self) -> None:
        """Send SIGTERM to the process group now and SIGKILL after the grace period; returns at once.

        May be called again, and after the end.
        """
        self._stopping = True
        process = self._process
        if process is None or process.poll() is not None:
            return
        self._process = None
        self._log(logging.WARNING, f"stopping the worker; it has {self._grace_seconds:.0f} s to commit its work")
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        reaper = [sys.executable, "-I", "-S", "-c", REAPER, str(process.pid), str(self._grace_seconds)]
        # Nobody waits for the reaper: it ends at the latest with the grace period.
        subprocess.Popen(reaper, stdin=subprocess.DEVNULL, process_group=0)

    def _start(self, output: IO[bytes] | None) -> subprocess.Popen[str]:
        self._process = process = subprocess.Popen(
            [*worker_command(), self.command, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=_worker_environment(),
            process_group=0,
        )
        if self._stopping:  # the signal came while the process was being started
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
        """Pass SIGTERM on to the worker, also from tasks without an ``on_kill``, such as the checks."""
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
    """Return the worker's command from ``VITALPREP_COMMAND``, split as a shell would."""
    return shlex.split(os.environ.get("VITALPREP_COMMAND", "")) or ["vitalprep"]


def readable(line: str) -> tuple[int, str]:
    """Return level and printable text of a line of the worker's log; JSON becomes ``message key=value ...``."""
    level, text = _parsed(line)
    return level, "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _parsed(line: str) -> tuple[int, str]:
    try:
        return _told(line)
    except (ValueError, RecursionError):
        return logging.INFO, line.rstrip()


def _told(line: str) -> tuple[int, str]:
    record = json.loads(line)
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
    """Return our environment without what is Airflow's: its database password, signing keys and Python path."""
    own = ("AIRFLOW_", "_AIRFLOW", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {key: value for key, value in os.environ.items() if not key.startswith(own)}
