"""One task on ECS: what it asks for, what it makes of each answer and end, and what it says to whoever must fix it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aws_endpoint import CallFault, WorkerProcess
from ecs_endpoint import EcsEndpoint, Fault
from ecs_settings import ecs_settings
from task_context import Kept, TaskInstance, executed, finished, kind, until, waiting

SHARD = {
    "command": "harmonize",
    "arguments": ("--plan", "s3://bucket/plan.json", "--shard", "3"),
    "interruptible": True,
}
SHARD_LINE = ["harmonize", "--plan", "s3://bucket/plan.json", "--shard", "3"]
PUBLISH = {"command": "publish", "arguments": ("--plan", "x")}


@pytest.fixture
def script() -> dict[str, str]:
    """The container's program; a test sets ``script["body"]``."""
    return {"body": """echo '{"ok": true, "harmonized": 5}'"""}


@pytest.fixture
def ecs(script: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Generator[EcsEndpoint]:
    def launch(command: Any, environment: Any) -> WorkerProcess:
        return WorkerProcess(["/bin/sh", "-c", script["body"], "vitalprep"], command, environment)

    with EcsEndpoint(launch, {}) as endpoint:
        for name, value in ecs_settings(endpoint.url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VITALPREP_ECS_POLL_SECONDS", "0.05")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setenv("VITALPREP_AWS_PATIENCE", "0.3")
        yield endpoint


@pytest.fixture
def context() -> dict[str, Any]:
    return {"ti": TaskInstance(), "task_state_store": Kept()}


def operator(step: dict[str, Any] = SHARD, **kwargs: Any) -> Any:
    from vitalprep_airflow.backends.ecs_operator import EcsWorkerOperator
    from vitalprep_airflow.step import Step

    return EcsWorkerOperator(task_id="harmonize", step=Step(**step), **({"retries": 3} | kwargs))


def failure(context: dict[str, Any], **kwargs: Any) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (what it is, is what the tests ask)
        executed(operator(**kwargs), context)
    return caught.value


def test_the_result_is_the_last_line_of_the_log(ecs: EcsEndpoint, context: dict[str, Any]) -> None:
    assert executed(operator(), context) == {"ok": True, "harmonized": 5}
    request = ecs.tasks[0].request
    assert request["overrides"] == {"containerOverrides": [{"name": "vitalprep", "command": [*SHARD_LINE, "--json"]}]}
    assert request["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert "launchType" not in request
    assert {"key": "airflow-task", "value": "harmonize/3"} in request["tags"]
    assert request["propagateTags"] == "TASK_DEFINITION", "which has Terraform's"


def test_log_lines_read_as_those_of_the_local_backend(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], task_log: Callable[[], list[str]]
) -> None:
    metrics = """echo '{"_aws": {"Timestamp": 1}, "Cases": 3}'"""
    line = """echo '{"level": "WARNING", "message": "case 4 excluded", "case_id": 4}'"""
    script["body"] = f"""{metrics}; {line}; echo '{{"ok": true}}'"""
    executed(operator(), context)
    assert "case 4 excluded case_id=4" in task_log()
    assert not any("_aws" in shown for shown in task_log())


def test_a_result_is_not_needed_where_no_log_is_kept(
    ecs: EcsEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VITALPREP_ECS_LOG_GROUP")
    assert executed(operator(), context) == {}


def test_sizes_and_on_demand_shards(ecs: EcsEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITALPREP_ECS_SHARD_CPU", "1024")
    monkeypatch.setenv("VITALPREP_ECS_SHARD_MEMORY", "4096")
    monkeypatch.setenv("VITALPREP_ON_DEMAND_SHARDS", "4")
    executed(operator(), context)
    executed(operator(PUBLISH), context)
    shard, publish = (task.request for task in ecs.tasks)
    assert (shard["overrides"]["cpu"], shard["overrides"]["memory"]) == ("1024", "4096")
    assert shard["capacityProviderStrategy"][0]["capacityProvider"] == "FARGATE", "the first four shards"
    assert "cpu" not in publish["overrides"]


@pytest.mark.parametrize("run_id", ["replay~2026-01-01", "\N{ROCKET} (ärger)" + "x" * 300, "AWS:1", "Ω/2²"])
def test_tags_are_what_ecs_takes(ecs: EcsEndpoint, context: dict[str, Any], run_id: str) -> None:
    """The endpoint refuses what ECS's own patterns refuse."""
    context["ti"].run_id, context["ti"].dag_id = run_id, "größen"
    executed(operator(), context)
    tags = {tag["key"]: tag["value"] for tag in ecs.tasks[0].request["tags"]}
    assert tags["airflow-dag"] == "größen"
    cleaned = {"r": "replay_2026-01-01", "A": "AWS_1", "Ω": "Ω/2²"}
    assert tags["airflow-run"] == cleaned.get(run_id[0], "_ _ärger_" + "x" * 247)


@pytest.mark.parametrize("code", [2, 65])
def test_refused_is_never_retried(ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], code: int) -> None:
    answer = '{"ok": false, "message": "The input changed: cases 4.", "fix": "plan again."}'
    script["body"] = f"echo '{answer}'; exit {code}"
    error = failure(context)
    assert kind(error) == "WorkerRefused"
    assert str(error) == f"harmonize refused (exit {code}): The input changed: cases 4. Fix: plan again."


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("echo 'no space left'; exit 1", "harmonize failed (exit 1): the last lines of its log: no space left"),
        ("exit 143", "was stopped by SIGTERM"),
        ("kill -KILL $$", "killed by SIGKILL"),
    ],
)
def test_failed_is_retried(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], body: str, text: str
) -> None:
    script["body"] = body
    error = failure(context)
    assert kind(error) == "WorkerFailed"
    assert text in str(error)


