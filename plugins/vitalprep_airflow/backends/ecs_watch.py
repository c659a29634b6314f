"""Watches all ECS tasks of a cluster that one process waits for: one DescribeTasks for up to 100 of them.

The process is Airflow's triggerer. AWS limits the calls of an account, so what is called here hardly grows with the
number of tasks.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.amazon.aws.hooks.ecs import EcsHook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import connection_arguments
from vitalprep_airflow.backends.aws_errors import Patience
from vitalprep_airflow.backends.container_log import ContainerLog, logs_client
from vitalprep_airflow.backends.ecs import EcsSettings

__all__ = ["Cluster", "Watch", "watching"]

TASKS_A_CALL = 100  # as many as DescribeTasks takes
POLLS_MISSING = 10  # ECS may not know a task in its first seconds
LOG_READERS = 16  # threads
END_READERS = 4  # threads for the logs of ended containers, which need not wait behind all others
STOPPERS = 8  # threads that stop containers, which need not wait behind anything else

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Cluster:
    """What tasks have in common that are watched together: the settings, and Airflow's connection to AWS."""

    settings: EcsSettings
    connection: str | None


class Watch:
    """Waits for the end of tasks, reads their logs and stops them, for everything in one event loop.

    Every ``poll_seconds`` it calls DescribeTasks once for up to 100 tasks. All logs together are read at most
    ``log_reads`` times a second: the more tasks, the less often each one's log.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._settings = cluster.settings
        region = cluster.settings.region or None
        self._hook = EcsHook(
            aws_conn_id=cluster.connection,
            region_name=region,
            config=Config(**connection_arguments()["botocore_config"]),
        )
        self._logs = logs_client(cluster.connection, region)
        self._making = threading.Lock()  # botocore's sessions must not be used by two threads at once, its clients may
        self._pace = _Pace(cluster.settings.log_reads)
        self._readers = ThreadPoolExecutor(LOG_READERS, thread_name_prefix="container-log")
        self._end_readers = ThreadPoolExecutor(END_READERS, thread_name_prefix="container-log-end")
        self._stoppers = ThreadPoolExecutor(STOPPERS, thread_name_prefix="container-stop")
        self._waiting: dict[asyncio.Future[dict[str, Any]], _Waiter] = {}
        self._missing: Counter[str] = Counter()
        self._polling: asyncio.Task[None] | None = None
        self._patience = self._endless_patience()

    async def stopped(self, arn: str) -> dict[str, Any]:
        """Wait until a task has stopped, and return what ECS says of it; empty if ECS no longer knows it.

        Raises
        ------
        ClientError, BotoCoreError
            If ECS refuses to say, or does not answer for ``patience_seconds``.
        """
        end: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[end] = _Waiter(arn)
        if self._polling is None or self._polling.done():
            self._patience = self._endless_patience()
            # In a context of its own: what is logged there belongs to no single task.
            self._polling = asyncio.create_task(self._poll(), context=contextvars.Context())
        try:
            return await end
        finally:
            del self._waiting[end]

    def reading(self, read: Callable[[], None]) -> Future[None]:
        """Call what reads a log, in a thread whose lines go where the caller's go."""
        return self._readers.submit(contextvars.copy_context().run, read)

    async def in_end_reader(self, read: Callable[[], Answer]) -> Answer:
        """Call what reads the log of an ended container, likewise."""
        return await _called(self._end_readers, read)

    async def in_stopper(self, call: Callable[[], Answer]) -> Answer:
        """Call what stops a container, or asks whether to, in a thread whose lines go where the caller's go."""
        return await _called(self._stoppers, call)

    def log_of(self, arn: str) -> ContainerLog | None:
        """Return a task's log; None if the settings do not say where it is, or that it is not read."""
        settings, stream = self._settings, self._settings.log_stream(arn)
        if not (settings.keeps_log and settings.log_reads > 0):
            return None
        return ContainerLog(
            self._paced_logs,
            group=settings.log_group,
            streams=lambda client: [stream],
            poll_seconds=settings.poll_seconds,
            where=settings.log_place(arn),
        )

    async def stop(self, arn: str, reason: str) -> None:
        """Stop a task. The worker in it commits its finished cases.

        Raises
        ------
        ClientError, BotoCoreError
            If ECS refuses, or does not answer for ``patience_seconds``.
        """

        def call() -> None:
            self._client().stop_task(cluster=self._settings.cluster, task=arn, reason=reason)

        patience = Patience(pause=1, limit=self._settings.patience_seconds)
        while True:
            try:
                return await self.in_stopper(call)
            except (ClientError, BotoCoreError) as error:
                pause = patience.after(error)
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Let the threads end."""
        self._readers.shutdown(wait=False)
        self._end_readers.shutdown(wait=False)
        self._stoppers.shutdown(wait=False)

    async def _poll(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(await self._poll_once())
        except Exception as error:  # whatever it is, nobody may wait for ever
            for end in self._waiting:
                if not end.done():
                    end.set_exception(error)

    async def _poll_once(self) -> float:
        """Ask ECS once, and return how long to wait then. Raises an error that asking again does not help against."""
        asked = {waiter.arn for end, waiter in self._waiting.items() if not end.done()}
        try:
            described = await asyncio.to_thread(self._describe, sorted(asked))
        except (ClientError, BotoCoreError) as error:
            pause = self._patience.after(error)
            return min([pause, *self._patience_left(error)])
        self._patience = self._endless_patience()
        self._tell(asked, described)
        return self._settings.poll_seconds

    def _describe(self, arns: list[str]) -> dict[str, dict[str, Any]]:
        """Return what ECS says of each task; a task that it does not know is left out."""
        calls = (arns[first : first + TASKS_A_CALL] for first in range(0, len(arns), TASKS_A_CALL))
        answers = (self._client().describe_tasks(cluster=self._settings.cluster, tasks=some) for some in calls)
        return {task["taskArn"]: task for answer in answers for task in answer["tasks"]}

    def _tell(self, asked: Collection[str], described: dict[str, dict[str, Any]]) -> None:
        """Wake up those whose task has stopped, or is unknown for a while."""
        self._missing = Counter({arn: self._missing[arn] + 1 for arn in asked if arn not in described})
        for end, waiter in self._waiting.items():
            task = described.get(waiter.arn, {})
            if waiter.arn in asked:
                waiter.answered = time.monotonic()
            if not end.done() and (task.get("lastStatus") == "STOPPED" or self._missing[waiter.arn] >= POLLS_MISSING):
                end.set_result(task)

    def _patience_left(self, error: Exception) -> list[float]:
        """Give the error to those who have waited for an answer too long, and return how long the others still wait."""
        left = []
        for end, waiter in self._waiting.items():
            seconds = waiter.answered + self._settings.patience_seconds - time.monotonic()
            if not end.done() and seconds <= 0:
                end.set_exception(error)
            elif not end.done():
                left.append(seconds)
        return left

    def _client(self) -> Any:
        with self._making:
            return self._hook.conn

    def _paced_logs(self) -> Any:
        with self._making:
            return _PacedLogs(self._logs(), self._pace)

    def _endless_patience(self) -> Patience:
        """Return what the pauses between polls are; each waiter has a limit of its own."""
        return Patience(pause=self._settings.poll_seconds, limit=math.inf)


@dataclass
class _Waiter:
    """Somebody who waits for the end of a task."""

    arn: str
    answered: float = field(default_factory=time.monotonic)  # when ECS answered last, or the wait began


async def _called(threads: ThreadPoolExecutor, call: Callable[[], Answer]) -> Answer:
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, context.run, call)


class _Pace:
    """Spaces the calls of several threads evenly: never more than so many in a second."""

    def __init__(self, per_second: float) -> None:
        self._pause = 1 / per_second if per_second > 0 else math.inf
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for the turn of this call. Turns are given in the order in which they are asked for."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._pause
        time.sleep(turn - now)


@dataclass(frozen=True)
class _PacedLogs:
    """CloudWatch Logs, whose calls wait for their turn."""

    client: Any
    pace: _Pace

    def get_log_events(self, **request: Any) -> Any:
        self.pace.wait()
        return self.client.get_log_events(**request)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Cluster, list[Any]]] = WeakKeyDictionary()


@contextmanager
def watching(cluster: Cluster) -> Generator[Watch]:
    """Yield the event loop's watch of a cluster. It ends with its last user, and with it its AWS credentials."""
    watches = _watches.setdefault(asyncio.get_running_loop(), {})
    if cluster not in watches:
        watches[cluster] = [Watch(cluster), 0]
    shared = watches[cluster]
    shared[1] += 1
    try:
        yield shared[0]
    finally:
        shared[1] -= 1
        if not shared[1]:
            shared[0].close()
            del watches[cluster]
