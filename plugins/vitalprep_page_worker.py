"""What the page asks the worker: the state of the output, a stored report, prices. Each is a child process."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Generic, TypeVar

from vitalprep_outcomes import DONE, NEVER_RETRY, Outcome
from vitalprep_process import WorkerProcess, worker_command
from vitalprep_spot import SAGEMAKER_TYPE, on_demand_shards

__all__ = ["Answers", "PageError", "price_of_shards", "report_of", "status_of"]

STATUS_SECONDS = 30
PRICE_SECONDS = 30
REPORT_SECONDS = 60
GRACE_SECONDS = 5  # both commands only read
REPORT_BYTES = 64 * 10**6  # six times what a report of 3,000 cases may have
DATASET_ID = re.compile(r"[0-9a-f]{12}")

Answer = TypeVar("Answer")

log = logging.getLogger("vitalprep.page")


class PageError(Exception):
    """Why the page cannot show something: which kind of thing, what happened, and how to mend it."""

    def __init__(self, kind: str, message: str, mend: str) -> None:
        super().__init__(message)
        self.kind, self.message, self.mend = kind, message, mend

    def document(self) -> dict[str, str]:
        """Return it for the browser."""
        return {"kind": self.kind, "message": self.message, "mend": self.mend}


class Answers(Generic[Answer]):
    """Answers of one command, kept for some seconds. One process at a time, however many visitors there are.

    Problems are kept as well: storage that is down is not asked by every visitor anew.
    """

    def __init__(self, *, seconds: float, size: int) -> None:
        self._seconds = seconds
        self._size = size
        self._lock = threading.Lock()
        self._line = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vitalprep-page")
        self._kept: OrderedDict[str, Future[tuple[float, Answer | PageError]]] = OrderedDict()

    def of(self, key: str, ask: Callable[[], Answer]) -> Future[tuple[float, Answer | PageError]]:
        """Return the kept answer, or the one that is on its way, or ask. With the time at which it came."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or (kept.done() and kept.result()[0] + self._seconds < time.monotonic()):
                kept = self._kept[key] = self._line.submit(_timed, ask)
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
            return kept


def _timed(ask: Callable[[], Answer]) -> tuple[float, Answer | PageError]:
    try:
        answer: Answer | PageError = ask()
    except PageError as problem:
        answer = problem
    return time.monotonic(), answer


def status_of(dataset_id: str = "") -> dict[str, Any]:
    """Return what ``vitalprep status`` says of the deployment's output, or of one data set in it.

    Raises PageError.
    """
    if dataset_id and not DATASET_ID.fullmatch(dataset_id):
        raise PageError("unknown", "This is no data set's id.", "Choose one from the list.")
    output = os.environ.get("VITALPREP_OUTPUT", "").strip()
    if not output:
        raise PageError(
            "no-output",
            "No output is configured, so there is nothing to look at.",
            "Set VITALPREP_OUTPUT in the environment of Airflow's API server to the output that the runs use.",
        )
    chosen = ["--dataset", dataset_id] if dataset_id else []
    outcome = _ask(["status", output, *chosen, "--json"], seconds=STATUS_SECONDS)
    if not isinstance(outcome.document.get("datasets"), list):
        raise PageError("no-worker", "The worker's command ended well but without a status.", _mend_worker())
    return outcome.document


def report_of(dataset: str) -> bytes:
    """Return the stored report of a data set, by its URI as a status names it. Raises PageError."""
    with tempfile.TemporaryFile() as page:
        _ask(["report", "--dataset", dataset, "--stored"], seconds=REPORT_SECONDS, output=page)
        size = page.tell() if page.seek(0, os.SEEK_END) else 0
        if not 0 < size <= REPORT_BYTES:
            raise PageError(
                "report",
                f"The stored report has {size:,} bytes; 1 to {REPORT_BYTES:,} are shown.",
                f"Make it anew: vitalprep report --dataset {dataset}",
            )
        page.seek(0)
        return page.read()


def price_of_shards() -> dict[str, Any] | None:
    """Return what an hour of a shard's machine costs, on spot and on demand; None on machines of one's own.

    Raises PageError.
    """
    match os.environ.get("VITALPREP_BACKEND", "").strip().lower():
        case "ecs":
            size = {"--vcpus": _number("VITALPREP_ECS_SHARD_CPU"), "--memory-gb": _number("VITALPREP_ECS_SHARD_MEMORY")}
            machine = ["fargate", *(part for name, of in size.items() if of for part in (name, f"{of / 1024:g}"))]
        case "sagemaker":
            machine = [os.environ.get("VITALPREP_SAGEMAKER_INSTANCE_TYPE", "").strip() or SAGEMAKER_TYPE]
        case _:
            return None
    prices = os.environ.get("VITALPREP_PRICES", "").strip()
    arguments = ["cost", "--hour-of", *machine, *(["--prices", prices] if prices else []), "--json"]
    document = _ask(arguments, seconds=PRICE_SECONDS).document
    return document | {"on_demand_shards": on_demand_shards()}


def _number(name: str) -> float:
    """Return a setting in 1/1024, as ECS counts vCPUs and GB; 0 where it is not there, or no number."""
    text = os.environ.get(name, "").strip()
    return float(text) if text.isdigit() else 0.0


def _ask(arguments: list[str], *, seconds: float, output: IO[bytes] | None = None) -> Outcome:
    process = WorkerProcess(arguments, log=_log, grace_seconds=GRACE_SECONDS)
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.stop()

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        outcome = process.run(output)
    except OSError as error:
        message = f"The worker's command {worker_command()[0]!r} cannot be started ({error.strerror})."
        raise PageError("no-worker", message, _mend_worker()) from error
    finally:
        timer.cancel()
    if outcome.exit_code == DONE:
        return outcome
    if late.is_set():
        message = f"The storage did not answer vitalprep {arguments[0]} within {seconds:.0f} s."
        raise PageError("too-slow", message, "See whether the storage can be reached from Airflow's API server.")
    raise _problem(outcome)


def _problem(outcome: Outcome) -> PageError:
    """Return the worker's own words, where there are any."""
    kind = "refused" if outcome.exit_code in NEVER_RETRY else "failed"
    said = outcome.document.get("message") or " ".join(outcome.last_lines) or "the worker said nothing"
    message = f"vitalprep {outcome.arguments[0]} {kind} (exit {outcome.exit_code}): {said}"
    return PageError(kind, message, str(outcome.document.get("mend") or _mend_worker()))


def _mend_worker() -> str:
    return (
        f"See that VITALPREP_COMMAND in the environment of Airflow's API server is vitalprep, of the plugins' version "
        f"(it runs {worker_command()[0]!r}), and that the storage can be reached from there."
    )


def _log(level: int, text: str) -> None:
    # Every few seconds while somebody looks: only what is wrong belongs into the server's log.
    log.log(level if level > logging.INFO else logging.DEBUG, "%s", text)
