"""A ``vitalprep`` command in its own process group, to kill, freeze and inspect."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.pipeline import COMMAND, Answer

__all__ = ["Command", "is_case_started", "on_linux"]

LONGEST = 300  # s; no command of these tests takes longer


def on_linux() -> bool:
    """Whether processes can be looked at as these tests do."""
    return Path("/proc/self/task").is_dir()


class Command:
    """A running command with its children.

    Parameters
    ----------
    arguments : sequence of str
        Of ``vitalprep``; ``--json`` and debug log lines, which name the cases as they are begun, are added.
    folder : Path
        Where stdout and stderr go, in files: nothing that is killed may lose them.
    """

    def __init__(self, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments, "--json", "--log-level", "debug"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=os.environ | dict(environment or {}),
                start_new_session=True,
            )
        self.pid = self.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.signal_group(signal.SIGKILL)
        self.process.wait()

    @property
    def runs(self) -> bool:
        """Whether the parent process is there."""
        return self.process.poll() is None

    @property
    def heeds_signals(self) -> bool:
        """Whether the parent process has its own answer to SIGTERM by now."""
        for line in _lines(f"/proc/{self.pid}/status"):
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
        return False

    def workers(self) -> list[int]:
        """Return the worker processes, without multiprocessing's resource tracker."""
        return [pid for pid in self.group() if b"spawn_main" in _bytes(f"/proc/{pid}/cmdline")]

    def group(self) -> list[int]:
        """Return every process of the group that has not ended."""
        found = []
        for folder in Path("/proc").iterdir():
            fields = _bytes(folder / "stat").rpartition(b")")[2].split() if folder.name.isdecimal() else []
            if fields and int(fields[2]) == self.pid and fields[0] not in (b"Z", b"X"):
                found.append(int(folder.name))
        return found

    def signal_group(self, number: int) -> None:
        """Send a signal to parent and children, as Ctrl-C and Airflow do."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill_workers(self) -> None:
        """Send SIGKILL to every worker process, as the kernel does when memory runs out."""
        for pid in self.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def log(self) -> list[dict[str, Any]]:
        """Return the log lines that are there; the last may have been cut off."""
        return [json.loads(line) for line in _lines(self._stderr) if line.startswith("{") and line.endswith("}")]

    def wait(self, seconds: float = LONGEST) -> Answer:
        """Wait for the end of the parent, and return what it said."""
        exit_code = self.process.wait(timeout=seconds)
        said = _lines(self._stdout)
        return Answer(exit_code, json.loads(said[-1]) if said else {}, self.log())

    def left_after(self, seconds: float) -> list[int]:
        """Return the processes of the group that are there so long after the parent's end."""
        deadline = time.monotonic() + seconds
        while (left := self.group()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def stray_lines(self) -> Sequence[str]:
        """Return lines on stderr that are no log lines: tracebacks of processes that nobody expected to fail."""
        return [line for line in _lines(self._stderr) if line and not line.startswith("{")]


def is_case_started(line: Mapping[str, Any]) -> bool:
    """Return whether a log line says that a worker process started a case."""
    return bool(re.fullmatch(r"case \d+ started", line["message"]))


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _lines(path: str | Path) -> list[str]:
    return _bytes(path).decode(errors="replace").splitlines()
