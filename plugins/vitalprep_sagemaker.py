"""Worker commands as SageMaker training jobs, the only kind of job with managed spot: a job a shard, a split, a proof.

SageMaker restarts an interrupted job by itself; the worker goes on from the receipts. A job that was stopped counts as
done for the provider's operator, and here as failed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import BotoCoreError, ClientError

from vitalprep_aws import (
    CREDENTIALS,
    ENVIRONMENT,
    Refusal,
    connection_arguments,
    lost_sight,
    missing,
    refused,
    region,
)
from vitalprep_outcomes import Outcome, WorkerFailed, WorkerRefused, result_of
from vitalprep_page_links import PageLink
from vitalprep_process import readable
from vitalprep_spot import SAGEMAKER_TYPE, InterruptionsApart, SpotLost, Tally, is_shard

__all__ = ["SageMakerSettings", "SageMakerWorkerOperator"]

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
NAME_LENGTH = 63
JOB_KEY = "training_job"  # under which Airflow keeps the job's name from one try to the next
RUNNING = ("InProgress", "Stopping")

log = logging.getLogger("airflow.task")


@dataclass(frozen=True)
class SageMakerSettings:
    """What Terraform made and the deployment chose, from ``VITALPREP_SAGEMAKER_...`` (README, "On AWS")."""

    role: str
    image: str
    region: str
    worker_type: str
    builder_type: str
    max_run: int
    max_wait: int
    poll_seconds: float

    @classmethod
    def from_environment(cls) -> SageMakerSettings:
        """Read the settings; what is missing is empty, and `problem` names it."""
        return cls(
            role=_setting("ROLE"),
            image=_setting("IMAGE"),
            region=region(),
            worker_type=_setting("INSTANCE_TYPE") or SAGEMAKER_TYPE,
            builder_type=_setting("BUILDER_INSTANCE_TYPE") or "ml.m5.xlarge",
            max_run=int(_setting("MAX_RUN") or 4 * 3600),
            max_wait=int(_setting("MAX_WAIT") or 8 * 3600),
            poll_seconds=float(_setting("POLL_SECONDS") or 15),
        )

    @property
    def problem(self) -> str | None:
        """What is missing or impossible, and how to mend it."""
        needed = {
            "AWS_DEFAULT_REGION": self.region,
            "VITALPREP_SAGEMAKER_ROLE": self.role,
            "VITALPREP_SAGEMAKER_IMAGE": self.image,
        }
        if problem := missing("sagemaker", needed):
            return problem
        if self.max_wait < self.max_run:
            return (
                f"VITALPREP_SAGEMAKER_MAX_WAIT ({self.max_wait} s) is less than VITALPREP_SAGEMAKER_MAX_RUN "
                f"({self.max_run} s). To mend: a job on spot waits for capacity besides running; raise it."
            )
        return None


def _setting(name: str) -> str:
    return os.environ.get(f"VITALPREP_SAGEMAKER_{name}", "").strip()


class TrainingJobLink(BaseAwsLink):
    """The job in the AWS console."""

    name = "SageMaker training job"
    key = "training_job_link"
    format_str = BASE_AWS_CONSOLE_LINK + "/sagemaker/home?region={region_name}#/jobs/{job}"


# What CreateTrainingJob answers.
_CALLS: tuple[Refusal, ...] = (
    (
        "ResourceLimitExceeded",
        "",
        WorkerFailed,
        "lower VITALPREP_SHARDS_AT_ONCE, choose another VITALPREP_SAGEMAKER_INSTANCE_TYPE, or ask for a higher quota "
        "(Service Quotas, SageMaker, '<type> for spot training job usage')",
    ),
    (
        "AccessDenied",
        "PassRole",
        WorkerRefused,
        "let Airflow's role pass VITALPREP_SAGEMAKER_ROLE to SageMaker (iam:PassRole; terraform/rights_to_services.tf)",
    ),
    ("AccessDenied", "", WorkerRefused, "give Airflow the role that `terraform output airflow_role` names"),
    CREDENTIALS,
    ("ValidationException", "role|assume", WorkerRefused, "check VITALPREP_SAGEMAKER_ROLE; " + ENVIRONMENT),
    (
        "ValidationException",
        "image|ECR|registry",
        WorkerRefused,
        "push the image that VITALPREP_SAGEMAKER_IMAGE names, to this region; " + ENVIRONMENT,
    ),
    ("ValidationException", "", WorkerRefused, "check the VITALPREP_SAGEMAKER_ settings; " + ENVIRONMENT),
)

# Why a job failed before its container ran: (pattern in FailureReason, what to raise, the mend).
_FAILURES: tuple[tuple[str, type[AirflowException], str], ...] = (
    (
        r"image|ECR|registry|entrypoint",
        WorkerRefused,
        "push docker/Dockerfile.worker's image for x86_64 under the tag that VITALPREP_SAGEMAKER_IMAGE names",
    ),
    (
        r"AccessDenied|not authorized|assume",
        WorkerRefused,
        "the job's role must trust sagemaker.amazonaws.com and have terraform's policies (terraform/roles.tf)",
    ),
)


class SageMakerWorkerOperator(SageMakerTrainingOperator):
    """Runs one worker command as a training job and judges how it ended.

    Shards run on managed spot. A job that finds no capacity within its time is tried again, and after some such tries
    on demand. After a crash of Airflow the next try follows the job that runs already.

    :param arguments: the command line after ``vitalprep`` and without ``--json``. (templated)
    :param step: names the step in the grid, where it is one of several. (templated)
    """

    template_fields: Sequence[str] = ("arguments", "step")
    operator_extra_links = (TrainingJobLink(), PageLink())
    ui_color = "#e6dcf4"

    def __init__(self, *, arguments: Sequence[str], step: str = "", **kwargs: Any) -> None:
        self.settings = SageMakerSettings.from_environment()
        kwargs.setdefault("retry_policy", InterruptionsApart())
        super().__init__(
            config={},
            deferrable=False,  # a job must end when its task is stopped
            **connection_arguments(),
            **kwargs,
        )
        self.arguments = arguments
        self.step = step
        self._job = ""
        self._spot = False
        self._seen: dict[str, str] = {}  # log stream => where to read on

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command to its end and return what it cost.

        Raises
        ------
        SpotLost
            If there was no capacity in time.
        WorkerRefused, WorkerFailed
            By reason and exit code; WorkerRefused also when it has failed too often.
        """
        tally = Tally.of(context)
        self._spot = tally.takes_spot(context, self.arguments[0])
        try:
            return self._run(context)
        except WorkerFailed as error:
            raise tally.after(error, context, command=self.arguments[0], retries=int(self.retries or 0)) from error

    def on_kill(self) -> None:
        """Stop the job: the worker commits what it has finished."""
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
            return self._judge(self._followed())
        except ClientError as error:
            said = error.response["Error"]
            raise refused("SageMaker", error.operation_name, said["Code"], said["Message"], _CALLS) from error
        except BotoCoreError as error:
            raise lost_sight("SageMaker", error) from error

    def _running_job(self, context: Context) -> str:
        """Return the job that an earlier try has left running, if any."""
        name = context["task_state_store"].get(JOB_KEY)
        if isinstance(name, str) and self.hook.describe_training_job(name)["TrainingJobStatus"] == "InProgress":
            log.info("the job %s runs already", name)
            return name
        return ""

    def _start(self, context: Context) -> str:
        self.config = training_job(context, self.arguments, self.settings, spot=self._spot)
        name = str(self.config["TrainingJobName"])
        self.hook.create_training_job(self.config, wait_for_completion=False, print_log=False)
        context["task_state_store"].set(JOB_KEY, name)
        kind = self.config["ResourceConfig"]["InstanceType"]
        log.info("%s as job %s, %s %s", " ".join(self.arguments), name, kind, "on spot" if self._spot else "on demand")
        return name

    def _followed(self) -> dict[str, Any]:
        """Show the job's status and log until it has ended, and return its description."""
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
            # Before the first job of an account there is no log group; without the right to read, the job goes on.
            log.debug("The job's log cannot be read: %s", error)

    def _judge(self, job: dict[str, Any]) -> dict[str, Any]:
        billed, ran = job.get("BillableTimeInSeconds", 0), job.get("TrainingTimeInSeconds", 0)
        saved = f", {1 - billed / ran:.0%} less than on demand" if ran else ""
        log.info("%s: %s s billed%s", self._job, billed, saved)
        status, reason = job["TrainingJobStatus"], job.get("FailureReason", "")
        if status == "Completed":
            return {"job": self._job, "billable_seconds": billed, "training_seconds": ran}
        if job["SecondaryStatus"] == "MaxWaitTimeExceeded" or (self._spot and "CapacityError" in reason):
            raise SpotLost(f"{self._job} got no spot capacity in time; finished cases are kept.")
        if status == "Stopped":
            raise WorkerFailed(f"{self._job} was stopped ({job['SecondaryStatus']}); finished cases are kept.")
        return self._failed(reason)

    def _failed(self, reason: str) -> dict[str, Any]:
        """Raise what a failed job means. The worker's own words are in the reason, after its exit code."""
        code = re.search(r"exit code:? (\d+)", reason)
        if code is None:
            for pattern, kind, mend in _FAILURES:
                if re.search(pattern, reason, re.IGNORECASE):
                    raise kind(f"{self._job} did not run: {reason} To mend: {mend}.")
            raise WorkerFailed(f"{self._job} failed: {reason or 'no reason given'}")
        message = re.sub(r"^AlgorithmError: *|, exit code: \d+$|exit code \d+: *", "", reason)
        return result_of(Outcome(tuple(self.arguments), int(code[1]), {"message": message}))


