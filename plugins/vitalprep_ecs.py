"""Worker commands as containers on ECS Fargate: shards on spot capacity, build and proof on demand.

What a container leaves behind is in S3; Airflow reads its end from ECS and shows its log from CloudWatch.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.exceptions import EcsOperatorError
from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink
from airflow.providers.amazon.aws.links.logs import CloudWatchEventsLink
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.utils.task_log_fetcher import AwsTaskLogFetcher
from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_aws import connection_arguments, lost_sight, missing, region
from vitalprep_ecs_ends import end_of_task, refused_call, refused_start
from vitalprep_outcomes import WorkerFailed
from vitalprep_page_links import PageLink
from vitalprep_process import readable
from vitalprep_spot import InterruptionsApart, Tally, is_shard

__all__ = ["EcsSettings", "EcsWorkerOperator"]

LAST_LINES = 10
POLLS_MISSING = 10  # a task that has just begun may be unknown for seconds

log = logging.getLogger("airflow.task")


@dataclass(frozen=True)
class EcsSettings:
    """What Terraform made and the deployment chose, from ``VITALPREP_ECS_...`` (README, "On AWS")."""

    cluster: str
    worker_task: str
    builder_task: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    public_ip: bool
    container: str
    log_group: str
    log_prefix: str
    region: str
    shard_cpu: str
    shard_memory: str
    poll_seconds: float

    @classmethod
    def from_environment(cls) -> EcsSettings:
        """Read the settings; what is missing is empty, and `problem` names it."""
        return cls(
            cluster=_setting("CLUSTER"),
            worker_task=_setting("WORKER_TASK"),
            builder_task=_setting("BUILDER_TASK"),
            subnets=_several("SUBNETS"),
            security_groups=_several("SECURITY_GROUPS"),
            public_ip=_setting("ASSIGN_PUBLIC_IP").lower() == "true",
            container=_setting("CONTAINER") or "vitalprep",
            log_group=_setting("LOG_GROUP"),
            log_prefix=_setting("LOG_STREAM_PREFIX"),
            region=region(),
            shard_cpu=_setting("SHARD_CPU"),
            shard_memory=_setting("SHARD_MEMORY"),
            poll_seconds=float(_setting("POLL_SECONDS") or 6),
        )

    @property
    def problem(self) -> str | None:
        """What is missing, and how to mend it."""
        return missing(
            "ecs",
            {
                "AWS_DEFAULT_REGION": self.region,
                "VITALPREP_ECS_CLUSTER": self.cluster,
                "VITALPREP_ECS_WORKER_TASK": self.worker_task,
                "VITALPREP_ECS_BUILDER_TASK": self.builder_task,
                "VITALPREP_ECS_SUBNETS": self.subnets,
                "VITALPREP_ECS_SECURITY_GROUPS": self.security_groups,
            },
        )


def _setting(name: str) -> str:
    return os.environ.get(f"VITALPREP_ECS_{name}", "").strip()


def _several(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in _setting(name).split(",") if part.strip())


class EcsTaskLink(BaseAwsLink):
    """The container in the AWS console."""

    name = "ECS task"
    key = "ecs_task"
    format_str = BASE_AWS_CONSOLE_LINK + "/ecs/v2/clusters/{cluster}/tasks/{task_id}/configuration?region={region_name}"


class _Log(AwsTaskLogFetcher):
    def _get_log_events(self, skip_token: Any = None) -> Any:
        """Leave out the metrics, which are for CloudWatch and say what the lines say."""
        for event in super()._get_log_events(skip_token):
            if not event["message"].startswith('{"_aws"'):
                yield event

    @staticmethod
    def event_to_str(event: dict[str, Any]) -> str:
        """Show a line as the local backend does."""
        return readable(event["message"])[1]


class EcsWorkerOperator(EcsRunTaskOperator):
    """Runs one worker command as a container on Fargate and judges how it ended.

    Unlike its parent it reads ``stopCode``: a container whose spot capacity is taken back has failed, even if it ended
    well. Where that happens too often to a shard, it runs on demand. Exit 2 and 65 are never retried.

    :param arguments: the command line after ``vitalprep`` and without ``--json``. (templated)
    :param step: names the step in the grid, where it is one of several. (templated)
    """

    template_fields: Sequence[str] = ("arguments", "step")
    operator_extra_links = (EcsTaskLink(), CloudWatchEventsLink(), PageLink())
    ui_color = "#fbe3c8"

    def __init__(self, *, arguments: Sequence[str], step: str = "", **kwargs: Any) -> None:
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
            # A container must stop when its task is stopped, which only this mode sees to.
            deferrable=False,
            **connection_arguments(),
            **kwargs,
        )
        self.arguments = arguments
        self.step = step
        self.settings = settings
        self._spot = False
        self._context: Context | None = None
        self._described: dict[str, Any] = {}
        self._result: dict[str, Any] = {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command to its end and return its result, as far as its log shows it.

        Raises
        ------
        SpotLost, WorkerFailed, WorkerRefused
            See `end_of_task`; WorkerRefused also when it has failed too often.
        """
        self._context = context
        tally = Tally.of(context)
        self._prepare(context, spot=tally.takes_spot(context, self.arguments[0]))
        try:
            self._run(context)
        except WorkerFailed as error:
            raise tally.after(error, context, command=self.arguments[0], retries=int(self.retries or 0)) from error
        return self._result

    def _run(self, context: Context) -> None:
        try:
            super().execute(context)
        except ClientError as error:
            said = error.response["Error"]
            raise refused_call(said["Code"], said["Message"], call=error.operation_name, spot=self._spot) from error
        except BotoCoreError as error:
            raise lost_sight("ECS", error) from error

    def _prepare(self, context: Context, *, spot: bool) -> None:
        settings, ti = self.settings, context["ti"]
        shard = is_shard(self.arguments[0])
        self._spot = spot
        provider = "FARGATE_SPOT" if spot else "FARGATE"
        self.capacity_provider_strategy = [{"capacityProvider": provider, "weight": 1}]
        self.task_definition = settings.worker_task if shard else settings.builder_task
        container = {"name": settings.container, "command": [*self.arguments, "--json"]}
        self.overrides = {"containerOverrides": [container]}
        if shard:
            size = {"cpu": settings.shard_cpu, "memory": settings.shard_memory}
            self.overrides |= {name: value for name, value in size.items() if value}
        # What the bill and the console can be grouped by.
        self.tags = {
            "airflow-dag": ti.dag_id,
            "airflow-run": ti.run_id[:256],
            "airflow-task": ti.task_id if ti.map_index < 0 else f"{ti.task_id}/{ti.map_index}",
            "airflow-try": str(ti.try_number),
        }
        log.info("%s on %s, try %s", " ".join(self.arguments), provider, ti.try_number)

    def _start_task(self) -> None:
        try:
            super()._start_task()
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
        if self._aws_logs_enabled():
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
        """Wait until it has stopped. The provider's own waiter waits for ever for a task that ECS has lost."""
        missing = 0
        while missing < POLLS_MISSING:
            self._described = next(
                iter(self.client.describe_tasks(cluster=self.cluster, tasks=[self.arn])["tasks"]), {}
            )
            if self._described.get("lastStatus") == "STOPPED":
                return
            missing = 0 if self._described else missing + 1
            time.sleep(self.settings.poll_seconds)
        raise WorkerFailed(f"ECS knows nothing of the task {self.arn} any more; finished cases are kept.")

    def _check_success_task(self) -> None:
        self._result = end_of_task(
            self._described,
            container=self.settings.container,
            arguments=tuple(self.arguments),
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
