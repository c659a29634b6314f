"""Worker processes that die, fail or are asked to stop."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline import COMMAND
from vitalprep.runtime.console import log_to
from vitalprep.runtime.errors import RefusedError, RetryableError, Stopped
from vitalprep.runtime.silence import Silence
from vitalprep.runtime.workers import StopRequest, WorkerPool, stop_on_signals


def _square(number: int) -> int:
    return number * number


def _die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def _refuse(number: int) -> int:
    raise RefusedError(f"{number} is refused.", fix="give another.")


def _stumble(number: int) -> int:
    raise ZeroDivisionError(number)


def _nap(number: int) -> int:
    time.sleep(0.3)
    return number


def _nap_long(number: int) -> int:
    time.sleep(100 if number else 0)
    return number


class _Panic(BaseException):
    """As PyO3's PanicException: no Exception."""


def _panic(number: int) -> int:
    raise _Panic("out of range")


class _Unreadable:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return importlib.import_module, ("a_module_that_does_not_exist",)


def _unsendable(number: int) -> object:
    return lambda: number


def _freeze(number: int) -> int:
    os.kill(os.getpid(), signal.SIGSTOP)
    return number


def _name(number: int) -> str:
    return f"case {number}"


def test_every_task_is_done_once_by_any_number_of_workers() -> None:
    for workers in (1, 3):
        with WorkerPool(workers, StopRequest()) as pool:
            for _ in range(2):  # the processes serve stage after stage
                done = list(pool.results(_square, range(10), name=_name))
                assert sorted(done) == [(number, number * number) for number in range(10)]


def test_the_error_of_a_dead_worker_names_its_task() -> None:
    with WorkerPool(2, StopRequest()) as pool, pytest.raises(RetryableError, match=r"case 7 .*-9"):
        list(pool.results(_die, [7], name=_name))


def test_an_error_is_raised_unchanged_in_the_parent() -> None:
    with WorkerPool(2, StopRequest()) as pool, pytest.raises(RefusedError) as caught:
        list(pool.results(_refuse, [7], name=_name))
    assert (caught.value.message, caught.value.fix, caught.value.exit_code) == ("7 is refused.", "give another.", 65)


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """A log file for what this process logs during the test."""
    logger = logging.getLogger("vitalprep")
    before = list(logger.handlers), logger.level, logger.propagate
    log_to(level="warning", file=str(tmp_path / "log"))
    yield tmp_path / "log"
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_an_unexpected_error_is_one_line_and_its_traceback_goes_to_the_log_file(log_file: Path) -> None:
    with WorkerPool(1, StopRequest()) as pool, pytest.raises(RetryableError) as caught:
        list(pool.results(_stumble, [7], name=_name))
    assert caught.value.message == "Unexpected error at case 7: ZeroDivisionError: 7."
    line = json.loads(log_file.read_text())
    assert line["message"].startswith("Traceback")
    assert "in _stumble" in line["message"]


def test_what_a_native_library_panics_with_is_an_error_too() -> None:
    with WorkerPool(1, StopRequest()) as pool, pytest.raises(RetryableError, match=r"case 7: _Panic: out of range"):
        list(pool.results(_panic, [7], name=_name))


def test_a_task_that_cannot_be_read_is_an_error() -> None:
    with WorkerPool(1, StopRequest()) as pool, pytest.raises(RetryableError, match="ModuleNotFoundError"):
        list(pool.results(_square, [_Unreadable()], name=str))  # type: ignore[list-item]


def test_a_result_that_cannot_be_sent_is_an_error() -> None:
    with WorkerPool(1, StopRequest()) as pool, pytest.raises(RetryableError, match="Unexpected error at"):
        list(pool.results(_unsendable, [7], name=_name))


def test_a_frozen_worker_is_reported_and_then_ended(monkeypatch: pytest.MonkeyPatch, log_file: Path) -> None:
    monkeypatch.setattr("vitalprep.runtime.workers.SECONDS_TO_REPORT", 0.5)
    monkeypatch.setattr("vitalprep.runtime.workers.SECONDS_TO_END", 1.5)
    # the process stands still before its first heartbeat; a healthy one that is slow to start is reported, too
    with WorkerPool(1, StopRequest()) as pool, pytest.raises(RetryableError, match=r"at case 7 was ended: .* 1\.5 s"):
        list(pool.results(_freeze, [7], name=_name))
    assert "case 7: the worker process" in log_file.read_text()
    assert "has given no sign of life for 0.5 s" in log_file.read_text()


def test_a_busy_worker_sends_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vitalprep.runtime.workers.HEARTBEAT_SECONDS", 0.01)
    heard: list[int] = []
    broken = Silence.broken

    def count(silence: Silence) -> None:
        heard.append(1)
        broken(silence)

    monkeypatch.setattr(Silence, "broken", count)
    with WorkerPool(1, StopRequest()) as pool:
        assert list(pool.results(_nap, [1], name=_name)) == [(1, 1)]
    assert len(heard) > 3, "more than the start, the task and its result"


def test_after_a_stop_running_tasks_finish_and_none_starts() -> None:
    stop = StopRequest()
    done = []
    with WorkerPool(2, stop) as pool, pytest.raises(Stopped):  # noqa: PT012
        for number, _ in pool.results(_nap, range(50), name=_name):
            done.append(number)
            stop.requested = True
    assert sorted(done) == list(range(len(done)))
    assert 1 <= len(done) <= 3


def test_the_first_and_second_signal_set_the_stop_request(monkeypatch: pytest.MonkeyPatch) -> None:
    # After a second signal this process itself would be ended within a second, which is short on a busy machine.
    monkeypatch.setattr("vitalprep.runtime.workers.SECONDS_TO_LEAVE_AT_ONCE", 120.0)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with stop_on_signals() as stop:
        stop.raise_if_requested()
        os.kill(os.getpid(), signal.SIGTERM)
        _wait_until(lambda: stop.requested)
        assert not stop.at_once
        os.kill(os.getpid(), signal.SIGTERM)
        _wait_until(lambda: stop.at_once)
        with pytest.raises(Stopped, match="at once by a second signal"):
            stop.raise_if_requested()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_process_that_ignores_a_second_signal_is_ended() -> None:
    code = (
        "import os, signal, time\n"
        "from vitalprep.runtime.workers import stop_on_signals\n"
        "with stop_on_signals():\n"
        "    for _ in range(2):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0.2)\n"
        "    time.sleep(100)\n"
        "print('never')"
    )
    process = subprocess.run([COMMAND[0], "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 143
    assert not process.stdout


def test_after_a_second_signal_tasks_in_flight_are_abandoned() -> None:
    stop = StopRequest()
    with WorkerPool(1, stop) as pool, pytest.raises(Stopped, match=r"second signal.*left: case 1, .*case 5 and 6 more"):  # noqa: PT012
        for _ in pool.results(_nap_long, [0, *range(1, 12)], name=_name):
            stop.requested = stop.at_once = True


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc to see child processes")
def test_no_worker_outlives_a_killed_run(recordings: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "run", "--input", str(recordings), "--output", str(tmp_path), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("harmonized/*/*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    children = _children(process.pid)
    assert len(children) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 15
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)
