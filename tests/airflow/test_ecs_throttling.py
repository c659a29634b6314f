"""Many shards on an ECS that throttles: nothing fails, and the number of calls hardly grows with the shards."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aws_endpoint import Bucket, CallFault
from ecs_endpoint import EcsEndpoint
from ecs_settings import ecs_settings
from task_context import Kept, TaskInstance, executed, finished, waiting

SHARDS = 200
FASTER = 20  # the endpoint's limits and our pauses: a minute is 3 s here
POLL_SECONDS, LOG_READS = 6 / FASTER, 5 * FASTER


class Held:
    """A container of this process, which ends when it is told to."""

    def __init__(self, go: threading.Event) -> None:
        self._go = go

    def lines(self) -> Iterator[str]:
        yield "begun"
        self._go.wait()
        yield '{"ok": true}'

    def signal(self, number: int) -> None:
        self._go.set()

    def wait(self) -> int:
        return 0


@pytest.fixture
def go() -> threading.Event:
    return threading.Event()


@pytest.fixture
def ecs(go: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Generator[EcsEndpoint]:
    from vitalprep_airflow.backends.ecs_operator import EcsWorkerOperator

    with EcsEndpoint(lambda command, environment: Held(go), {}) as endpoint:
        for name, value in ecs_settings(endpoint.url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # botocore's own pauses are not as short as the test's
        monkeypatch.setenv("VITALPREP_ECS_POLL_SECONDS", str(POLL_SECONDS))
        monkeypatch.setenv("VITALPREP_ECS_LOG_READS", str(LOG_READS))
        monkeypatch.setenv("VITALPREP_LOG_WAIT", "60")
        # One client for all: making 200 of them takes longer than the test.
        monkeypatch.setattr(EcsWorkerOperator, "client", operator().client)
        yield endpoint


def operator() -> Any:
    from vitalprep_airflow.backends.ecs_operator import EcsWorkerOperator
    from vitalprep_airflow.step import Step

    return EcsWorkerOperator(task_id="harmonize", step=Step(command="harmonize", arguments=()), retries=0)


def context(index: int) -> dict[str, Any]:
    return {"ti": TaskInstance(map_index=index), "task_state_store": Kept()}


def test_two_hundred_shards_at_once(ecs: EcsEndpoint, go: threading.Event) -> None:
    ecs.limits = {
        "DescribeTasks": Bucket(20 * FASTER, burst=40),
        # Narrower than the others, so that one process reaches it with all its threads.
        "RunTask": Bucket(10 * FASTER / 2, burst=20),
        "GetLogEvents": Bucket(10 * FASTER, burst=20),
    }
    with ThreadPoolExecutor(SHARDS) as processes:
        triggers = list(processes.map(lambda index: waiting(operator(), context(index)), range(SHARDS)))
    assert len({task.request["startedBy"] for task in ecs.tasks}) == len(ecs.tasks) == SHARDS
    ecs.calls.clear()
    began = time.monotonic()
    events = asyncio.run(_all_end(triggers, ecs, go))
    polls = (time.monotonic() - began) / POLL_SECONDS + 1
    assert ecs.calls["DescribeTasks"] <= 2 * polls, "two for 200 shards, at each poll"
    assert ecs.calls["GetLogEvents"] <= LOG_READS * polls * POLL_SECONDS, "of all shards together"
    results = [finished(operator(), Fired(event), context(index)) for index, event in enumerate(events)]
    assert results == [{"ok": True}] * SHARDS


class Fired:
    """A trigger that has fired."""

    def __init__(self, event: Any) -> None:
        self._event = event

    async def run(self) -> Any:
        yield self._event


async def _all_end(triggers: list[Any], ecs: EcsEndpoint, go: threading.Event, *, shards: int = SHARDS) -> list[Any]:
    """Wait as the triggerer does, and let the containers end once each has been asked for."""
    waits = asyncio.gather(*(anext(trigger.run()) for trigger in triggers))
    while len(ecs.described) < shards:
        await asyncio.sleep(0.01)
    go.set()
    return await waits


def test_the_logs_of_all_shards_are_read_at_one_pace(
    ecs: EcsEndpoint, go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_ECS_LOG_READS", "10")
    monkeypatch.setenv("VITALPREP_ECS_POLL_SECONDS", "0.01")
    triggers = [waiting(operator(), context(index)) for index in range(4)]
    began = time.monotonic()
    asyncio.run(_all_end(triggers, ecs, go, shards=4))
    assert ecs.calls["GetLogEvents"] <= 10 * (time.monotonic() - began) + 1


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("ListTasks", "ThrottlingException"),
        ("ListTasks", "ServerException"),
        ("RunTask", "ThrottlingException"),
        ("DescribeTasks", "ThrottlingException"),
    ],
)
def test_a_call_without_an_answer_is_made_again(
    ecs: EcsEndpoint, go: threading.Event, operation: str, code: str, task_log: Callable[[], list[str]]
) -> None:
    ecs.call_faults = [CallFault(operation, code, times=2)]
    go.set()
    assert executed(operator(), context(0)) == {"ok": True}
    assert ecs.calls[operation] == 3
    assert len(ecs.tasks) == 1
    assert len([line for line in task_log() if "AWS is asked again" in line]) == 1
