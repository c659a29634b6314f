"""Worker processes, one per core. After a stop none begins a task, and no child outlives its parent."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from threading import Lock, Thread
from typing import Any, Self, TypeVar

from vitalprep.runtime.console import log, log_again, log_through, report_failure
from vitalprep.runtime.errors import RetryableError, Stopped, VitalprepError

__all__ = ["StopRequest", "WorkerPool", "default_workers", "stop_on_signals"]

Task = TypeVar("Task")
Result = TypeVar("Result")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECONDS_TO_COMMIT = 20.0  # what a task in flight gets after SIGTERM; ECS kills after 120 s
SECONDS_TO_LEAVE = 27.0  # after the first signal: 30 are promised
SECONDS_TO_LEAVE_AT_ONCE = 1.0  # after the second: time to end children and to print the result
POLL = 0.2
NAMED = 5  # tasks that a message names


def default_workers() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class StopRequest:
    """What SIGTERM and SIGINT have asked for: to stop, and by a second one to leave `at_once`."""

    def __init__(self) -> None:
        self.requested = False
        self.at_once = False

    def raise_if_requested(self, left: str = "the rest is left") -> None:
        """Raise `Stopped` (exit 143) if a stop was asked for."""
        if not self.requested:
            return
        raise self.stopped(left)

    def stopped(self, left: str) -> Stopped:
        """Return the error that tells how it was stopped and what is left."""
        how = "at once by a second signal" if self.at_once else "by a signal"
        return Stopped(f"Stopped {how}: finished work is committed, {left}.", fix="run it again; it resumes.")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request. Who does not heed it in time is ended with exit code 143.

    While a library's call runs (a listing of a slow store), Python runs no signal handler. So a thread obeys.
    """
    request = StopRequest()
    signals, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    thread = Thread(target=_obey, args=(signals, request), daemon=True)
    previous_wakeup = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    previous = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    thread.start()
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_wakeup)
        wakeup.close()
        thread.join()
        signals.close()


def _obey(signals: socket.socket, request: StopRequest) -> None:
    """Receive a byte for each signal; nothing is received when the block has ended."""
    if not signals.recv(1):
        return
    request.requested = True
    with suppress(TimeoutError):
        signals.settimeout(SECONDS_TO_LEAVE)
        if not signals.recv(1):
            return
        request.at_once = True
        signals.settimeout(SECONDS_TO_LEAVE_AT_ONCE)
        if not signals.recv(1):
            return
    report_failure(request.stopped("the rest is left, also what it was in the middle of"))
    os._exit(Stopped.exit_code)


class WorkerPool:
    """Up to `workers` child processes, started when there is work and kept for the next stage.

    Parameters
    ----------
    workers : int
        Number of processes, at least 1.
    stop : StopRequest
        After a request no task is begun.
    """

    def __init__(self, workers: int, stop: StopRequest) -> None:
        self.workers = workers
        self.stop = stop
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.let_go()
        for worker in workers:
            worker.process.join()

    def results(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], *, name: Callable[[Task], str]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield (task, result) as worker processes finish them, in no fixed order.

        Parameters
        ----------
        function : callable
            Module-level function; runs in a spawned process.
        name : callable
            What to call a task in an error.

        Raises
        ------
        Stopped
            If a stop was requested, naming tasks that are left; tasks in flight got 20 s to finish and were yielded.
        RetryableError
            If a worker process died (out of memory, killed) or met an unforeseen error; other errors as the task
            raised.
        """
        queue = iter(tasks)
        busy: list[_Worker] = []
        for index in range(self.workers):
            task = next(queue, _NOTHING)
            if task is _NOTHING or self.stop.requested:
                break
            if index == len(self._workers):
                self._workers.append(_Worker())
            self._workers[index].begin(function, task, name)
            busy.append(self._workers[index])
        deadline = None
        while busy:
            if self.stop.requested and deadline is None:
                deadline = time.monotonic() + SECONDS_TO_COMMIT
            if self.stop.at_once or (deadline is not None and time.monotonic() > deadline):
                break
            for worker in _with_answers(busy):
                task, result = worker.finish()
                following = _NOTHING if self.stop.requested else next(queue, _NOTHING)
                if following is _NOTHING:
                    busy.remove(worker)
                else:
                    worker.begin(function, following, name)
                yield task, result
        if self.stop.requested:
            self.stop.raise_if_requested(_named_left(chain((worker.task for worker in busy), queue), name))


_NOTHING: Any = object()


def _with_answers(busy: list[_Worker]) -> Iterator[_Worker]:
    """Wait a moment, log what the processes log, and yield those that have finished a task."""
    ready = wait([worker.pipe for worker in busy], timeout=POLL)
    for worker in [worker for worker in busy if worker.pipe in ready]:
        if not worker.logged():
            yield worker


def _named_left(tasks: Iterable[Task], name: Callable[[Task], str]) -> str:
    left = iter(tasks)
    names = [name(task) for task in islice(left, NAMED)]
    more = sum(1 for _ in left)
    return f"left: {', '.join(names) or 'nothing of this stage'}" + (f" and {more} more" if more else "")


class _Worker:
    """One child process, and the pipe over which it gets tasks and gives results."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # obstore's threads do not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # which would unblock the signals
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # inherited until the child ignores them
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.busy = False
        self.task: Any = _NOTHING
        self.name = ""
        self._answer: tuple[str, Any] = ("", None)

    def begin(self, function: Callable[[Task], Any], task: Task, name: Callable[[Task], str]) -> None:
        self.task = task
        self.name = name(task)
        self.busy = True
        log(f"{self.name} begun", level=logging.DEBUG)
        try:
            self.pipe.send((function, task))
        except OSError:
            raise self._died() from None

    def logged(self) -> bool:
        """Receive a message. Return whether it was a log line; if not, `finish` has what the task came to."""
        try:
            kind, value = self._answer = self.pipe.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of an answer, or before it read the task
            raise self._died() from None
        if kind == "log":
            log_again(value)
        return bool(kind == "log")

    def finish(self) -> tuple[Any, Any]:
        """Return the task and its result, or raise what it raised."""
        self.busy = False
        kind, value = self._answer
        if kind == "error":
            raise value
        if kind == "unforeseen":
            raise RetryableError(f"Unforeseen error at {self.name}:\n{value}", fix="report this, with the lines above.")
        return self.task, value

    def let_go(self) -> None:
        """End the process without waiting: an idle one leaves when its pipe closes, a busy one is killed."""
        self.pipe.close()
        if self.busy:
            self.process.kill()

    def _died(self) -> RetryableError:
        self.process.join()
        return RetryableError(
            f"The worker process died at {self.name} (exit code {self.process.exitcode}).",
            fix="retry; if it dies again, give it more memory or fewer workers.",
        )


def _serve(pipe: Connection) -> None:
    """Do tasks until the parent closes the pipe or dies. Signals are the parent's to handle."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_leave_with_parent, daemon=True).start()
    one_at_a_time = Lock()  # a task may have threads that log

    def send(*message: Any) -> None:
        with one_at_a_time:
            pipe.send(message)

    log_through(lambda record: send("log", record))
    with suppress(EOFError, OSError):
        while True:
            function, task = pipe.recv()
            try:
                answer = ("result", function(task))
            except VitalprepError as error:
                answer = ("error", error)
            except Exception:
                answer = ("unforeseen", traceback.format_exc())
            send(*answer)


def _leave_with_parent() -> None:
    """End this process in the middle of its task if the parent dies: nobody would take the answer, a retry may run.

    Nothing is lost by it, as a case's receipt and a file's last part are written last.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
