"""One task as a Batch job: what it asks for, what it makes of each end, and what it says to whoever must fix it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from aws_endpoint import CallFault, WorkerProcess
from batch_endpoint import BUILDER, ON_DEMAND, SPOT, WORKER, BatchEndpoint, Fault, batch_settings
from task_context import Kept, TaskInstance, kind, until

SHARD = {
    "command": "harmonize",
    "arguments": ("--plan", "s3://bucket/plan.json", "--shard", "3"),
    "interruptible": True,
}
SHARD_LINE = ["harmonize", "--plan", "s3://bucket/plan.json", "--shard", "3"]
PUBLISH = {"command": "publish", "arguments": ("--plan", "x")}
DONE = """echo '{"ok": true, "harmonized": 5}'"""
UNTIL_STOPPED = "trap 'exit 143' TERM; echo begun; while :; do sleep 0.02; done"


@pytest.fixture
def script() -> dict[str, str]:
    """The container's program; a test sets ``script["body"]``."""
    return {"body": DONE}


@pytest.fixture
def batch(script: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Generator[BatchEndpoint]:
    def launch(command: Any, environment: Any) -> WorkerProcess:
        return WorkerProcess(["/bin/sh", "-c", script["body"], "vitalprep"], command, environment)

    with BatchEndpoint(launch, {}) as endpoint:
        for name, value in batch_settings(endpoint.url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield endpoint


@pytest.fixture
def context() -> dict[str, Any]:
    return anew()


def anew() -> dict[str, Any]:
    """Another task's context."""
    return {"ti": TaskInstance(), "task_state_store": Kept()}


def operator(step: dict[str, Any] = SHARD, **kwargs: Any) -> Any:
    from vitalprep_airflow.backends.batch_operator import BatchWorkerOperator
    from vitalprep_airflow.step import Step

    return BatchWorkerOperator(task_id="harmonize", step=Step(**step), **({"retries": 3} | kwargs))


def failure(context: dict[str, Any], **kwargs: Any) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (what it is, is what the tests ask)
        operator(**kwargs).execute(context)
    return caught.value


def test_a_shard_runs_in_the_spot_queue_and_all_else_on_demand(batch: BatchEndpoint, context: dict[str, Any]) -> None:
    assert operator().execute(context) == {"ok": True, "harmonized": 5}
    operator(PUBLISH).execute(anew())
    shard, publish = (job.request for job in batch.jobs)
    assert (shard["jobQueue"], shard["jobDefinition"]) == (SPOT, WORKER)
    assert (publish["jobQueue"], publish["jobDefinition"]) == (ON_DEMAND, BUILDER)
    assert shard["containerOverrides"] == {"command": [*SHARD_LINE, "--json"], "resourceRequirements": []}
    assert shard["tags"]["airflow-task"] == "harmonize-3-1"
    assert shard["retryStrategy"]["attempts"] == 2, "VITALPREP_ON_DEMAND_AFTER"
    assert publish["retryStrategy"]["attempts"] == 1


def test_sizes_and_on_demand_shards(
    batch: BatchEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_BATCH_SHARD_CPU", "256")
    monkeypatch.setenv("VITALPREP_BATCH_SHARD_MEMORY", "2048")
    monkeypatch.setenv("VITALPREP_ON_DEMAND_SHARDS", "4")
    operator().execute(context)
    operator(PUBLISH).execute(anew())
    shard, publish = (job.request for job in batch.jobs)
    assert shard["containerOverrides"]["resourceRequirements"] == [
        {"type": "VCPU", "value": "0.25"},
        {"type": "MEMORY", "value": "2048"},
    ]
    assert shard["jobQueue"] == ON_DEMAND, "the first four shards"
    assert not publish["containerOverrides"]["resourceRequirements"]


def test_names_and_tags_are_those_that_batch_takes(batch: BatchEndpoint, context: dict[str, Any]) -> None:
    context["ti"].run_id = "replay~2026-01-01 \N{SNOWMAN}" + "x" * 300
    operator().execute(context)
    (job,) = batch.jobs
    assert job.request["tags"]["airflow-run"] == "replay_2026-01-01 _" + "x" * 237


def test_batch_starts_an_interrupted_job_again_and_the_task_does_not_notice(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path, task_log: Any
) -> None:
    script["body"] = f"if mkdir {tmp_path}/begun; then {UNTIL_STOPPED}; fi; {DONE}"
    batch.faults = [Fault("interrupt", times=1)]
    assert operator().execute(context) == {"ok": True, "harmonized": 5}
    (job,) = batch.jobs
    assert [one["container"]["exitCode"] for one in job.attempts] == [143, 0]
    assert task_log().count("begun") == 1, "the lines of each attempt, once"
    assert context["task_state_store"].get("tally") is None


def test_interrupted_too_often_a_shard_moves_to_the_on_demand_queue(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str]
) -> None:
    script["body"] = UNTIL_STOPPED
    batch.faults = [Fault("interrupt")]
    error = failure(context)
    assert kind(error) == "SpotLost"
    assert "Interruption 2; the next try runs on demand." in str(error)
    assert len(batch.jobs[0].attempts) == 2
    script["body"] = DONE
    context["ti"].try_number = 2
    operator().execute(context)
    assert [job.queue for job in batch.jobs] == [SPOT, ON_DEMAND]


def test_a_container_that_ended_well_although_interrupted_has_failed(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_ON_DEMAND_AFTER", "1")
    script["body"] = "trap 'exit 0' TERM; echo begun; while :; do sleep 0.02; done"
    batch.faults = [Fault("interrupt")]
    assert kind(failure(context)) == "SpotLost"
    assert batch.jobs[0].status == "SUCCEEDED"
    script["body"] = DONE
    context["ti"].try_number = 2
    assert operator().execute(context) == {"ok": True, "harmonized": 5}
    assert len(batch.jobs) == 2, "it is not taken for the result"


def test_a_job_without_capacity_is_given_up(
    batch: BatchEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_BATCH_SPOT_WAIT", "0.2")
    batch.faults = [Fault("never")]
    error = failure(context)
    assert kind(error) == "SpotLost"
    assert "VITALPREP_BATCH_SPOT_WAIT" in str(error)
    until(lambda: batch.jobs[0].status == "FAILED")
    context["ti"].try_number = 2
    failure(context)
    context["ti"].try_number = 3
    operator().execute(context)
    assert [job.queue for job in batch.jobs] == [SPOT, SPOT, ON_DEMAND]


@pytest.mark.parametrize("code", [2, 65])
def test_refused_is_never_retried(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], code: int
) -> None:
    answer = '{"ok": false, "message": "The input changed: cases 4.", "fix": "plan again."}'
    script["body"] = f"echo '{answer}'; exit {code}"
    error = failure(context)
    assert kind(error) == "WorkerRefused"
    assert str(error) == f"harmonize refused (exit {code}): The input changed: cases 4. Fix: plan again."
    assert len(batch.jobs[0].attempts) == 1, "Batch does not retry it either"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("echo 'no space left'; exit 1", "harmonize failed (exit 1): the last lines of its log: no space left"),
        ("exit 143", "was stopped by SIGTERM"),
        ("kill -KILL $$", "killed by SIGKILL"),
    ],
)
def test_failed_is_retried_by_airflow(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], body: str, text: str
) -> None:
    script["body"] = body
    error = failure(context)
    assert kind(error) == "WorkerFailed"
    assert text in str(error)
    assert len(batch.jobs[0].attempts) == 1


