"""What a task does in Airflow's triggerer while its container runs on ECS: it waits, forwards the log, and can stop it.

A task that waits here holds no process and no slot of Airflow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.container_log import ContainerLog, LogEnd
from vitalprep_airflow.backends.ecs import EcsSettings
from vitalprep_airflow.backends.ecs_errors import exit_code_of, runs_on, unanswered
from vitalprep_airflow.backends.ecs_watch import Cluster, Watch, watching
from vitalprep_airflow.outcome import DONE, RESULT_CODES

__all__ = ["ContainerEnds"]

# Airflow takes a task for failed that goes on before the scheduler knows that its first process has ended.
POLLS_BEFORE_END = 2

log = logging.getLogger("airflow.task")

_stopping: set[asyncio.Task[None]] = set()  # an event loop itself holds no task; a cancelled `on_kill` neither


class ContainerEnds(BaseTrigger):
    """Fires when a container has ended, with what `ecs_errors.end_of_task` needs to judge it.

    If a person marks the waiting task as failed or successful, or clears it, the container is stopped. If the triggerer
    ends or loses its tasks to another one, the container runs on.

    :param arn: the ECS task.
    :param spot: whether it asked for spot capacity.
    :param settings: `EcsSettings.watched`.
    :param connection: Airflow's connection to AWS, if it is not the environment's.
    """

    def __init__(self, *, arn: str, spot: bool, settings: Mapping[str, Any], connection: str | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.arn = arn
        self.spot = spot
        self.settings = EcsSettings.from_fields(settings)
        self.connection = connection

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which Airflow makes this trigger again."""
        arguments = {"arn": self.arn, "spot": self.spot, "connection": self.connection}
        return "vitalprep_airflow.backends.ecs_trigger.ContainerEnds", arguments | {"settings": self.settings.watched}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until the container has ended and its log is read."""
        known: dict[str, Any] = {"arn": self.arn, "spot": self.spot}
        earliest = asyncio.create_task(asyncio.sleep(POLLS_BEFORE_END * self.settings.poll_seconds))
        with watching(Cluster(self.settings, self.connection)) as watch:
            try:
                found = await self._end(watch)
            except (ClientError, BotoCoreError) as error:
                failure = unanswered(error, spot=self.spot)
                found = {"error": [type(failure).__name__, str(failure)]}
        await earliest
        yield TriggerEvent(known | found)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Stop the container, because a person ended the task.

        Airflow cancels this every second until it has ended; the work goes on. From the first such cancel on, its lines
        are in the triggerer's own log, because Airflow has closed the task's.
        """
        stopping = asyncio.create_task(self._stop())
        _stopping.add(stopping)
        stopping.add_done_callback(self._end_of_stop)
        await asyncio.wait({stopping})  # which a cancel of `on_kill` does not cancel

    async def _stop(self) -> None:
        with watching(Cluster(self.settings, self.connection)) as watch:
            if await self._is_deferred(watch):
                log.info(
                    "%s: the task waits. Another triggerer waits for its container, or it was cleared and has begun "
                    "anew; a new try stops what ran before the clear. Here nothing is stopped.",
                    self.arn,
                )
                return
            log.info("stopping the container %s", self.arn)
            await watch.stop(self.arn, "Task ended by the user in Airflow")
            log.info("ECS stops the container %s; it commits finished cases", self.arn)

    def _end_of_stop(self, stopping: asyncio.Task[None]) -> None:
        """Say what a failed stop leaves behind, whoever still waits for it."""
        _stopping.discard(stopping)
        error = "the triggerer ended." if stopping.cancelled() else stopping.exception()
        if error is not None:
            log.error("The container was not stopped: %s %s", error, runs_on(self.settings.cluster, self.arn))

    async def _end(self, watch: Watch) -> dict[str, Any]:
        container_log = watch.log_of(self.arn)
        ended = asyncio.create_task(watch.stopped(self.arn))
        try:
            while container_log is not None and not ended.done():
                await self._forward(watch, container_log, until=ended)
            task = await ended
        finally:
            ended.cancel()
        exit_code = exit_code_of(task, self.settings.container)
        return {"task": _described(task), "log": asdict(await self._log_end(watch, container_log, exit_code))}

    async def _forward(self, watch: Watch, container_log: ContainerLog, *, until: asyncio.Task[Any]) -> None:
        """Read the log once, and pause. The end of the container ends both; no second thread reads meanwhile."""
        reading = watch.reading(container_log.forward)
        read = asyncio.wrap_future(reading)
        try:
            await asyncio.wait({until, read}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun = not reading.cancel()
        if begun:
            await read
        await asyncio.wait({until}, timeout=self.settings.poll_seconds)

    async def _log_end(self, watch: Watch, container_log: ContainerLog | None, exit_code: int | None) -> LogEnd:
        """Read the log to its end; after an exit code with a result, wait for the result a while."""
        if container_log is None:
            return LogEnd({}, (), self.settings.log_place(self.arn))
        clock = asyncio.get_running_loop().time
        deadline = clock() + (self.settings.log_seconds if exit_code in RESULT_CODES else 0)
        while True:
            end = await watch.in_end_reader(lambda: container_log.end(ok=exit_code == DONE, seconds=0))
            if end.result or clock() >= deadline:
                return end
            await asyncio.sleep(self.settings.poll_seconds)

    async def _is_deferred(self, watch: Watch) -> bool:
        """Whether the task waits: another triggerer has taken it over, or a person cleared it and it has begun anew."""
        task = self.task_instance
        if task is None:
            return False
        try:
            found = await watch.in_stopper(
                lambda: RuntimeTaskInstance.get_task_states(
                    task.dag_id, task.map_index, [task.task_id], run_ids=[task.run_id]
                )
            )
        except AirflowRuntimeError as error:
            log.warning("Airflow does not say what became of the task (%s); its container is stopped.", error)
            return False
        return "deferred" in found.get(task.run_id, {}).values()


def _described(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `ecs_errors` reads of a task, as JSON can hold it."""
    if not task:
        return {}
    told = {name: task[name] for name in ("stopCode", "stoppedReason") if name in task}
    names = ("name", "exitCode", "reason")
    containers = [{name: one[name] for name in names if name in one} for one in task.get("containers", [])]
    return told | {"containers": containers} | ({"startedAt": str(task["startedAt"])} if "startedAt" in task else {})
