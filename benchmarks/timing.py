"""Taking times: alternately, so that what disturbs one disturbs the other, and medians of them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Usage", "medians", "process_usage"]


@dataclass(frozen=True)
class Usage:
    """What a process and all its descendants took: wall and CPU seconds, MB of the largest of them."""

    wall: float
    cpu: float
    peak_mb: float
    stdout: str = ""


def medians(rounds: int, *works: Callable[[], object], clock: Callable[[], float] = time.process_time) -> list[float]:
    """Return the median seconds of each piece of work, done in turn `rounds` times after one that is not counted.

    CPU time of this process, so that another process on the machine does not count; with another `clock`, its time.
    """
    taken: list[list[float]] = [[] for _ in works]
    for count in range(rounds + 1):
        for seconds, work in zip(taken, works, strict=True):
            began = clock()
            work()
            if count:
                seconds.append(clock() - began)
    return [statistics.median(seconds) for seconds in taken]


def process_usage(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end and return what it took.

    A small process starts it: a child counts the memory of the one that it was forked from as its own peak.

    Raises
    ------
    RuntimeError
        If it fails, with the end of what it wrote to stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "usage.json"
        answer = subprocess.run(
            [sys.executable, __file__, str(note), *command],
            capture_output=True,
            text=True,
            env=os.environ | dict(environment or {}),
            check=False,
        )
        if answer.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {answer.returncode}:\n{answer.stderr[-2000:]}")
        return Usage(**json.loads(note.read_text()) | {"stdout": answer.stdout})


def _start_and_note(note: str, command: Sequence[str]) -> int:
    began = time.perf_counter()
    process = os.posix_spawnp(command[0], list(command), os.environ)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - began
    Path(note).write_text(json.dumps(asdict(Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_start_and_note(sys.argv[1], sys.argv[2:]))