def test_too_little_memory_is_said(batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str]) -> None:
    script["body"] = UNTIL_STOPPED
    batch.faults = [Fault("memory")]
    assert "VITALPREP_BATCH_SHARD_MEMORY" in str(failure(context))


@pytest.mark.parametrize(
    ("text", "error", "fix"),
    [
        ("CannotPullContainerError: manifest unknown", "WorkerRefused", "push the image"),
        ("Timeout waiting for network interface provisioning to complete.", "WorkerFailed", "tried again"),
    ],
)
def test_a_container_that_did_not_start(
    batch: BatchEndpoint, context: dict[str, Any], text: str, error: str, fix: str
) -> None:
    batch.faults = [Fault("no-start", text=text)]
    found = failure(context)
    assert kind(found) == error
    assert fix in str(found)


@pytest.mark.parametrize(
    ("code", "text", "error", "fix"),
    [
        ("ClientException", "JobQueue x not found.", "WorkerRefused", "VITALPREP_BATCH_QUEUE"),
        ("ClientException", "JobDefinition x not found.", "WorkerRefused", "terraform apply"),
        ("AccessDeniedException", "not authorized to perform: batch:SubmitJob", "WorkerRefused", "run-jobs"),
        ("ExpiredTokenException", "The security token is expired", "WorkerRefused", "renew"),
        ("ClientException", "Invalid value for VCPU", "WorkerRefused", "VITALPREP_BATCH_SHARD_CPU"),
        ("ServerException", "Internal error", "WorkerFailed", "tried again"),
    ],
)
def test_a_refused_call(
    batch: BatchEndpoint, context: dict[str, Any], code: str, text: str, error: str, fix: str
) -> None:
    batch.faults = [Fault("refuse", code=code, text=text)]
    found = failure(context)
    assert kind(found) == error
    assert fix in str(found)


def test_a_job_that_batch_forgets_is_a_failed_try(batch: BatchEndpoint, context: dict[str, Any]) -> None:
    batch.faults = [Fault("lose")]
    error = failure(context)
    assert kind(error) == "WorkerFailed"
    assert "Batch no longer knows the job" in str(error)