def test_a_container_that_ended_well_although_interrupted_has_failed(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str]
) -> None:
    """The provider's operator takes it for a success; what it had left undone would be missing."""
    script["body"] = "trap 'exit 0' TERM; while :; do sleep 0.02; done"
    ecs.faults = [Fault("interrupt", when=lambda: time.sleep(0.3) or True)]
    error = failure(context)
    assert ecs.tasks[0].exit_code == 0
    assert kind(error) == "SpotLost"
    assert "Interruption 1; the next try runs on spot." in str(error)


def test_clearing_a_task_begins_to_count_anew(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str]
) -> None:
    script["body"] = "exit 1"
    kinds = [kind(failure(context, retries=3)) for _ in range(2)]
    context["ti"].max_tries = 6  # as Airflow does on clearing: three more tries
    kinds += [kind(failure(context, retries=3)) for _ in range(2)]
    assert kinds == ["WorkerFailed", "WorkerRefused"] * 2, "three retries, two of them for interruptions"


def test_pauses_after_interruptions_grow_and_failures_wait_as_the_dag_says(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_INTERRUPTION_PAUSE", "15")
    monkeypatch.setenv("VITALPREP_ON_DEMAND_AFTER", "9")
    script["body"] = "trap 'exit 143' TERM; while :; do sleep 0.02; done"
    ecs.faults = [Fault("interrupt", when=lambda: time.sleep(0.2) or True)]
    pauses = []
    for _ in range(6):
        task = operator()
        with pytest.raises(Exception, match="taken away") as caught:
            executed(task, context)
        pauses.append(task.retry_policy.evaluate(caught.value, 1, 9, context).retry_delay.total_seconds())
    assert pauses == [15, 30, 60, 120, 240, 300]
    assert task.retry_policy.evaluate(ValueError(), 1, 9, context).retry_delay is None


REFUSALS = [
    ("ClusterNotFoundException", "Cluster not found.", "WorkerRefused", "VITALPREP_ECS_CLUSTER"),
    ("ClusterNotFoundException", "The referenced cluster was inactive.", "WorkerRefused", "VITALPREP_ECS_CLUSTER"),
    ("ClientException", "TaskDefinition not found.", "WorkerRefused", "terraform apply"),
    ("ClientException", "TaskDefinition is inactive", "WorkerRefused", "VITALPREP_ECS_WORKER_TASK"),
    (
        "AccessDeniedException",
        "User: x is not authorized to perform: iam:PassRole on resource: y",
        "WorkerRefused",
        "iam:PassRole",
    ),
    (
        "AccessDeniedException",
        "User: x is not authorized to perform: ecs:RunTask on resource: y",
        "WorkerRefused",
        "terraform output airflow_role",
    ),
    ("ExpiredTokenException", "The security token included in the request is expired", "WorkerRefused", "renew"),
    ("UnrecognizedClientException", "The security token included is invalid.", "WorkerRefused", "renew"),
    (
        "ClientException",
        "You've reached the limit on the number of vCPUs you can run concurrently",
        "WorkerFailed",
        "VITALPREP_SHARDS_AT_ONCE",
    ),
    (
        "InvalidParameterException",
        "The subnet ID 'subnet-1' does not exist",
        "WorkerRefused",
        "VITALPREP_ECS_SUBNETS",
    ),
    (
        "InvalidParameterException",
        "The specified capacity provider strategy cannot contain FARGATE_SPOT.",
        "WorkerRefused",
        "terraform/cluster.tf",
    ),
    ("ClientException", "No Fargate configuration exists for given values: cpu 3", "WorkerRefused", "SHARD_CPU"),
    ("ThrottlingException", "Rate exceeded", "WorkerFailed", "tried again"),
    ("ServerException", "Service Unavailable. Please try again later.", "WorkerFailed", "tried again"),
]


@pytest.mark.parametrize(("code", "text", "expected", "fix"), REFUSALS)
def test_what_ecs_refuses_names_the_fix(
    ecs: EcsEndpoint, context: dict[str, Any], code: str, text: str, expected: str, fix: str
) -> None:
    ecs.faults = [Fault("refuse", code=code, text=text)]
    error = failure(context)
    assert kind(error) == expected
    assert text.rstrip(".") in str(error)
    assert fix in str(error)


STARTS = [
    (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref: not found",
        "WorkerRefused",
        "push the image",
    ),
    (
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed "
        "to create Cloudwatch log stream: The specified log group does not exist.",
        "WorkerRefused",
        "log group",
    ),
    (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve secret from asm: service call has been retried 1 time(s): AccessDeniedException: User: x",
        "WorkerRefused",
        "read that secret",
    ),
    (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve ecr registry auth: service call has been retried 3 time(s): dial tcp: i/o timeout",
        "WorkerRefused",
        "PUBLIC_IP",
    ),
    ("ResourceInitializationError: failed to create network: i/o timeout", "WorkerRefused", "PUBLIC_IP"),
    (
        "ECS was unable to assume the role 'arn:aws:iam::0:role/x' that was provided for this task.",
        "WorkerRefused",
        "ecs-tasks.amazonaws.com",
    ),
    ("CannotStartContainerError: exec format error", "WorkerRefused", "CPU architecture"),
    ("Capacity is unavailable at this time. Please try again later", "SpotLost", "No spot capacity"),
    ("Timeout waiting for network interface provisioning to complete.", "WorkerFailed", "tried again"),
]


@pytest.mark.parametrize(("reason", "expected", "fix"), STARTS)
def test_a_container_that_does_not_start_names_the_fix(
    ecs: EcsEndpoint, context: dict[str, Any], reason: str, expected: str, fix: str
) -> None:
    ecs.faults = [Fault("no-start", text=reason)]
    error = failure(context)
    assert kind(error) == expected
    assert fix in str(error)


def test_nobody_answers(ecs: EcsEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", "http://127.0.0.1:9")
    error = failure(context, retries=5)
    assert kind(error) == "WorkerFailed"


def test_no_credentials(ecs: EcsEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    error = failure(context)
    assert kind(error) == "WorkerRefused"
    assert "credentials" in str(error)


WAITING = (
    "trap 'echo stopped; exit 143' TERM; echo begun; while ! test -e {go}; do sleep 0.02; done; echo '{{\"ok\": true}}'"
)


def begun(context: dict[str, Any], ecs: EcsEndpoint) -> Any:
    """Execute a task until it waits for its container, and return what waits."""
    trigger = waiting(operator(), context)
    until(lambda: all(task.events for task in ecs.tasks))
    return trigger


def test_a_new_airflow_process_finds_the_running_container(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    """After a crash of Airflow the shard goes on; nothing is started twice."""
    script["body"] = WAITING.format(go=tmp_path / "go")
    begun(context, ecs)
    context["ti"].try_number = 2
    again = begun(context, ecs)
    (tmp_path / "go").touch()
    assert finished(operator(), again, context) == {"ok": True}
    assert len(ecs.tasks) == 1
    executed(operator(), {"ti": TaskInstance(map_index=4), "task_state_store": Kept()})
    assert len(ecs.tasks) == 2, "another shard is another container"


def test_clearing_a_task_stops_its_container_and_starts_another(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    script["body"] = WAITING.format(go=tmp_path / "go")
    begun(context, ecs)
    context["ti"].max_tries += 3  # as Airflow does on clearing
    begun(context, ecs)
    cleared, new = ecs.tasks
    until(lambda: cleared.exit_code == 143)
    assert new.exit_code is None
    assert cleared.reason == "Its task was cleared in Airflow"
    (tmp_path / "go").touch()


async def _ended_by_a_person(trigger: Any, ecs: EcsEndpoint) -> None:
    """Do what the triggerer does when the waiting task is marked as failed or cleared."""
    waits = asyncio.ensure_future(anext(trigger.run()))
    await asyncio.to_thread(until, lambda: ecs.described)
    waits.cancel()
    with suppress(asyncio.CancelledError):
        await waits
    await trigger.on_kill()


@pytest.mark.parametrize(("state", "stopped"), [("failed", True), ("deferred", False)])
def test_only_a_person_stops_the_container(
    ecs: EcsEndpoint,
    context: dict[str, Any],
    script: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    stopped: bool,
) -> None:
    """Airflow calls the same hook of a triggerer that lost the task to another one; then the task still waits."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def states(dag: str, index: int, tasks: list[str], *, run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {run_ids[0]: {f"{tasks[0]}_{index}": state}}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", states)
    script["body"] = WAITING.format(go=tmp_path / "go")
    trigger = begun(context, ecs)
    trigger.task_instance = context["ti"]
    asyncio.run(_ended_by_a_person(trigger, ecs))
    if not stopped:
        (tmp_path / "go").touch()
    until(lambda: ecs.tasks[0].exit_code is not None)
    assert (ecs.tasks[0].stop_code, ecs.tasks[0].exit_code) == (
        ("UserInitiated", 143) if stopped else ("EssentialContainerExited", 0)
    )


def test_a_container_is_stopped_although_airflow_cancels_the_stop_again_and_again(
    ecs: EcsEndpoint,
    context: dict[str, Any],
    script: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    asked, answers = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> dict[str, dict[str, str]]:
        asked.set()
        answers.wait()
        return {}

    async def killed(trigger: Any) -> None:
        kill = asyncio.create_task(trigger.on_kill())
        await asyncio.to_thread(asked.wait)
        for _ in range(2):
            kill.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await kill
        answers.set()
        await asyncio.to_thread(until, lambda: ecs.calls["StopTask"], seconds=20)

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", slow)
    script["body"] = WAITING.format(go=tmp_path / "go")
    trigger = begun(context, ecs)
    trigger.task_instance = context["ti"]
    asyncio.run(killed(trigger))
    until(lambda: ecs.tasks[0].exit_code == 143)


def test_a_container_that_cannot_be_stopped_is_named_with_the_command_that_stops_it(
    ecs: EcsEndpoint, context: dict[str, Any], task_log: Callable[[], list[str]]
) -> None:
    trigger = begun(context, ecs)
    ecs.call_faults = [CallFault("StopTask", "AccessDeniedException", "No.")]
    asyncio.run(trigger.on_kill())
    (line,) = [line for line in task_log() if "was not stopped" in line]
    assert line.endswith(f"To stop it: aws ecs stop-task --cluster vitalprep --task {ecs.tasks[0].arn}")


def test_a_container_that_takes_longer_than_the_execution_timeout_is_stopped(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    from airflow.sdk.exceptions import TaskDeferralTimeout

    script["body"] = WAITING.format(go=tmp_path / "go")
    begun(context, ecs)
    with pytest.raises(TaskDeferralTimeout):
        operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    until(lambda: ecs.tasks[0].exit_code == 143)


@pytest.mark.parametrize(
    ("reason", "expected"), [("Trigger timeout", "TaskDeferralTimeout"), ("Trigger failure", "TaskDeferralError")]
)
def test_a_wait_that_fails_says_what_becomes_of_the_container(
    ecs: EcsEndpoint, context: dict[str, Any], reason: str, expected: str, task_log: Callable[[], list[str]]
) -> None:
    begun(context, ecs)
    ecs.call_faults = [CallFault("StopTask", "AccessDeniedException", "No.")]
    with pytest.raises(Exception, match=reason) as caught:
        operator().resume_execution("__fail__", {"error": reason}, context)
    assert kind(caught.value) == expected
    said = "\n".join([*task_log(), str(caught.value)])
    assert f"aws ecs stop-task --cluster vitalprep --task {ecs.tasks[0].arn}" in said


def test_a_trigger_of_another_version_waits_on(ecs: EcsEndpoint, context: dict[str, Any]) -> None:
    from vitalprep_airflow.backends.ecs_trigger import ContainerEnds

    _, arguments = begun(context, ecs).serialize()
    fields = arguments["settings"]
    assert "subnets" not in fields, "the wait needs none"
    del fields["log_reads"]
    again = ContainerEnds(**arguments | {"settings": fields | {"subnets": ["subnet-1"], "unheard_of": 1}})
    assert again.settings.log_reads == 1000, "the environment's"
    assert finished(operator(), again, context) == {"ok": True, "harmonized": 5}


def test_a_log_that_is_never_read(
    ecs: EcsEndpoint, context: dict[str, Any], script: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_ECS_LOG_READS", "0")
    script["body"] = "exit 65"
    assert "of the CloudWatch log group /vitalprep/tasks" in str(failure(context))
    assert not ecs.calls["GetLogEvents"]


def test_links_to_the_task_and_its_log(ecs: EcsEndpoint, context: dict[str, Any]) -> None:
    from vitalprep_airflow.backends.ecs_operator import EcsTaskLink

    task = operator()
    executed(task, context)
    conf = context["ti"].xcoms
    number = ecs.tasks[0].id
    url = EcsTaskLink().format_link(**conf["ecs_task"])
    assert url == (
        f"https://console.aws.amazon.com/ecs/v2/clusters/vitalprep/tasks/{number}/configuration?region=eu-north-1"
    )
    assert conf["cloudwatch_events"]["awslogs_stream_name"] == f"task/vitalprep/{number}"
    assert [link.name for link in task.operator_extra_links] == [
        "ECS task",
        "CloudWatch Events",
        "Progress",
    ]


@pytest.mark.parametrize("name", ["VITALPREP_ECS_CLUSTER", "VITALPREP_ECS_SUBNETS", "AWS_DEFAULT_REGION"])
def test_a_missing_setting_is_named_by_the_first_check(
    ecs: EcsEndpoint, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, name: str
) -> None:
    monkeypatch.delenv(name)
    run = request.getfixturevalue("trigger")(input="/nowhere", output="/nowhere")
    assert run.states["plan_shards"] == "skipped"
    assert f"VITALPREP_BACKEND=ecs needs {name} in Airflow's environment" in run.reason("check_config")
    assert ecs.tasks == []
