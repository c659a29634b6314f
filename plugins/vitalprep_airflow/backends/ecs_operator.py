"""The operator that runs a step as a container on ECS Fargate.

A container's results are in S3. ECS alone says how it ended; its log is read from CloudWatch for people.
"""

from __future__ import annotations

import logging
import shlex
import time
from typing import Any

from airflow.providers.amazon.aws.exceptions import EcsOperatorError
from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink
from airflow.providers.amazon.aws.links.logs import CloudWatchEventsLink
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import connection_arguments, tag_value
from vitalprep_airflow.backends.aws_errors import no_answer, patiently
from vitalprep_airflow.backends.container_log import ContainerLog, LogEnd, logs_client
from vitalprep_airflow.backends.ecs import EcsSettings
from vitalprep_airflow.backends.ecs_errors import end_of_task, refused_call, refused_start
from vitalprep_airflow.backends.spot import InterruptionsApart, Tally
from vitalprep_airflow.outcome import DONE, RESULT_CODES, WorkerFailed
from vitalprep_airflow.page.links import PageLink
from vitalprep_airflow.step import StepOperator, map_index

__all__ = ["EcsTaskLink", "EcsWorkerOperator"]

NO_LOG = (
    "in no log that Airflow knows (set VITALPREP_ECS_LOG_GROUP and VITALPREP_ECS_LOG_STREAM_PREFIX to see it here next "
    "time)"
)
POLLS_MISSING = 10  # ECS may not know a task in its first seconds

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
        self._log: ContainerLog | None = None
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
        self._link()

    def _try_reattach_task(self, started_by: str) -> None:
        """Follow the container that an earlier try left running. If there are several of them, stop the others."""
        found = self.client.list_tasks(cluster=self.cluster, desiredStatus="RUNNING", startedBy=started_by)
        if not found["taskArns"]:
            return
        self.arn, *others = found["taskArns"]
        log.info("the task %s is already running", self.arn)
        for other in others:
            self._stop_second(other)
        self._link()

    def _stop_second(self, arn: str) -> None:
        """Stop a second container of this step: the answer to its RunTask was lost. It commits finished cases."""
        log.warning("A second task for the same step is running and is stopped: %s", arn)
        try:
            self.client.stop_task(cluster=self.cluster, task=arn, reason=f"{self.arn} does the same work")
        except (ClientError, BotoCoreError) as error:
            # It does no harm: both write the same bytes.
            log.warning(
                "It was not stopped (%s). Fix: aws ecs stop-task --cluster %s --task %s", error, self.cluster, arn
            )

    def _link(self) -> None:
        if self._context is None or not self.arn:
            return
        place = {"region_name": self.client.meta.region_name, "aws_partition": self.arn.split(":")[1]}
        EcsTaskLink.persist(
            context=self._context, operator=self, **place, cluster=self.cluster, task_id=self.arn.rsplit("/", 1)[-1]
        )
        if self.settings.keeps_log:
            CloudWatchEventsLink.persist(
                context=self._context,
                operator=self,
                **place,
                awslogs_region=place["region_name"],
                awslogs_group=self.settings.log_group,
                awslogs_stream_name=self.settings.log_stream(self.arn),
            )

    def _wait_for_task_ended(self) -> None:
        """Wait until the task has stopped. The provider's own waiter never ends for a task that ECS no longer knows."""
        self._log = self._container_log()
        missing = 0
        while missing < POLLS_MISSING:
            self._described = next(iter(self._describe_tasks()["tasks"]), {})
            if self._log is not None:
                self._log.forward()
            if self._described.get("lastStatus") == "STOPPED":
                return
            missing = 0 if self._described else missing + 1
            time.sleep(self.settings.poll_seconds)
        raise WorkerFailed(f"ECS no longer knows the task {self.arn}. Finished cases are kept.")

    def _describe_tasks(self) -> dict[str, Any]:
        answer: dict[str, Any] = patiently(
            lambda: self.client.describe_tasks(cluster=self.cluster, tasks=[self.arn]),
            pause=self.settings.poll_seconds,
            limit=self.settings.patience_seconds,
        )
        return answer

    def _container_log(self) -> ContainerLog | None:
        settings, stream = self.settings, self.settings.log_stream(str(self.arn))
        if not settings.keeps_log:
            return None
        return ContainerLog(
            logs_client(self.aws_conn_id, self.region_name),
            group=settings.log_group,
            streams=lambda client: [stream],
            poll_seconds=settings.poll_seconds,
            where=f"the stream {stream} of the CloudWatch log group {settings.log_group}",
        )

    def _check_success_task(self) -> None:
        self._result = end_of_task(
            self._described,
            container=self.settings.container,
            command=self.step.command,
            spot=self._spot,
            log_end=self._log_end,
        )

    def _log_end(self, exit_code: int | None) -> LogEnd:
        if self._log is None:
            return LogEnd({}, (), NO_LOG)
        seconds = self.settings.log_seconds if exit_code in RESULT_CODES else 0
        return self._log.end(ok=exit_code == DONE, seconds=seconds)
