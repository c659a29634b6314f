"""The worker commands behind the page: state of the output, stored report, price of a shard's machine.

Each runs as a child process.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Generic, TypeVar

from vitalprep_airflow.backends import deployed_backend
from vitalprep_airflow.backends.spot import on_demand_shards
from vitalprep_airflow.outcome import DONE, NEVER_RETRY, Outcome, fix_in
from vitalprep_airflow.process import WorkerProcess, worker_command

__all__ = ["RETRY_SECONDS", "Answers", "PageError", "busy", "price_of_shards", "report_of", "status_of"]

STATUS_SECONDS = 30
PRICE_SECONDS = 30
REPORT_SECONDS = 60
GRACE_SECONDS = 5  # the commands only read
REPORT_BYTES = 64 * 10**6  # six times the limit for a report of 3,000 cases
RETRY_SECONDS = 5  # as often as the page polls

Answer = TypeVar("Answer")

log = logging.getLogger("vitalprep.page")


class PageError(Exception):
    """Why the page cannot show something: kind of problem, message, and fix."""

    def __init__(self, kind: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.kind, self.message, self.fix = kind, message, fix

    def document(self) -> dict[str, str]:
        """Return the problem as JSON for the browser."""
        return {"kind": self.kind, "message": self.message, "fix": self.fix}


class Answers(Generic[Answer]):
    """Caches one command's answers for some seconds and runs one process at a time, however many visitors there are.

    Problems are cached as well, so that storage that is down is not asked again for every visitor.

    Parameters
    ----------
    seconds : float
        How long an answer is current.
    size : int
        Answers kept in memory.
    waiting : int
        Questions in line, the one being asked included. A further one is refused.
    """

    def __init__(self, *, seconds: float, size: int, waiting: int) -> None:
        self._seconds = seconds
        self._size = size
        self._waiting = waiting
        self._lock = threading.Lock()
        self._line = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vitalprep-page")
        self._kept: OrderedDict[str, Future[tuple[float, Answer | PageError]]] = OrderedDict()

    def of(self, key: str, ask: Callable[[], Answer]) -> Future[tuple[float, Answer | PageError]]:
        """Return the cached or the pending answer, with the time at which it came; ask if there is neither.

        Raises PageError if too many questions wait.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or (kept.done() and not self._is_current(kept)):
                if sum(not one.done() for one in self._kept.values()) >= self._waiting:
                    raise busy()
                kept = self._kept[key] = self._line.submit(self._answer, ask)
            self._kept.move_to_end(key)
            return kept

    def _is_current(self, kept: Future[tuple[float, Answer | PageError]]) -> bool:
        return kept.exception() is None and time.monotonic() <= kept.result()[0] + self._seconds

    def _answer(self, ask: Callable[[], Answer]) -> tuple[float, Answer | PageError]:
        try:
            answer: Answer | PageError = ask()
        except PageError as problem:
            answer = problem
        with self._lock:  # makes room for this one; a pending answer is never dropped, since others wait for it
            done = [key for key, one in self._kept.items() if one.done()]
            for key in done[: max(0, len(done) - self._size + 1)]:
                del self._kept[key]
        return time.monotonic(), answer


def busy() -> PageError:
    """Return the problem of a visitor who would have to wait too long."""
    return PageError(
        "busy",
        "Too many visitors wait for the worker, or the storage is slow.",
        f"Wait {RETRY_SECONDS} seconds, and reload.",
    )


def status_of(dataset_id: str = "") -> dict[str, Any]:
    """Return what ``vitalprep status`` reports about the deployment's output, or about one data set in it.

    Raises PageError.
    """
    output = os.environ.get("VITALPREP_OUTPUT", "").strip()
    if not output:
        raise PageError(
            "no-output",
            "No output location is configured.",
            "Set VITALPREP_OUTPUT in the environment of Airflow's API server to the output location of the runs.",
        )
    chosen = ["--dataset", dataset_id] if dataset_id else []
    outcome = _ask("status", [output, *chosen, "--json"], seconds=STATUS_SECONDS)
    if not isinstance(outcome.document.get("datasets"), list):
        raise PageError("no-worker", "vitalprep status ended with exit code 0 but printed no status.", _fix_worker())
    return outcome.document


def report_of(dataset: str) -> bytes:
    """Return the stored report of a data set, by its URI as a status names it. Raises PageError."""
    with tempfile.TemporaryFile() as page:
        _ask("report", ["--dataset", dataset, "--stored"], seconds=REPORT_SECONDS, output=page)
        size = page.tell() if page.seek(0, os.SEEK_END) else 0
        if not 0 < size <= REPORT_BYTES:
            raise PageError(
                "report",
                f"The stored report has {size:,} bytes; the page shows reports of 1 to {REPORT_BYTES:,} bytes.",
                f"Write it again: vitalprep report --dataset {dataset}",
            )
        page.seek(0)
        return page.read()


def price_of_shards() -> dict[str, Any] | None:
    """Return what an hour of a shard's machine costs, on spot and on demand; None where nobody bills by the hour.

    Raises PageError.
    """
    machine = deployed_backend().priced_machine
    if not machine:
        return None
    prices = os.environ.get("VITALPREP_PRICES", "").strip()
    arguments = ["--hour-of", *machine, *(["--prices", prices] if prices else []), "--json"]
    document = _ask("cost", arguments, seconds=PRICE_SECONDS).document
    return document | {"on_demand_shards": on_demand_shards()}


def _ask(command: str, arguments: list[str], *, seconds: float, output: IO[bytes] | None = None) -> Outcome:
    process = WorkerProcess(command, arguments, log=_log, grace_seconds=GRACE_SECONDS)
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.stop()

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        outcome = process.run(output)
    except OSError as error:
        message = f"The worker command {worker_command()[0]!r} cannot be started ({error.strerror})."
        raise PageError("no-worker", message, _fix_worker()) from error
    finally:
        timer.cancel()
    if outcome.exit_code == DONE:
        return outcome
    if late.is_set():
        message = f"vitalprep {command} did not end within {seconds:.0f} s: the storage does not answer."
        raise PageError("too-slow", message, "Check that Airflow's API server can reach the storage.")
    raise _problem(outcome)


def _problem(outcome: Outcome) -> PageError:
    """Return the error in the worker's words, if it said any."""
    kind = "refused" if outcome.exit_code in NEVER_RETRY else "failed"
    said = outcome.document.get("message") or " ".join(outcome.last_lines) or "the worker printed nothing"
    message = f"vitalprep {outcome.command} {kind} (exit {outcome.exit_code}): {said}"
    return PageError(kind, message, fix_in(outcome.document) or _fix_worker())


def _fix_worker() -> str:
    return (
        "Check that VITALPREP_COMMAND in the environment of Airflow's API server is a vitalprep command of the same "
        f"version as the plugins (it is {worker_command()[0]!r}), and that it can reach the storage."
    )


def _log(level: int, text: str) -> None:
    # The page asks every few seconds, so only warnings and errors belong in the server's log.
    log.log(level if level > logging.INFO else logging.DEBUG, "%s", text)
