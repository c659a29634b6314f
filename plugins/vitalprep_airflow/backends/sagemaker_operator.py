"""The operator that runs a step as a SageMaker training job.

SageMaker itself restarts an interrupted job, and the worker resumes from its receipts.
"""

from __future__ import annotations

import json
import logging
import shlex
import time
from typing import Any

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator
from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import connection_arguments
from vitalprep_airflow.backends.aws_errors import no_answer
from vitalprep_airflow.backends.sagemaker import SageMakerSettings
from vitalprep_airflow.backends.sagemaker_errors import end_of_job, refused_call
from vitalprep_airflow.backends.spot import InterruptionsApart, Tally
from vitalprep_airflow.command import run_worker
from vitalprep_airflow.outcome import WorkerFailed
from vitalprep_airflow.page.links import PageLink
from vitalprep_airflow.process import readable
from vitalprep_airflow.step import StepOperator, map_index

__all__ = ["SageMakerWorkerOperator"]

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
JOB_KEY = "training_job"  # under which Airflow keeps the job's name from one try to the next
RUNNING = ("InProgress", "Stopping")

log = logging.getLogger("airflow.task")


class TrainingJobLink(BaseAwsLink):
    """The job in the AWS console."""

    name = "SageMaker training job"
    key = "training_job_link"
    format_str = BASE_AWS_CONSOLE_LINK + "/sagemaker/home?region={region_name}#/jobs/{job}"


class SageMakerWorkerOperator(StepOperator, SageMakerTrainingOperator):
    """Runs one step as a training job and judges how it ended.

    Shards run on managed spot. A job that finds no capacity in time is tried again, and after too many such tries on
    demand. After a crash of Airflow the next try follows the job that still runs.
    """

    operator_extra_links = (TrainingJobLink(), PageLink())
    ui_color = "#e6dcf4"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", InterruptionsApart())
        super().__init__(
            config={},
            deferrable=False,  # only this mode stops the job when the task is stopped
            **connection_arguments(),
            **kwargs,
        )
        self.settings = SageMakerSettings.from_environment()
        self._job = ""
        self._spot = False
        self._seen: dict[str, str] = {}  # log stream => token of what follows

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command to its end and return what it cost.

        Raises
        ------
        SpotLost
            If the job got no capacity in time.
        WorkerRefused, WorkerFailed
            By reason and exit code; WorkerRefused also after too many failures.
        """
        tally = Tally.of(context)
        self._spot = tally.takes_spot(context, self.step)
        try:
            return self._run(context)
        except WorkerFailed as error:
            raise tally.after(error, context, step=self.step, retries=int(self.retries or 0)) from error

    def on_kill(self) -> None:
        """Stop the job; the worker commits finished cases."""
        if self._job:
            self.hook.conn.stop_training_job(TrainingJobName=self._job)

    def _run(self, context: Context) -> dict[str, Any]:
        try:
            self._job = self._running_job(context) or self._start(context)
            TrainingJobLink.persist(
                context=context,
                operator=self,
                region_name=self.hook.conn_region_name or self.settings.region,
                aws_partition=self.hook.conn_partition,
                job=self._job,
            )
            return self._result(self._followed())
        except ClientError as error:
            said = error.response["Error"]
            raise refused_call(said["Code"], said["Message"], call=error.operation_name) from error
        except BotoCoreError as error:
            raise no_answer("SageMaker", error) from error

    def _running_job(self, context: Context) -> str:
        """Return the name of the job that an earlier try left running; empty if there is none."""
        name = context["task_state_store"].get(JOB_KEY)
        if isinstance(name, str) and self.hook.describe_training_job(name)["TrainingJobStatus"] == "InProgress":
            log.info("the job %s is already running", name)
            return name
        return ""

    def _start(self, context: Context) -> str:
        self.config = self._request(context)
        name = str(self.config["TrainingJobName"])
        self.hook.create_training_job(self.config, wait_for_completion=False, print_log=False)
        context["task_state_store"].set(JOB_KEY, name)
        machine = f"{self.config['ResourceConfig']['InstanceType']} {'on spot' if self._spot else 'on demand'}"
        log.info("%s as job %s, %s", shlex.join(self.step.command_line), name, machine)
        return name

    def _request(self, context: Context) -> dict[str, Any]:
        """Return the CreateTrainingJob request for the step, which the worker builds."""
        step, settings, ti = self.step, self.settings, context["ti"]
        part = f"{step.command}-{max(map_index(context), 0)}-{ti.try_number}"
        tags = {"airflow-dag": ti.dag_id, "airflow-run": ti.run_id, "airflow-task": part}
        options = {
            "--command": step.command,
            "--arguments": json.dumps(step.arguments),
            "--output": step.output_uri,
            "--part": part,
            "--image": settings.image,
            "--role": settings.role,
            "--region": settings.region,
            "--instance-type": settings.worker_type if step.interruptible else settings.builder_type,
            "--max-run": str(settings.max_run),
        }
        if self._spot:
            options["--max-wait"] = str(settings.max_wait)
        arguments = [word for option in options.items() for word in option]
        arguments += [word for key, value in tags.items() for word in ("--tag", f"{key}={value}")]
        arguments += ["--use-spot" if self._spot else "--on-demand"]
        request: dict[str, Any] = run_worker("sagemaker-request", arguments)["request"]
        return request

    def _followed(self) -> dict[str, Any]:
        """Log the job's status and its container's lines until it ends, and return its description."""
        shown = ""
        while True:
            job: dict[str, Any] = self.hook.describe_training_job(self._job)
            self._forward_log()
            if job["SecondaryStatus"] != shown:
                shown = job["SecondaryStatus"]
                log.info("%s: %s", self._job, shown)
            if job["TrainingJobStatus"] not in RUNNING:
                return job
            time.sleep(self.settings.poll_seconds)

    def _forward_log(self) -> None:
        logs = self.hook.logs_hook.conn
        try:
            found = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._job}/")
            for stream in (one["logStreamName"] for one in found["logStreams"]):
                place = {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": True}
                since = {"nextToken": self._seen[stream]} if stream in self._seen else {}
                answer = logs.get_log_events(**place, **since)
                self._seen[stream] = answer["nextForwardToken"]
                for event in answer["events"]:
                    log.log(*readable(event["message"]))
        except ClientError as error:
            # An account has no log group before its first job. A role that may not read the log still runs jobs.
            log.debug("The job's log cannot be read: %s", error)

    def _result(self, job: dict[str, Any]) -> dict[str, Any]:
        billed, ran = job.get("BillableTimeInSeconds", 0), job.get("TrainingTimeInSeconds", 0)
        saved = f", {1 - billed / ran:.0%} less than on demand" if ran else ""
        log.info("%s: %s s billed%s", self._job, billed, saved)
        return end_of_job(job, name=self._job, command=self.step.command, spot=self._spot)
