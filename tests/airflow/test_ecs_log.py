"""A container's log that fails, lags or is silent, and an ECS that throttles: the exit code alone decides."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from aws_endpoint import CallFault, WorkerProcess
from ecs_endpoint import EcsEndpoint
from ecs_settings import ecs_settings
from task_context import Kept, TaskInstance, executed, finished, kind, until, waiting

SHARD = {"command": "harmonize", "arguments": ("--plan", "s3://bucket/plan.json"), "interruptible": True}
RESULT = """echo '{"ok": true, "harmonized": 5}'"""
REFUSED = """echo '{"ok": false, "message": "The input changed: cases 4.", "fix": "plan again."}'; exit 65"""
COMMITTED = """echo '{"level": "INFO", "message": "case 3 is committed", "ok": true}'"""
WAITING = "echo begun; while ! test -e {go}; do sleep 0.02; done; " + RESULT.replace("{", "{{").replace("}", "}}")


@pytest.fixture
def script() -> dict[str, str]:
    """The container's program; a test sets ``script["body"]``."""
    return {"body": RESULT}


@pytest.fixture
def ecs(script: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Generator[EcsEndpoint]:
    def launch(command: Any, environment: Any) -> WorkerProcess:
        return WorkerProcess(["/bin/sh", "-c", script["body"], "vitalprep"], command, environment)

    with EcsEndpoint(launch, {}) as endpoint:
        for name, value in ecs_settings(endpoint.url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VITALPREP_ECS_POLL_SECONDS", "0.02")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        operator()  # the first import of Airflow sets up logging; not in a test that reads the log
        yield endpoint


@pytest.fixture
def context() -> dict[str, Any]:
    return {"ti": TaskInstance(), "task_state_store": Kept()}


def operator() -> Any:
    from vitalprep_airflow.backends.ecs_operator import EcsWorkerOperator
    from vitalprep_airflow.step import Step

    return EcsWorkerOperator(task_id="harmonize", step=Step(**SHARD), retries=3)


def failure(context: dict[str, Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (what it is, is what the tests ask)
        executed(operator(), context)
    return caught.value


def unreadable(lines: list[str]) -> list[str]:
    return [line for line in lines if "cannot be read now" in line]


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", ""])
def test_exit_0_is_a_success_whatever_becomes_of_the_log(
    ecs: EcsEndpoint,
    context: dict[str, Any],
    code: str,
    task_log: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if code:
        ecs.call_faults = [CallFault("GetLogEvents", code)]
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://127.0.0.1:9")
    assert executed(operator(), context) == {}
    (warning,) = unreadable(task_log())
    assert f"task/vitalprep/{ecs.tasks[0].id} of the CloudWatch log group /vitalprep/tasks" in warning


def test_a_log_that_can_be_read_again_is_caught_up_with(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], task_log: Callable[[], list[str]]
) -> None:
    script["body"] = "for i in 1 2 3 4; do echo line $i; sleep 0.05; done; " + RESULT
    ecs.call_faults = [CallFault("GetLogEvents", "ThrottlingException", times=3)]
    assert executed(operator(), context) == {"ok": True, "harmonized": 5}
    assert [line for line in task_log() if line.startswith("line")] == ["line 1", "line 2", "line 3", "line 4"]
    assert len(unreadable(task_log())) == 1


def test_the_last_line_is_waited_for(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_LOG_WAIT", "60")
    polls = iter(range(1000))
    ecs.shows = lambda line: '"ok": false' not in line or (ecs.tasks[0].exit_code == 65 and next(polls) > 3)
    script["body"] = f"{COMMITTED}; {REFUSED}"
    error = failure(context)
    assert kind(error) == "WorkerRefused"
    assert str(error) == "harmonize refused (exit 65): The input changed: cases 4. Fix: plan again."


@pytest.mark.parametrize("shown", ["case 3", "nothing"])
def test_no_other_line_stands_for_a_reason_that_has_not_arrived(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], shown: str
) -> None:
    ecs.shows = lambda line: shown in line
    script["body"] = f"{COMMITTED}; {REFUSED}"
    error = failure(context)
    assert kind(error) == "WorkerRefused"
    assert str(error) == (
        "harmonize refused (exit 65): the worker's message has not arrived from its log. Fix: read the last lines of "
        f"its log, the stream task/vitalprep/{ecs.tasks[0].id} of the CloudWatch log group /vitalprep/tasks."
    )


def test_a_refusal_without_a_configured_log(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VITALPREP_ECS_LOG_GROUP")
    script["body"] = REFUSED
    assert "set VITALPREP_ECS_LOG_GROUP and VITALPREP_ECS_LOG_STREAM_PREFIX" in str(failure(context))


@pytest.mark.parametrize("line", ['{"a":' + "[" * 100_000, "[" * 100_000, "1" * 10_000, '{"ok": [true', "\x00"])
def test_no_line_is_more_than_a_line(ecs: EcsEndpoint, line: str) -> None:
    from vitalprep_airflow.outcome import document_in

    assert document_in([line]) == {}


def test_a_deeply_nested_record_is_a_line_at_any_depth() -> None:
    from vitalprep_airflow.process import readable

    lines = ('{"message": "x", "a": ' + "[" * depth + "]" * depth + "}" for depth in range(800, 1100))
    assert all(readable(line)[1].endswith(("]", "}")) for line in lines)


class Pages:
    """CloudWatch Logs with pages of a log: each a token and its lines."""

    def __init__(self, *pages: tuple[str, list[str]]) -> None:
        self._pages = list(pages)

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        token, lines = self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]
        return {"nextForwardToken": token, "events": [{"message": line} for line in lines]}


def log_of(pages: Pages) -> Any:
    from vitalprep_airflow.backends.container_log import ContainerLog

    return ContainerLog(lambda: pages, group="g", streams=lambda client: ["s"], poll_seconds=0, where="here")


def test_an_empty_page_with_a_new_token_is_not_the_end_of_a_log(ecs: EcsEndpoint) -> None:
    log = log_of(Pages(("1", ["begun"]), ("2", []), ("3", []), ("4", ['{"ok": true}']), ("4", [])))
    assert log.end(ok=True, seconds=0).result == {"ok": True}


def test_a_log_that_promises_more_for_ever_ends_nevertheless(ecs: EcsEndpoint) -> None:
    log = log_of(Pages(*((str(page), []) for page in range(1000)), ("end", ["late"])))
    assert log.end(ok=False, seconds=0).last_lines == ()


def test_a_long_line_is_cut_in_what_the_database_keeps(ecs: EcsEndpoint) -> None:
    log = log_of(Pages(("1", ["x" * 200_000]), ("1", [])))
    assert log.end(ok=False, seconds=0).last_lines == ("x" * 1000,)


def test_a_slow_log_does_not_delay_the_end(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads that read logs are busy until this container's end is known."""
    from vitalprep_airflow.backends.ecs_watch import LOG_READERS, Cluster, watching

    trigger, ended = waiting(operator(), context), threading.Event()

    def hold() -> None:
        ended.wait(60)

    async def end() -> Any:
        with watching(Cluster(trigger.settings, None)) as watch:
            busy = [watch.reading(hold) for _ in range(LOG_READERS)]
            fired = await anext(trigger.run())
            assert not any(one.done() for one in busy)
            ended.set()
            return fired

    assert asyncio.run(end()).payload["log"]["result"] == {"ok": True, "harmonized": 5}


def test_a_log_record_is_no_result(ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str]) -> None:
    script["body"] = COMMITTED
    assert executed(operator(), context) == {}


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("ServerException", 500)])
def test_a_throttled_describe_tasks_does_not_fail_the_task(
    ecs: EcsEndpoint, context: dict[str, Any], code: str, status: int, task_log: Callable[[], list[str]]
) -> None:
    ecs.call_faults = [CallFault("DescribeTasks", code, times=3, status=status)]
    assert executed(operator(), context) == {"ok": True, "harmonized": 5}
    assert len(ecs.tasks) == 1
    assert len([line for line in task_log() if "AWS is asked again" in line]) == 1


def test_after_a_long_silence_of_ecs_the_next_try_follows_the_container(
    ecs: EcsEndpoint,
    context: dict[str, Any],
    script: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VITALPREP_AWS_PATIENCE", "0.05")
    script["body"] = WAITING.format(go=tmp_path / "go")
    ecs.call_faults = [CallFault("DescribeTasks", "ThrottlingException")]
    error = failure(context)
    assert kind(error) == "WorkerFailed"
    assert "Rate exceeded" in str(error)
    assert f"aws ecs stop-task --cluster vitalprep --task {ecs.tasks[0].arn}" in str(error)
    ecs.call_faults = []
    context["ti"].try_number = 2
    again = waiting(operator(), context)
    (tmp_path / "go").touch()
    assert finished(operator(), again, context) == {"ok": True, "harmonized": 5}
    assert len(ecs.tasks) == 1


def test_who_waits_since_later_has_patience_for_longer(ecs: EcsEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    from vitalprep_airflow.backends.ecs_watch import Cluster, watching

    monkeypatch.setenv("VITALPREP_AWS_PATIENCE", "0.5")
    monkeypatch.delenv("VITALPREP_ECS_LOG_GROUP")
    first, second = (
        waiting(operator(), {"ti": TaskInstance(map_index=index), "task_state_store": Kept()}) for index in (1, 2)
    )
    ecs.call_faults = [CallFault("DescribeTasks", "ThrottlingException")]

    async def both() -> tuple[Any, Any]:
        with watching(Cluster(first.settings, None)) as watch:
            await watch.in_stopper(watch._client)  # which takes longer to make than the patience is
            early = asyncio.ensure_future(anext(first.run()))
            await asyncio.to_thread(until, lambda: ecs.calls["DescribeTasks"] > 2, seconds=20)
            late = asyncio.ensure_future(anext(second.run()))
            failed = await early
            ecs.call_faults = []
            return failed, await late

    failed, ended = asyncio.run(both())
    assert "Rate exceeded" in failed.payload["error"][1]
    assert ended.payload["task"]["containers"][0]["exitCode"] == 0


def test_of_two_containers_of_one_step_one_is_stopped(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path, task_log: Callable[[], list[str]]
) -> None:
    """The answer to a RunTask was lost."""
    script["body"] = "trap 'exit 143' TERM; " + WAITING.format(go=tmp_path / "go")
    waiting(operator(), context)
    ecs.answer("RunTask", dict(ecs.tasks[0].request))
    until(lambda: all(task.events for task in ecs.tasks))
    context["ti"].try_number = 2
    again = waiting(operator(), context)
    until(lambda: ecs.tasks[1].exit_code is not None)
    (tmp_path / "go").touch()
    assert finished(operator(), again, context) == {"ok": True, "harmonized": 5}
    assert (ecs.tasks[0].exit_code, ecs.tasks[1].exit_code) == (0, 143)
    assert any(ecs.tasks[1].arn in line for line in task_log() if "second task" in line)
