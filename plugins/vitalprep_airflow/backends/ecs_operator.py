"""The operator that runs a step as a container on ECS Fargate.

A container's results are in S3. Airflow reads from ECS how it ended, and its log from CloudWatch.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Generator
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.exceptions import EcsOperatorError
from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink
from airflow.providers.amazon.aws.links.logs import CloudWatchEventsLink
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.utils.task_log_fetcher import AwsTaskLogFetcher
from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import connection_arguments
from vitalprep_airflow.backends.aws_errors import no_answer
from vitalprep_airflow.backends.ecs import EcsSettings
from vitalprep_airflow.backends.ecs_errors import end_of_task, refused_call, refused_start
from vitalprep_airflow.backends.spot import InterruptionsApart, Tally
from vitalprep_airflow.outcome import WorkerFailed
from vitalprep_airflow.page.links import PageLink
from vitalprep_airflow.process import readable
from vitalprep_airflow.step import StepOperator, map_index

__all__ = ["EcsTaskLink", "EcsWorkerOperator"]

LAST_LINES = 10
POLLS_MISSING = 10  # ECS may not know a task in its first seconds

log = logging.getLogger("airflow.task")


class EcsTaskLink(BaseAwsLink):
    """The container in the AWS console."""

    name = "ECS task"
    key = "ecs_task"
    format_str = BASE_AWS_CONSOLE_LINK + "/ecs/v2/clusters/{cluster}/tasks/{task_id}/configuration?region={region_name}"


class _Log(AwsTaskLogFetcher):
    def _get_log_events(self, skip_token: Any = None) -> Generator[Any, None, None]:
        """Leave out metrics: they are for CloudWatch and repeat what the lines say."""
        for event in super()._get_log_events(skip_token):
            if not event["message"].startswith('{"_aws"'):
                yield event

    @staticmethod
    def event_to_str(event: dict[str, Any]) -> str:
        """Format a line as the local backend does."""
        return readable(event["message"])[1]


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
            awslogs_group=settings.log_group or None,
            awslogs_stream_prefix=settings.log_prefix or None,
            awslogs_fetch_interval=timedelta(seconds=min(5, settings.poll_seconds)),
            number_logs_exception=LAST_LINES,
            reattach=True,
            # Only this mode stops the container when the task is stopped.
            deferrable=False,
            **connection_arguments(),
            **kwargs,
        )
        self.settings = settings
        self._spot = False
        self._context: Context | None = None
        self._described: dict[str, Any] = {}
        self._result: dict[str, Any] = {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command to its end and return its result, if its log shows one.

        Raises
        ------
        SpotLost, WorkerFailed, WorkerRefused
            See `end_of_task`; WorkerRefused also after too many failures.
        """
        self._context = context
        tally = Tally.of(context)
        self._prepare(context, spot=tally.takes_spot(context, self.step))
        try:
            self._run(context)
        except WorkerFailed as error:
            raise tally.after(error, context, step=self.step, retries=int(self.retries or 0)) from error
        return self._result

    def _run(self, context: Context) -> None:
        try:
            super().execute(context)  # type: ignore[no-untyped-call]
        except ClientError as error:
            said = error.response["Error"]
            raise refused_call(said["Code"], said["Message"], call=error.operation_name, spot=self._spot) from error
        except BotoCoreError as error:
            raise no_answer("ECS", error) from error

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
        self.tags = {
            "airflow-dag": ti.dag_id,
            "airflow-run": ti.run_id[:256],
            "airflow-task": ti.task_id if index < 0 else f"{ti.task_id}/{index}",
            "airflow-try": str(ti.try_number),
        }
        log.info("%s on %s, try %s", shlex.join(step.command_line), provider, ti.try_number)

    def _start_task(self) -> None:
        try:
            super()._start_task()  # type: ignore[no-untyped-call]
        except EcsOperatorError as error:
            raise refused_start([str(one.get("reason", one)) for one in error.failures], spot=self._spot) from error
        self._link()

    def _try_reattach_task(self, started_by: str) -> None:
        super()._try_reattach_task(started_by)
        if self.arn:
            self._link()

    def _link(self) -> None:
        if self._context is None or not self.arn:
            return
        place = {"region_name": self.client.meta.region_name, "aws_partition": self.arn.split(":")[1]}
        task = str(self._get_ecs_task_id(self.arn))
        EcsTaskLink.persist(context=self._context, operator=self, **place, cluster=self.cluster, task_id=task)
        if self._aws_logs_enabled():  # type: ignore[no-untyped-call]
            CloudWatchEventsLink.persist(
                context=self._context,
                operator=self,
                **place,
                awslogs_region=self.resolve_awslogs_region() or place["region_name"],
                awslogs_group=self.awslogs_group,
                awslogs_stream_name=self._get_logs_stream_name(),
            )

    def _get_task_log_fetcher(self) -> AwsTaskLogFetcher:
        return _Log(
            aws_conn_id=self.aws_conn_id,
            region_name=self.resolve_awslogs_region(),
            log_group=str(self.awslogs_group),
            log_stream_name=self._get_logs_stream_name(),
            fetch_interval=self.awslogs_fetch_interval,
            logger=log,  # type: ignore[arg-type]  # as the local backend's lines
        )

    def _wait_for_task_ended(self) -> None:
        """Wait until the task has stopped. The provider's own waiter never ends for a task that ECS no longer knows."""
        missing = 0
        while missing < POLLS_MISSING:
            self._described = next(
                iter(self.client.describe_tasks(cluster=self.cluster, tasks=[self.arn])["tasks"]), {}
            )
            if self._described.get("lastStatus") == "STOPPED":
                return
            missing = 0 if self._described else missing + 1
            time.sleep(self.settings.poll_seconds)
        raise WorkerFailed(f"ECS no longer knows the task {self.arn}. Finished cases are kept.")

    def _check_success_task(self) -> None:
        self._result = end_of_task(
            self._described,
            container=self.settings.container,
            command=self.step.command,
            spot=self._spot,
            last_lines=self._last_lines,
        )

    def _last_lines(self) -> list[str]:
        if self.task_log_fetcher is None:
            return []
        try:
            return list(self.task_log_fetcher.get_last_log_messages(LAST_LINES))
        except (ClientError, BotoCoreError) as error:
            log.warning("The end of the container's log cannot be read: %s", error)
            return []
