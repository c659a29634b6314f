"""The operator that runs a step as a SageMaker training job.

SageMaker itself restarts an interrupted job, and the worker resumes from its receipts.
"""

from __future__ import annotations

import json
import logging
import shlex
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator
from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_airflow.backends.aws import connection_arguments
from vitalprep_airflow.backends.aws_errors import no_answer, patiently, stop_or_say_how
from vitalprep_airflow.backends.container_log import ContainerLog, logs_client
from vitalprep_airflow.backends.sagemaker import SageMakerSettings
from vitalprep_airflow.backends.sagemaker_errors import end_of_job, exists_already, is_unknown, refused_call
from vitalprep_airflow.backends.spot import InterruptionsApart, Tally
from vitalprep_airflow.command import run_worker
from vitalprep_airflow.outcome import WorkerFailed
from vitalprep_airflow.page.links import PageLink
from vitalprep_airflow.step import StepOperator, map_index

__all__ = ["SageMakerWorkerOperator"]

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
JOB_KEY = "training_job"  # under which Airflow keeps the job's name and `max_tries` from one try to the next
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
    demand. After a crash of Airflow the next try follows the job that still runs, or takes the result of the completed
    one.
    """

    operator_extra_links = (TrainingJobLink(), PageLink())
    ui_color = "#e6dcf4"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", InterruptionsApart())
        super().__init__(
            config={},
            deferrable=False,  # the provider's trigger stops no job when the task is stopped
            **connection_arguments(),
            **kwargs,
        )
        self.settings = SageMakerSettings.from_environment()
        self._job = ""
        self._spot = False

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
        if not self._job:
            return
        stop_or_say_how(
            lambda: self.hook.conn.stop_training_job(TrainingJobName=self._job),
            what=f"the job {self._job}",
            by_hand=f"aws sagemaker stop-training-job --training-job-name {self._job}",
        )

    def _run(self, context: Context) -> dict[str, Any]:
        try:
            self._job = self._noted_job(context) or self._start(context)
            TrainingJobLink.persist(
                context=context,
                operator=self,
                region_name=self.hook.conn_region_name or self.settings.region,
                aws_partition=self.hook.conn_partition,
                job=self._job,
            )
            return self._result(self._followed(self._job))
        except ClientError as error:
            said = error.response["Error"]
            raise refused_call(said["Code"], said["Message"], call=error.operation_name) from error
        except BotoCoreError as error:
            raise no_answer("SageMaker", error) from error

    def _noted_job(self, context: Context) -> str:
        """Return the name of the job that an earlier try started and whose result counts; empty if there is none.

        That is a running job, and a completed one unless the task was cleared since: a cleared task runs again.
        """
        note: Any = context["task_state_store"].get(JOB_KEY)
        if isinstance(note, str):  # by version 0.2.0
            note = {"name": note}
        if not isinstance(note, dict) or not (job := self._known(note["name"])):
            return ""
        name = str(note["name"])
        if job["TrainingJobStatus"] == "Stopping":
            log.info("the job %s is stopping; no other one starts before it has ended", name)
            job = self._followed(name)
        if job["TrainingJobStatus"] == "InProgress":
            log.info("the job %s is already running", name)
            return name
        if job["TrainingJobStatus"] == "Completed" and note.get("max_tries") == context["ti"].max_tries:
            log.info("the job %s has completed meanwhile", name)
            return name
        return ""

    def _known(self, name: str) -> dict[str, Any]:
        """Return the description of a job; empty if SageMaker does not know it, as in another region or account."""
        try:
            return self._described(name)
        except ClientError as error:
            said = error.response["Error"]
            if not is_unknown(said["Code"], said["Message"]):
                raise
        log.info(
            "SageMaker does not know the job %s, which an earlier try wanted to start; another one is started", name
        )
        return {}

    def _start(self, context: Context) -> str:
        self.config = self._request(context)
        name = str(self.config["TrainingJobName"])
        # Noted first: if the answer is lost, the next try finds the job.
        context["task_state_store"].set(JOB_KEY, {"name": name, "max_tries": context["ti"].max_tries})
        self._job = name  # which is stopped if the task ends while AWS is still asked to start it
        try:
            self._patiently(
                partial(self.hook.create_training_job, self.config, wait_for_completion=False, print_log=False)
            )
        except ClientError as error:
            said = error.response["Error"]
            # No other job has its name: an answer was lost, and SageMaker was asked again.
            if not exists_already(said["Code"], said["Message"]):
                raise
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
        arguments += [
            word for key, value in tags.items() for word in ("--tag", f"{key}={value}")
        ]  # which the worker cleans
        arguments += ["--use-spot" if self._spot else "--on-demand"]
        request: dict[str, Any] = run_worker("sagemaker-request", arguments)["request"]
        return request

    def _described(self, name: str) -> dict[str, Any]:
        """Return DescribeTrainingJob's answer. The job runs on while SageMaker does not answer."""
        job: dict[str, Any] = self._patiently(partial(self.hook.describe_training_job, name))
        return job

    def _patiently(self, call: Callable[[], Any]) -> Any:
        return patiently(call, pause=self.settings.poll_seconds, limit=self.settings.patience_seconds)

    def _followed(self, name: str) -> dict[str, Any]:
        """Log a job's status and its container's lines until it ends, and return its description."""
        lines = self._log_of(name)
        shown = ""
        while True:
            job = self._described(name)
            lines.forward()
            if job["SecondaryStatus"] != shown:
                shown = job["SecondaryStatus"]
                log.info("%s: %s", name, shown)
            if job["TrainingJobStatus"] not in RUNNING:
                lines.end(ok=job["TrainingJobStatus"] == "Completed", seconds=0)
                return job
            time.sleep(self.settings.poll_seconds)

    def _log_of(self, name: str) -> ContainerLog:
        def streams(client: Any) -> list[str]:
            found = client.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")
            return [one["logStreamName"] for one in found["logStreams"]]

        return ContainerLog(
            logs_client(self.aws_conn_id, self.region_name),
            group=LOG_GROUP,
            streams=streams,
            poll_seconds=self.settings.poll_seconds,
            where=f"the streams {name}/... of the CloudWatch log group {LOG_GROUP}",
        )

    def _result(self, job: dict[str, Any]) -> dict[str, Any]:
        billed, ran = job.get("BillableTimeInSeconds", 0), job.get("TrainingTimeInSeconds", 0)
        saved = f", {1 - billed / ran:.0%} less than on demand" if ran else ""
        log.info("%s: %s s billed%s", self._job, billed, saved)
        return end_of_job(
            job, name=self._job, command=self.step.command, spot=bool(job.get("EnableManagedSpotTraining"))
        )
