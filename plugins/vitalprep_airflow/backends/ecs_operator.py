"""The operator that runs a step as a container on ECS Fargate.

A container's results are in S3. ECS alone says how it ended; its log is read from CloudWatch for people.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from airflow.providers.amazon.aws.exceptions import EcsOperatorError
from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink
from airflow.providers.amazon.aws.links.logs import CloudWatchEventsLink
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.utils.identifiers import generate_uuid
from airflow.sdk import Context
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import connection_arguments, tag_value
from vitalprep_airflow.backends.aws_errors import patiently, stop_or_say_how
from vitalprep_airflow.backends.container_log import LogEnd
from vitalprep_airflow.backends.ecs import EcsSettings
from vitalprep_airflow.backends.ecs_errors import end_of_task, refused_start, runs_on, stop_command, unanswered
from vitalprep_airflow.backends.ecs_trigger import ContainerEnds
from vitalprep_airflow.backends.spot import InterruptionsApart, SpotLost, Tally
from vitalprep_airflow.outcome import WorkerFailed, WorkerRefused
from vitalprep_airflow.page.links import PageLink
from vitalprep_airflow.step import StepOperator, map_index

__all__ = ["EcsTaskLink", "EcsWorkerOperator"]

KEPT = "container"  # of the last try, in Airflow's state store
ERRORS = {kind.__name__: kind for kind in (SpotLost, WorkerFailed, WorkerRefused)}

Answer = TypeVar("Answer")

log = logging.getLogger("airflow.task")


class EcsTaskLink(BaseAwsLink):
    """The container in the AWS console."""

    name = "ECS task"
    key = "ecs_task"
    format_str = BASE_AWS_CONSOLE_LINK + "/ecs/v2/clusters/{cluster}/tasks/{task_id}/configuration?region={region_name}"


class EcsWorkerOperator(StepOperator, EcsRunTaskOperator):
    """Runs one step as a container on Fargate and judges how it ended.

    Unlike its parent class it reads ``stopCode``: a container whose spot capacity is taken away has failed, even with
    exit code 0. After too many interruptions a shard runs on demand.
    """

    operator_extra_links = (EcsTaskLink(), CloudWatchEventsLink(), PageLink())
    ui_color = "#fbe3c8"

    def __init__(self, **kwargs: Any) -> None:
        settings = EcsSettings.from_environment()
        kwargs.setdefault("retry_policy", InterruptionsApart())
        super().__init__(
            task_definition="",
            cluster=settings.cluster,
            overrides={},
            network_configuration={
                "awsvpcConfiguration": {
                    "subnets": list(settings.subnets),
                    "securityGroups": list(settings.security_groups),
                    "assignPublicIp": "ENABLED" if settings.public_ip else "DISABLED",
                }
            },
            container_name=settings.container,
            # No awslogs_group: an error of the parent's log fetcher would fail the task.
            propagate_tags="TASK_DEFINITION",  # Terraform's; of two tags with one key, ours counts
            **connection_arguments(),
            **kwargs,
        )
        self.settings = settings
        self._spot = False

    def execute(self, context: Context) -> NoReturn:
        """Start the container, or find the one that an earlier try left running, and wait for it in the triggerer.

        Raises
        ------
        TaskDeferred
            `container_ended` goes on when the container has ended.
        SpotLost, WorkerFailed, WorkerRefused
            If it cannot be started; WorkerRefused also after too many failures.
        """
        with self._failures_counted(context) as tally:
            self._prepare(context, spot=tally.takes_spot(context, self.step))
            try:
                self._start_or_find(context)
            except (ClientError, BotoCoreError) as error:
                raise unanswered(error, spot=self._spot) from error
        self.defer(
            trigger=ContainerEnds(
                arn=str(self.arn), spot=self._spot, settings=self.settings.watched, connection=self.aws_conn_id
            ),
            method_name="container_ended",
            timeout=self.execution_timeout,
        )

    def container_ended(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Judge how the container ended, and return the command's result, if its log shows one.

        Raises
        ------
        SpotLost, WorkerFailed, WorkerRefused
            See `end_of_task`; WorkerRefused also after too many failures.
        """
        with self._failures_counted(context):
            if "error" in event:
                kind, text = event["error"]
                raise ERRORS[kind](
                    f"{text} The container was not stopped. {runs_on(self.settings.cluster, event['arn'])}"
                )
            if not event["task"]:
                raise WorkerFailed(f"ECS no longer knows the task {event['arn']}. Finished cases are kept.")
            return end_of_task(
                event["task"],
                container=self.settings.container,
                command=self.step.command,
                spot=event["spot"],
                log_end=LogEnd(**event["log"]),
            )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the wait. If it took longer than ``execution_timeout``, stop the container.

        Raises
        ------
        TaskDeferralTimeout, TaskDeferralError
            If the wait took too long, or failed: then the container runs on, and the next try follows it.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self.arn = _kept(context).get("arn")
            self.on_kill()
            raise
        except TaskDeferralError as error:
            after = runs_on(self.settings.cluster, _kept(context).get("arn", ""))
            raise TaskDeferralError(
                f"{error}. The container was not stopped, and a next try follows it. {after}"
            ) from error

    def on_kill(self) -> None:
        """Stop the container; the worker in it commits finished cases."""
        if self.arn:
            log.info("stopping the container %s", self.arn)
            self._stop(self.arn, "Stopped by Airflow")

    @contextmanager
    def _failures_counted(self, context: Context) -> Generator[Tally]:
        tally = Tally.of(context)
        try:
            yield tally
        except WorkerFailed as error:
            raise tally.after(error, context, step=self.step, retries=int(self.retries or 0)) from error

    def _start_or_find(self, context: Context) -> None:
        ti = context["ti"]
        self._started_by = generate_uuid(*map(str, [ti.dag_id, ti.task_id, ti.run_id, ti.map_index]))
        self._find_earlier(context)
        if not self.arn:
            # Without an answer nobody knows whether it started a container, so only a throttled call is made again.
            self._patiently(self._start_task, throttles_only=True)
        context["task_state_store"].set(KEPT, {"arn": self.arn, "max_tries": ti.max_tries})
        self._link(context, str(self.arn))

    def _patiently(self, call: Callable[[], Answer], *, throttles_only: bool = False) -> Answer:
        settings = self.settings
        return patiently(
            call, pause=settings.poll_seconds, limit=settings.patience_seconds, throttles_only=throttles_only
        )

    def _prepare(self, context: Context, *, spot: bool) -> None:
        settings, step, ti = self.settings, self.step, context["ti"]
        self._spot = spot
        provider = "FARGATE_SPOT" if spot else "FARGATE"
        self.capacity_provider_strategy = [{"capacityProvider": provider, "weight": 1}]
        self.task_definition = settings.worker_task if step.interruptible else settings.builder_task
        container = {"name": settings.container, "command": [*step.command_line, "--json"]}
        self.overrides = {"containerOverrides": [container]}
        if step.interruptible:
            size = {"cpu": settings.shard_cpu, "memory": settings.shard_memory}
            self.overrides |= {name: value for name, value in size.items() if value}
        index = map_index(context)
        # For grouping in the bill and in the console.
        told = {
            "airflow-dag": ti.dag_id,
            "airflow-run": ti.run_id,
            "airflow-task": ti.task_id if index < 0 else f"{ti.task_id}/{index}",
            "airflow-try": str(ti.try_number),
        }
        self.tags = {name: tag_value(text) for name, text in told.items()}
        log.info("%s on %s, try %s", shlex.join(step.command_line), provider, ti.try_number)

    def _start_task(self) -> None:
        try:
            super()._start_task()  # type: ignore[no-untyped-call]
        except EcsOperatorError as error:
            raise refused_start([str(one.get("reason", one)) for one in error.failures], spot=self._spot) from error

    def _find_earlier(self, context: Context) -> None:
        """Follow the container that an earlier try left running, and stop all others.

        A container from before the task was cleared is not followed: whoever clears a task wants it to begin anew.
        """
        found = self._patiently(
            lambda: self.client.list_tasks(cluster=self.cluster, desiredStatus="RUNNING", startedBy=self._started_by)
        )
        running = list(found["taskArns"])
        tries = context["ti"].max_tries
        if running and _kept(context).get("max_tries", tries) != tries:
            for earlier in running:
                log.warning("The task was cleared and begins anew; its container from before is stopped: %s", earlier)
                self._stop(earlier, "Its task was cleared in Airflow")
            return
        if running:
            self.arn = running.pop(0)
            log.info("the task %s is already running", self.arn)
        for second in running:  # the answer to its RunTask was lost
            log.warning("A second task for the same step is running and is stopped: %s", second)
            self._stop(second, f"{self.arn} does the same work")

    def _stop(self, arn: str, reason: str) -> None:
        """Stop a container. One that is not stopped does no harm: two for one step write the same bytes."""
        stop_or_say_how(
            lambda: self.client.stop_task(cluster=self.cluster, task=arn, reason=reason),
            what=f"the container {arn}",
            by_hand=stop_command(self.settings.cluster, arn),
        )

    def _link(self, context: Context, arn: str) -> None:
        """Link the container and its log."""
        place = {"region_name": self.client.meta.region_name, "aws_partition": arn.split(":")[1]}
        EcsTaskLink.persist(
            context=context, operator=self, **place, cluster=self.cluster, task_id=arn.rsplit("/", 1)[-1]
        )
        if self.settings.keeps_log:
            CloudWatchEventsLink.persist(
                context=context,
                operator=self,
                **place,
                awslogs_region=place["region_name"],
                awslogs_group=self.settings.log_group,
                awslogs_stream_name=self.settings.log_stream(arn),
            )


def _kept(context: Context) -> dict[str, Any]:
    """Return what the state store says of the last container; clearing a task raises its ``max_tries``."""
    kept: Any = context["task_state_store"].get(KEPT)
    return kept if isinstance(kept, dict) else {}
