"""A pool of worker processes with graceful shutdown on signals. No worker outlives its parent."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Event, Lock, Thread
from typing import Any, Self, TypeVar

from vitalprep.runtime.console import log, log_again, log_through, log_traceback, report_failure
from vitalprep.runtime.errors import RetryableError, Stopped, VitalprepError
from vitalprep.runtime.periodic import called_every
from vitalprep.runtime.silence import Silence
from vitalprep.runtime.unforeseen import traceback_of, unforeseen

__all__ = ["StopRequest", "WorkerPool", "default_workers", "stop_on_signals"]

Task = TypeVar("Task")
Result = TypeVar("Result")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SECONDS_TO_COMMIT = 20.0  # grace period for tasks in flight after SIGTERM; ECS kills after 120 s
SECONDS_TO_LEAVE = 27.0  # forced exit after the first signal; the documented limit is 30 s
SECONDS_TO_LEAVE_AT_ONCE = 1.0  # forced exit after the second; enough to end children and print the result
POLL = 0.2
HEARTBEAT_SECONDS = 10.0  # between two signs of life of a busy worker process
SECONDS_TO_REPORT = 60.0  # a worker process that is silent for so long is reported
SECONDS_TO_END = 600.0  # and after so long it is ended
NAMED = 5  # most tasks named in a message


def default_workers() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class StopRequest:
    """Stop state: the first SIGTERM or SIGINT sets `requested`, a second one sets `at_once`."""

    def __init__(self) -> None:
        self.requested = False
        self.at_once = False

    def raise_if_requested(self, left: str = "the rest is left") -> None:
        """Raise `Stopped` (exit 143) if a stop was requested."""
        if not self.requested:
            return
        raise self.stopped(left)

    def stopped(self, left: str) -> Stopped:
        """Return the error that says how the process was stopped and what is left."""
        how = "at once by a second signal" if self.at_once else "by a signal"
        return Stopped(f"Stopped {how}: finished work is committed, {left}.", fix="run it again; it resumes.")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a `StopRequest`.

    A process still running 27 s after the first signal, or 1 s after the second, exits with code 143. A thread enforces
    this, because Python runs no signal handler during a native call (for example, listing a slow store).
    """
    request = StopRequest()
    signals, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    thread = Thread(target=_watch_signals, args=(signals, request), daemon=True)
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


def _watch_signals(signals: socket.socket, request: StopRequest) -> None:
    """Receive one byte per signal; an empty read means that the block has ended."""
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
    try:
        report_failure(request.stopped("the rest is left, including the work in progress"))
    finally:
        os._exit(Stopped.exit_code)


class WorkerPool:
    """Up to `workers` child processes, started on demand and reused by the next stage.

    Parameters
    ----------
    workers : int
        Number of processes, at least 1.
    stop : StopRequest
        Once a stop is requested, no further task starts.
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
            worker.close()
        for worker in workers:
            worker.process.join()

    def results(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], *, name: Callable[[Task], str]
    ) -> Iterator[tuple[Task, Result]]:
        """Yield (task, result) as worker processes finish, in no fixed order.

        Parameters
        ----------
        function : callable
            Module-level function; runs in a spawned process.
        name : callable
            Returns a task's name for messages.

        Raises
        ------
        Stopped
            If a stop was requested. It names the tasks that are left. Tasks in flight had 20 s to finish; those that
            did were yielded.
        RetryableError
            If a worker process could not start, died (out of memory, killed), raised an unexpected exception, or gave
            no sign of life for 10 min. One that is silent for 60 s is logged. Only time in which this process itself
            runs counts.
        VitalprepError
            As the task raised it.
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
            for worker in _finished(busy):
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


def _finished(busy: list[_Worker]) -> Iterator[_Worker]:
    """Wait up to `POLL` seconds for messages, and yield the workers that finished a task. Report frozen workers."""
    ready = wait([worker.pipe for worker in busy], timeout=POLL)
    for worker in list(busy):
        if worker.pipe not in ready:
            worker.refuse_silence()
        elif worker.finished():
            yield worker


def _named_left(tasks: Iterable[Task], name: Callable[[Task], str]) -> str:
    left = iter(tasks)
    names = [name(task) for task in islice(left, NAMED)]
    more = sum(1 for _ in left)
    return f"left: {', '.join(names) or 'nothing of this stage'}" + (f" and {more} more" if more else "")


