"""The operator that runs a step as an AWS Batch job.

A job's results are in S3. Batch alone says how it ended; its log is read from CloudWatch for people.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shlex
import time
from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
from airflow.providers.amazon.aws.links.logs import CloudWatchEventsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import connection_arguments, tag_value
from vitalprep_airflow.backends.aws_errors import no_answer
from vitalprep_airflow.backends.batch import BatchSettings
from vitalprep_airflow.backends.batch_errors import (
    end_of_job,
    interruptions_of,
    is_interrupted,
    refused_call,
    retry_strategy,
    waited_too_long,
)
from vitalprep_airflow.backends.batch_jobs import ENDED, WAITING, Jobs
from vitalprep_airflow.backends.container_log import ContainerLog, logs_client
from vitalprep_airflow.backends.spot import InterruptionsApart, SpotLost, Tally, on_demand_after
from vitalprep_airflow.outcome import DONE, RESULT_CODES, WorkerFailed
from vitalprep_airflow.page.links import PageLink
from vitalprep_airflow.step import StepOperator, map_index

__all__ = ["BatchWorkerOperator"]

POLLS_MISSING = 10  # Batch may not know a job in its first seconds

log = logging.getLogger("airflow.task")


class BatchWorkerOperator(StepOperator, AwsBaseOperator[BatchClientHook]):
    """Runs one step as a Batch job and judges how it ended.

    Shards run in the spot queue. Batch starts an interrupted job again by itself; a job that was interrupted too often,
    or finds no capacity in time, is submitted to the on-demand queue. After a crash of Airflow the next try follows the
    job that still runs, or takes the result of the one that has completed.
    """

    aws_hook_class = BatchClientHook
    operator_extra_links = (BatchJobDetailsLink(), CloudWatchEventsLink(), PageLink())
    ui_color = "#d9ecd9"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", InterruptionsApart())
        super().__init__(**connection_arguments(), **kwargs)
        self.settings = BatchSettings.from_environment()
        self.job_id = ""
        self._spot = False
        self._job: dict[str, Any] = {}  # as Batch describes it
        self._streams: list[str] = []  # log streams of its attempts

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command to its end and return its result, if its log shows one.

        Raises
        ------
        SpotLost, WorkerFailed, WorkerRefused
            See `batch_errors.end_of_job`; WorkerRefused also after too many failures.
        """
        tally = Tally.of(context)
        self._spot = tally.takes_spot(context, self.step)
        try:
            return self._run(context, starts=on_demand_after() - tally.interruptions if self._spot else 1)
        except WorkerFailed as error:
            if isinstance(error, SpotLost):  # `after` counts one more: the last interruption, or the wait
                tally.interruptions += interruptions_of(self._job) - int(is_interrupted(self._job))
            raise tally.after(error, context, step=self.step, retries=int(self.retries or 0)) from error

    def on_kill(self) -> None:
        """Stop the job; the worker commits finished cases."""
        if self.job_id:
            self._jobs.stop(self.job_id, "Stopped by Airflow")

    @cached_property
    def _jobs(self) -> Jobs:
        return Jobs(self.hook, self.settings)

    def _run(self, context: Context, *, starts: int) -> dict[str, Any]:
        name = self._name(context)
        try:
            self.job_id = self._jobs.of_name(name)
            if self.job_id:
                log.info("the job %s of an earlier try is followed", self.job_id)
            else:
                self.job_id = self._submit(context, name, starts=starts)
            place = {"region_name": self.hook.conn_region_name, "aws_partition": self.hook.conn_partition}
            BatchJobDetailsLink.persist(context=context, operator=self, **place, job_id=self.job_id)
            lines = self._followed(context)
        except ClientError as error:
            said = error.response["Error"]
            raise refused_call(said["Code"], said["Message"], call=error.operation_name) from error
        except BotoCoreError as error:
            raise no_answer("Batch", error) from error
        exit_code = self._job.get("container", {}).get("exitCode")
        seconds = self.settings.log_seconds if exit_code in RESULT_CODES else 0
        log_end = lines.end(ok=exit_code == DONE, seconds=seconds)
        return end_of_job(self._job, command=self.step.command, spot=self._spot, log_end=log_end)

    def _name(self, context: Context) -> str:
        """Return the name of this step's job: the same in each try, and another one once the task is cleared."""
        ti, index = context["ti"], map_index(context)
        identity = json.dumps([ti.dag_id, ti.run_id, ti.task_id, index, ti.max_tries])
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        told = re.sub("[^a-zA-Z0-9_-]", "-", f"{self.settings.worker_job}-{self.step.command}-{max(index, 0)}")
        return f"{told.lstrip('-_')[:100]}-{digest}"

    def _submit(self, context: Context, name: str, *, starts: int) -> str:
        settings, step, ti = self.settings, self.step, context["ti"]
        queue = settings.spot_queue if self._spot else settings.queue
        size = {"VCPU": (settings.shard_cpu, 1024), "MEMORY": (settings.shard_memory, 1)} if step.interruptible else {}
        given = {resource: f"{int(value) / unit:g}" for resource, (value, unit) in size.items() if value}
        part = f"{step.command}-{max(map_index(context), 0)}-{ti.try_number}"
        tags = {"airflow-dag": ti.dag_id, "airflow-run": ti.run_id, "airflow-task": part}
        job = self._jobs.submit(
            jobName=name,
            jobQueue=queue,
            jobDefinition=settings.worker_job if step.interruptible else settings.builder_job,
            containerOverrides={
                "command": [*step.command_line, "--json"],
                "resourceRequirements": [{"type": resource, "value": value} for resource, value in given.items()],
            },
            retryStrategy=retry_strategy(starts),
            tags={key: tag_value(text) for key, text in tags.items()},
            propagateTags=True,
        )
        log.info("%s as job %s in the queue %s, try %s", shlex.join(step.command_line), job, queue, ti.try_number)
        return job

    def _followed(self, context: Context) -> ContainerLog:
        """Log the job's status and its containers' lines until it ends, and return their log. Sets `_job`."""
        settings = self.settings
        lines = ContainerLog(
            logs_client(self.aws_conn_id, self.region_name),
            group=settings.log_group,
            streams=lambda client: self._streams,
            poll_seconds=settings.poll_seconds,
            where=f"the log of the job {self.job_id} in the CloudWatch log group {settings.log_group}",
        )
        longest = settings.spot_wait if self._spot else settings.queue_wait
        shown, missing, waits_since = "", 0, time.monotonic()
        while missing < POLLS_MISSING:
            self._job = self._jobs.described(self.job_id)
            self._link_log(context)
            lines.forward()
            status = self._job.get("status", "")
            if status and status != shown:
                log.info("%s: %s %s", self.job_id, status, self._job.get("statusReason", ""))
                shown = status
            if status in ENDED:
                return lines
            if status not in WAITING:
                waits_since = time.monotonic()
            elif time.monotonic() >= waits_since + longest:
                self._jobs.stop(self.job_id, f"It has waited for a machine for {longest:.0f} s")
                raise waited_too_long(self._job, seconds=longest, spot=self._spot)
            missing = 0 if status else missing + 1
            time.sleep(settings.poll_seconds)
        raise WorkerFailed(f"Batch no longer knows the job {self.job_id}. Finished cases are kept.")

    def _link_log(self, context: Context) -> None:
        """Note the log stream of a new attempt."""
        described = [*self._job.get("attempts", []), self._job]
        for stream in (one.get("container", {}).get("logStreamName") for one in described):
            if stream and stream not in self._streams:
                self._streams.append(stream)
                CloudWatchEventsLink.persist(
                    context=context,
                    operator=self,
                    region_name=self.hook.conn_region_name,
                    aws_partition=self.hook.conn_partition,
                    awslogs_region=self.hook.conn_region_name,
                    awslogs_group=self.settings.log_group,
                    awslogs_stream_name=stream,
                )
