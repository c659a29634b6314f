"""Worker processes, one per core. After a stop none begins a task; a child outlives its parent by its task at most."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Self, TypeVar

from preprocessing.errors import RetryableError, Stopped, VitalprepError

__all__ = ["StopRequest", "WorkerPool", "default_workers", "stop_on_signals"]

Task = TypeVar("Task")
Result = TypeVar("Result")

SECONDS_TO_COMMIT = 20.0  # what a task in flight gets after SIGTERM; ECS kills after 120 s
POLL = 0.2


def default_workers() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class StopRequest:
    """Whether SIGTERM or SIGINT has asked the process to stop."""

    def __init__(self) -> None:
        self.requested = False

    def raise_if_requested(self, left: str = "the rest is left") -> None:
        """Raise `Stopped` (exit 143) if a stop was asked for."""
        if self.requested:
            raise Stopped(f"Stopped by a signal: finished work is committed, {left}.", mend="run it again; it resumes.")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first SIGTERM or SIGINT into a request, and the second into leaving at once."""
    request = StopRequest()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if request.requested:
            raise Stopped("Stopped at once by a second signal.", mend="run it again; it resumes.")
        request.requested = True

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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
        for worker in self._workers:
            worker.end()
        self._workers = []

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
            If a stop was requested; tasks in flight got 20 s to finish and were yielded.
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
            self._workers[index].begin(function, task)
            busy.append(self._workers[index])
        deadline = None
        while busy:
            if self.stop.requested and deadline is None:
                deadline = time.monotonic() + SECONDS_TO_COMMIT
            if deadline is not None and time.monotonic() > deadline:
                break
            ready = wait([worker.pipe for worker in busy], timeout=POLL)
            for worker in [worker for worker in busy if worker.pipe in ready]:
                task, result = worker.finish(name)
                following = _NOTHING if self.stop.requested else next(queue, _NOTHING)
                if following is _NOTHING:
                    busy.remove(worker)
                else:
                    worker.begin(function, following)
                yield task, result
        self.stop.raise_if_requested()


_NOTHING: Any = object()


class _Worker:
    """One child process, and the pipe over which it gets tasks and gives results."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # obstore's threads do not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.busy = False
        self.task: Any = _NOTHING

    def begin(self, function: Callable[[Task], Any], task: Task) -> None:
        self.task = task
        self.busy = True
        self.pipe.send((function, task))

    def finish(self, name: Callable[[Any], str]) -> tuple[Any, Any]:
        """Return the task and its result, or raise what it raised."""
        self.busy = False
        try:
            kind, value = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise RetryableError(
                f"The worker process died at {name(self.task)} (exit code {self.process.exitcode}).",
                mend="retry; if it dies again, give it more memory or fewer workers.",
            ) from None
        if kind == "error":
            raise value
        if kind == "unforeseen":
            raise RetryableError(
                f"Unforeseen error at {name(self.task)}:\n{value}", mend="report this, with the lines above."
            )
        return self.task, value

    def end(self) -> None:
        """End the process: an idle one leaves when its pipe closes, a busy one is killed."""
        self.pipe.close()
        if self.busy:
            self.process.kill()
        self.process.join()


def _serve(pipe: Connection) -> None:
    """Do tasks until the parent closes the pipe or dies. Signals are the parent's to handle."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError):
        while True:
            function, task = pipe.recv()
            try:
                answer = ("result", function(task))
            except VitalprepError as error:
                answer = ("error", error)
            except Exception:
                answer = ("unforeseen", traceback.format_exc())
            pipe.send(answer)