class _Worker:
    """One child process, and the pipe for its tasks and results."""

    def __init__(self) -> None:
        try:
            self.pipe, self.process = _started()
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread could be started
            raise unforeseen(error, where="the start of a worker process") from error
        self.busy = False
        self.task: Any = _NOTHING
        self.name = ""
        self._silence = Silence(report_after=SECONDS_TO_REPORT, end_after=SECONDS_TO_END)
        self._answer: tuple[str, Any] = ("", None)

    def begin(self, function: Callable[[Task], Any], task: Task, name: Callable[[Task], str]) -> None:
        self.task = task
        self.name = name(task)
        self.busy = True
        self._silence.broken()
        log(f"{self.name} started", level=logging.DEBUG)
        try:
            self.pipe.send((function, task, self.name))
        except OSError:
            raise self._died() from None

    def finished(self) -> bool:
        """Receive a message. Return whether the task ended; if so, `finish` returns its outcome."""
        self._silence.broken()
        try:
            kind, value = self._answer = self.pipe.recv()
        except (EOFError, OSError):  # OSError: the process died while sending, or before it read the task
            raise self._died() from None
        if kind == "log":
            log_again(value)
        return kind not in ("log", "alive")

    def refuse_silence(self) -> None:
        """Report a process that has sent nothing for long, and end one that is frozen.

        Raises
        ------
        RetryableError
            If the process was ended.
        """
        verdict = self._silence.verdict()
        if verdict == "report":
            log(
                f"{self.name}: the worker process {self.process.pid} has given no sign of life for "
                f"{SECONDS_TO_REPORT:g} s. It may be suspended or swapped out; after {SECONDS_TO_END:g} s it is ended.",
                level=logging.WARNING,
                pid=self.process.pid,
            )
        elif verdict == "end":
            self.process.kill()
            raise RetryableError(
                f"The worker process at {self.name} was ended: it gave no sign of life for {SECONDS_TO_END:g} s.",
                fix="check whether the machine suspends processes or swaps memory, then run it again: it resumes.",
            )

    def finish(self) -> tuple[Any, Any]:
        """Return the task and its result, or raise the task's exception."""
        self.busy = False
        kind, value = self._answer
        if kind == "error":
            raise value
        if kind == "unforeseen":
            error, trace = value
            log_traceback(trace)
            raise error
        return self.task, value

    def close(self) -> None:
        """End the process without waiting: an idle one exits when its pipe closes, a busy one is killed."""
        self.pipe.close()
        if self.busy:
            self.process.kill()

    def _died(self) -> RetryableError:
        self.process.join()
        return RetryableError(
            f"The worker process died at {self.name} (exit code {self.process.exitcode}).",
            fix="retry; if it dies again, give it more memory or fewer workers.",
        )


def _started() -> tuple[Connection, SpawnProcess]:
    """Start a child process, and return it with this end of its pipe."""
    context = multiprocessing.get_context("spawn")  # obstore's threads do not survive a fork
    ours, theirs = context.Pipe()
    with theirs:
        process = context.Process(target=_serve, args=(theirs, HEARTBEAT_SECONDS), daemon=True)
        resource_tracker.ensure_running()  # first: starting it would unblock the signals
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # the child inherits this until it ignores them
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ours, process


def _serve(pipe: Connection, heartbeat_seconds: float) -> None:
    """Run tasks until the parent closes the pipe or dies. Only the parent handles signals."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with suppress(EOFError, ConnectionError):  # the parent has closed the pipe
        try:
            Thread(target=_leave_with_parent, daemon=True).start()
            _run_tasks(pipe, heartbeat_seconds)
        except (EOFError, ConnectionError):
            raise
        except BaseException as error:  # at a thread's start, an import or the sending of a result
            pipe.send(_failure(error))


def _run_tasks(pipe: Connection, heartbeat_seconds: float) -> None:
    lock = Lock()  # a task's threads may log concurrently
    busy = Event()

    def send(*message: Any) -> None:
        with lock:
            pipe.send(message)

    def beat() -> None:
        if busy.is_set():  # nobody reads the messages of an idle process
            with suppress(ConnectionError):  # the main thread notices that the parent has closed the pipe
                send("alive", None)

    log_through(lambda record: send("log", record))
    with called_every(heartbeat_seconds, beat):
        while True:
            pipe.poll(None)
            busy.set()  # before the function's module is imported
            function, task, name = pipe.recv()
            answer = _answer(function, task, name)
            busy.clear()
            send(*answer)


def _answer(function: Callable[[Any], Any], task: Any, name: str) -> tuple[str, Any]:
    try:
        return "result", function(task)
    except VitalprepError as error:
        return "error", error
    except BaseException as error:  # also a panic of a native library
        return _failure(error, where=name)


def _failure(error: BaseException, *, where: str = "the start of a task") -> tuple[str, Any]:
    return "unforeseen", (unforeseen(error, where=where), traceback_of(error))


def _leave_with_parent() -> None:
    """Exit immediately if the parent dies: nobody would receive the result, and a retry may already be running.

    This is safe at any point, because a case's receipt and a file's last part are written last.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