def test_the_log_decides_nothing(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.call_faults = [CallFault("GetLogEvents", "AccessDeniedException", "not authorized")]
    monkeypatch.setenv("VITALPREP_LOG_WAIT", "0.1")
    assert operator().execute(context) == {}
    script["body"] = "exit 65"
    context["ti"].map_index = 4
    error = failure(context)
    assert kind(error) == "WorkerRefused"
    assert "has not arrived" in str(error)


def test_a_new_try_follows_the_job_that_still_runs(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    script["body"] = f"while ! test -e {tmp_path}/go; do sleep 0.02; done; {DONE}"
    threading.Thread(target=operator().execute, args=(context,), daemon=True).start()
    until(lambda: batch.jobs)
    results: list[Any] = []
    context["ti"].try_number = 2
    task = operator()
    again = threading.Thread(target=lambda: results.append(task.execute(context)))
    again.start()
    until(lambda: task.job_id)
    (tmp_path / "go").touch()
    again.join()
    results.append(operator().execute(context))
    assert results == [{"ok": True, "harmonized": 5}] * 2, "of the job that runs, and of the one that has completed"
    assert len(batch.jobs) == 1
    context["ti"].max_tries += 3  # as Airflow does on clearing
    operator().execute(context)
    assert len(batch.jobs) == 2, "a cleared task runs again"


def test_a_job_whose_submission_was_not_answered_is_found_again(
    batch: BatchEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "8")
    batch.lost_answers = ["SubmitJob"]
    assert kind(failure(context)) == "WorkerFailed"
    assert len(batch.jobs) == 1, "SubmitJob has no token, so it is not sent again"
    context["ti"].try_number = 2
    assert operator().execute(context) == {"ok": True, "harmonized": 5}
    assert len(batch.jobs) == 1


def test_a_second_job_for_one_step_is_stopped(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    script["body"] = f"trap 'exit 143' TERM; while ! test -e {tmp_path}/go; do sleep 0.02; done; {DONE}"
    threading.Thread(target=operator().execute, args=(context,), daemon=True).start()
    until(lambda: batch.jobs and batch.jobs[0].container)
    batch.answer("SubmitJob", batch.jobs[0].request)
    until(lambda: batch.jobs[1].container)
    threading.Thread(target=operator().execute, args=(context,), daemon=True).start()
    until(lambda: batch.jobs[1].stopped)
    assert not batch.jobs[0].stopped
    (tmp_path / "go").touch()
    until(lambda: batch.jobs[0].status == "SUCCEEDED")


def test_a_step_on_demand_does_not_wait_for_ever(
    batch: BatchEndpoint, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITALPREP_BATCH_QUEUE_WAIT", "0.2")
    batch.faults = [Fault("full")]
    with pytest.raises(Exception, match="batch_max_vcpus") as caught:
        operator(PUBLISH).execute(context)
    assert kind(caught.value) == "WorkerFailed"
    assert batch.jobs[0].stopped


def test_a_job_that_cannot_be_stopped_is_named(
    batch: BatchEndpoint, monkeypatch: pytest.MonkeyPatch, task_log: Callable[[], list[str]]
) -> None:
    batch.call_faults = [CallFault("TerminateJob", "AccessDeniedException", "not authorized")]
    task = operator()
    task.job_id = "one"
    task.on_kill()
    assert "aws batch terminate-job --job-id one" in task_log()[-1]


def test_stopping_the_task_stops_the_job(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    script["body"] = f"trap 'touch {tmp_path}/stopped; exit 143' TERM; echo begun; while :; do sleep 0.02; done"
    task, errors = operator(), []

    def run() -> None:
        try:
            task.execute(context)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: batch.jobs and any(batch.jobs[0].events.values()))
    task.on_kill()
    thread.join()
    assert (tmp_path / "stopped").exists()
    assert [kind(error) for error in errors] == ["WorkerFailed"]
    assert "Stopped by Airflow" in str(errors[0])


def test_a_job_that_airflow_stopped_is_not_followed(
    batch: BatchEndpoint, context: dict[str, Any], script: dict[str, str], tmp_path: Path
) -> None:
    script["body"] = f"trap '' TERM; while ! test -e {tmp_path}/go; do sleep 0.02; done; {DONE}"
    task = operator()
    threading.Thread(target=lambda: failure_of(task, context), daemon=True).start()
    until(lambda: task.job_id and batch.jobs[0].container)
    task.on_kill()
    script["body"] = DONE
    assert operator().execute(context) == {"ok": True, "harmonized": 5}
    assert len(batch.jobs) == 2
    (tmp_path / "go").touch()


def failure_of(task: Any, context: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="stopped"):
        task.execute(context)


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from vitalprep_airflow.backends.batch import BatchBackend

    for name in batch_settings(""):
        monkeypatch.delenv(name, raising=False)
    assert "VITALPREP_BATCH_SPOT_QUEUE" in str(BatchBackend().problem)


def test_the_price_is_that_of_the_shards_size(
    batch: BatchEndpoint, monkeypatch: pytest.MonkeyPatch, task_log: Callable[[], list[str]]
) -> None:
    from vitalprep_airflow.backends.batch import BatchBackend

    assert BatchBackend().problem is None
    monkeypatch.setenv("VITALPREP_BATCH_SHARD_CPU", "512")
    assert BatchBackend().priced_machine == ["fargate", "--vcpus", "0.5"]
