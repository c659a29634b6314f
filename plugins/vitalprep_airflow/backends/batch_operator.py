"""The operator that runs a step as an AWS Batch job.

A job's results are in S3. Batch alone says how it ended; its log is read from CloudWatch for people.
"""

from __future__ import annotations

import logging
import re
import shlex
import time
from typing import Any

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from airflow.providers.amazon.aws.links.batch import BatchJobDetailsLink
from airflow.providers.amazon.aws.links.logs import CloudWatchEventsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import connection_arguments, tag_value
from vitalprep_airflow.backends.aws_errors import no_answer, patiently
from vitalprep_airflow.backends.batch import BatchSettings
from vitalprep_airflow.backends.batch_errors import end_of_job, interruptions_of, refused_call, retry_strategy
from vitalprep_airflow.backends.container_log import ContainerLog, logs_client
from vitalprep_airflow.backends.spot import InterruptionsApart, SpotLost, Tally, on_demand_after
from vitalprep_airflow.outcome import DONE, RESULT_CODES, WorkerFailed
from vitalprep_airflow.page.links import PageLink
from vitalprep_airflow.step import StepOperator, map_index

__all__ = ["BatchWorkerOperator"]

JOB_KEY = "batch_job"  # under which Airflow keeps the job's id and `max_tries` from one try to the next
WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
ENDED = ("SUCCEEDED", "FAILED")
POLLS_MISSING = 10  # Batch may not know a job in its first seconds

log = logging.getLogger("airflow.task")


class BatchWorkerOperator(StepOperator, AwsBaseOperator[BatchClientHook]):
    """Runs one step as a Batch job and judges how it ended.

    Shards run in the spot queue. Batch starts an interrupted job again by itself; a job that was interrupted too often,
    or finds no capacity in time, is submitted to the on-demand queue. After a crash of Airflow the next try follows the
    job that still runs.
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
            if isinstance(error, SpotLost):
                tally.interruptions += max(interruptions_of(self._job) - 1, 0)  # `after` counts the last one
            raise tally.after(error, context, step=self.step, retries=int(self.retries or 0)) from error

    def on_kill(self) -> None:
        """Stop the job; the worker commits finished cases."""
        if self.job_id:
            self._client.terminate_job(jobId=self.job_id, reason="Stopped by Airflow")

    def _run(self, context: Context, *, starts: int) -> dict[str, Any]:
        try:
            self.job_id = self._noted_job(context) or self._submit(context, starts=starts)
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

    @property
    def _client(self) -> Any:
        """Batch's client. The provider types it by a protocol that lacks newer arguments."""
        return self.hook.client

    def _noted_job(self, context: Context) -> str:
        """Return the id of the job that an earlier try started and whose result counts; empty if there is none.

        That is a running job that nobody stops, and a completed one unless the task was cleared since.
        """
        note: Any = context["task_state_store"].get(JOB_KEY)
        job = self._described(note["id"]) if isinstance(note, dict) else {}
        status = job.get("status", "FAILED")
        if status == "FAILED" or job.get("isTerminated"):
            return ""
        if status == "SUCCEEDED" and note["max_tries"] != context["ti"].max_tries:
            return ""
        log.info("the job %s of an earlier try is followed", note["id"])
        return str(note["id"])

    def _submit(self, context: Context, *, starts: int) -> str:
        settings, step, ti = self.settings, self.step, context["ti"]
        part = f"{step.command}-{max(map_index(context), 0)}-{ti.try_number}"
        queue = settings.spot_queue if self._spot else settings.queue
        size = {"VCPU": (settings.shard_cpu, 1024), "MEMORY": (settings.shard_memory, 1)} if step.interruptible else {}
        given = {name: f"{int(value) / unit:g}" for name, (value, unit) in size.items() if value}
        tags = {"airflow-dag": ti.dag_id, "airflow-run": ti.run_id, "airflow-task": part}
        answer = self._client.submit_job(
            jobName=re.sub("[^a-zA-Z0-9_-]", "-", f"{settings.worker_job}-{part}")[-128:].lstrip("-_"),
            jobQueue=queue,
            jobDefinition=settings.worker_job if step.interruptible else settings.builder_job,
            containerOverrides={
                "command": [*step.command_line, "--json"],
                "resourceRequirements": [{"type": name, "value": value} for name, value in given.items()],
            },
            retryStrategy=retry_strategy(starts),
            tags={key: tag_value(text) for key, text in tags.items()},
            propagateTags=True,
        )
        job = str(answer["jobId"])
        context["task_state_store"].set(JOB_KEY, {"id": job, "max_tries": ti.max_tries})
        log.info("%s as job %s in the queue %s, try %s", shlex.join(step.command_line), job, queue, ti.try_number)
        return job

    def _followed(self, context: Context) -> ContainerLog:
        """Log the job's status and its containers' lines until it ends, and return their log. Sets `_job`."""
        lines = ContainerLog(
            logs_client(self.aws_conn_id, self.region_name),
            group=self.settings.log_group,
            streams=lambda client: self._streams,
            poll_seconds=self.settings.poll_seconds,
            where=f"the log of the job {self.job_id} in the CloudWatch log group {self.settings.log_group}",
        )
        shown, missing, deadline = "", 0, time.monotonic() + self.settings.spot_wait
        while missing < POLLS_MISSING:
            self._job = self._described(self.job_id)
            self._link_log(context)
            lines.forward()
            status = self._job.get("status", "")
            if status and status != shown:
                log.info("%s: %s %s", self.job_id, status, self._job.get("statusReason", ""))
                shown = status
            if status in ENDED:
                return lines
            if self._spot and status in WAITING and time.monotonic() >= deadline:
                self._give_up()
            if status not in WAITING:
                deadline = time.monotonic() + self.settings.spot_wait
            missing = 0 if status else missing + 1
            time.sleep(self.settings.poll_seconds)
        raise WorkerFailed(f"Batch no longer knows the job {self.job_id}. Finished cases are kept.")

    def _give_up(self) -> None:
        """End a job that waits for spot capacity. Raises SpotLost."""
        waited = f"{self.settings.spot_wait:.0f} s"
        self._client.terminate_job(jobId=self.job_id, reason=f"No spot capacity within {waited}")
        raise SpotLost(
            f"No spot capacity is available now (the job waited {waited} in {self.settings.spot_queue}; "
            "VITALPREP_BATCH_SPOT_WAIT)."
        )

    def _described(self, job: str) -> dict[str, Any]:
        """Return what Batch says of a job; empty if it does not know it."""
        answer = patiently(
            lambda: self._client.describe_jobs(jobs=[job]),
            pause=self.settings.poll_seconds,
            limit=self.settings.patience_seconds,
        )
        return next(iter(answer["jobs"]), {})

    def _link_log(self, context: Context) -> None:
        """Note the log stream of a new attempt."""
        containers = [
            *(one.get("container", {}) for one in self._job.get("attempts", [])),
            self._job.get("container", {}),
        ]
        for stream in (one["logStreamName"] for one in containers if one.get("logStreamName")):
            if stream not in self._streams:
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