def training_job(
    context: Context, arguments: Sequence[str], settings: SageMakerSettings, *, spot: bool
) -> dict[str, Any]:
    """Return the request of CreateTrainingJob for one command. Raises WorkerRefused if the output is not in S3."""
    place = next((one for one in arguments if re.search(r"/(runs|datasets)/", one)), "")
    output = re.split(r"/(?:runs|datasets)/", place)[0]
    if not output.startswith("s3://"):
        raise WorkerRefused(
            f"A training job cannot reach {place or 'this output'}. To mend: put input and output into S3."
        )
    ti = context["ti"]
    part = f"{arguments[0]}-{max(ti.map_index, 0)}-{ti.try_number}"
    stopping = {"MaxRuntimeInSeconds": settings.max_run}
    if spot:
        stopping["MaxWaitTimeInSeconds"] = settings.max_wait
    tags = {"airflow-dag": ti.dag_id, "airflow-run": ti.run_id, "airflow-task": part}
    return {
        # Names are unique in an account for ever.
        "TrainingJobName": f"vitalprep-{part}-{time.time_ns() // 1_000_000}"[:NAME_LENGTH],
        "RoleArn": settings.role,
        "AlgorithmSpecification": {
            "TrainingImage": settings.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["vitalprep", "train"],
        },
        "HyperParameters": {"command": arguments[0], "arguments": json.dumps(list(arguments[1:]))},
        "OutputDataConfig": {"S3OutputPath": f"{output}/sagemaker/"},
        "ResourceConfig": {
            "InstanceType": settings.worker_type if is_shard(arguments[0]) else settings.builder_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": spot,
        "Environment": {"AWS_DEFAULT_REGION": settings.region},
        "Tags": [{"Key": key, "Value": re.sub(r"[^\w .:/=+@-]", "_", value)[:256]} for key, value in tags.items()],
    }
