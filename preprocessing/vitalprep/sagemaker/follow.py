"""Follows a training job to its end: its status, and the log of its containers."""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, RetryableError, Stopped, UsageError, VitalprepError
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker.aws import aws_errors, error_code
from vitalprep.sagemaker.pauses import growing_pauses, pause

__all__ = ["EndedJob", "JobLogs", "follow", "refuse_unsuccessful"]

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
LONGEST_PAUSE = 10.0  # s
PATIENCE = 600.0  # s that AWS may be out of reach: the job goes on meanwhile
KILLED = 137  # by SIGKILL
LAST_LINES = 2.0  # s until CloudWatch shows the last lines

_EXIT_CODE = re.compile(r"exit code:? (\d+)")
_DECORATION = re.compile(r"^(?:AlgorithmError: )?exit code \d+: |,? exit code: \d+$")


@dataclass(frozen=True)
class EndedJob:
    """How a job ended: SageMaker's status and reason, and its seconds (of each instance)."""

    name: str
    status: str
    secondary_status: str
    reason: str
    instances: int
    training_seconds: int
    billable_seconds: int

    @property
    def saving(self) -> float:
        """Share saved against on-demand capacity, computed as AWS's console does."""
        return 1 - self.billable_seconds / self.training_seconds if self.training_seconds else 0.0

    def described(self) -> dict[str, Any]:
        """Return what ``vitalprep submit --wait --json`` prints of it."""
        return {
            "status": self.secondary_status if self.status == "Stopped" else self.status,
            "instances": self.instances,
            "training_seconds": self.training_seconds,
            "billable_seconds": self.billable_seconds,
            "saving": round(self.saving, 3),
        }


def follow(name: str, *, sagemaker: Any, logs: Any, stop: StopRequest) -> EndedJob:
    """Log a job's status and its containers' lines until it has ended.

    Raises
    ------
    Stopped
        When a stop is asked for: the job itself goes on.
    RetryableError
        If AWS cannot be asked for ten minutes; the job goes on.
    """
    lines = JobLogs(name, logs)
    status, reached = "", time.monotonic()
    for wait in growing_pauses(LONGEST_PAUSE):
        try:
            job = _described(name, sagemaker)
            lines.read()
            reached = time.monotonic()
        except RetryableError as error:
            if time.monotonic() - reached > PATIENCE:
                raise RetryableError(f"{error.message} {name} goes on.", fix=error.fix) from error
            log(error.message, level=logging.WARNING, job=name)
        else:
            if job["SecondaryStatus"] != status:
                status = job["SecondaryStatus"]
                log(f"{name}: {status}", job=name, status=status)
            if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
                pause(LAST_LINES, stop)
                lines.read()
                return _ended(name, job)
        pause(wait, stop)
        if stop.requested:
            raise Stopped(
                f"No longer followed: the job {name} goes on.",
                fix=f"end it by `aws sagemaker stop-training-job --training-job-name {name}`, if it shall not.",
            )
    raise AssertionError("the pauses never end")


def refuse_unsuccessful(job: EndedJob) -> None:
    """Raise an error for a job that did not complete.

    Raises
    ------
    RefusedError
        If its input, its settings or its result were refused: the same again would be, too.
    RetryableError
        If it failed otherwise, or was stopped.
    """
    if job.status == "Stopped":
        _refuse_stopped(job)
    if job.status == "Completed":
        return
    found = _EXIT_CODE.search(job.reason)
    code = int(found[1]) if found else 1
    message, _, fix = job.reason.partition(" Fix: ")
    if fix:  # our own words, as `ml_folder` left them
        message, fix = _DECORATION.sub("", message), _DECORATION.sub("", fix)
    message = f"The job {job.name} failed: {message.rstrip('.') or 'no reason is given'}."
    if code in (UsageError.exit_code, RefusedError.exit_code):
        raise RefusedError(message, fix=fix or "see its log.")
    if code == KILLED:
        fix = "if memory was the cause, give a larger --instance-type; submit again: it goes on from the receipts."
    elif "CapacityError" in job.reason:
        fix = "submit again later, with another --instance-type, or --on-demand: it goes on from the receipts."
    raise RetryableError(message, fix=fix or "see its log, then submit again: it goes on from the receipts.")


def _refuse_stopped(job: EndedJob) -> NoReturn:
    how = {
        "MaxRuntimeExceeded": ("it ran longer than --max-run", "submit again with a longer --max-run"),
        "MaxWaitTimeExceeded": ("it waited longer than --max-wait", "submit again, with --on-demand if it hurries"),
    }
    why, fix = how.get(job.secondary_status, ("somebody stopped it", "submit again"))
    raise RetryableError(f"The job {job.name} is stopped: {why}.", fix=f"{fix}: it goes on from the receipts.")


def _described(name: str, sagemaker: Any) -> dict[str, Any]:
    with aws_errors(f"look at the training job {name}"):
        described: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
    return described


def _ended(name: str, job: dict[str, Any]) -> EndedJob:
    ended = EndedJob(
        name=name,
        status=job["TrainingJobStatus"],
        secondary_status=job["SecondaryStatus"],
        reason=job.get("FailureReason", ""),
        instances=job["ResourceConfig"].get("InstanceCount", 1),
        training_seconds=job.get("TrainingTimeInSeconds", 0),
        billable_seconds=job.get("BillableTimeInSeconds", 0),
    )
    log(
        f"{name}: {ended.billable_seconds} of {ended.training_seconds} s are billed on each of {ended.instances} "
        f"instances, {ended.saving:.0%} less than on demand",
        job=name,
        **ended.described(),
    )
    return ended


class JobLogs:
    """The log lines of a job's containers, from CloudWatch.

    Parameters
    ----------
    name : str
        The job's name, with which its streams' names begin.
    logs : boto3 client of CloudWatch Logs
    """

    def __init__(self, name: str, logs: Any) -> None:
        self._name = name
        self._logs = logs
        self._tokens: dict[str, str | None] = {}
        self._readable = True

    def read(self) -> None:
        """Log the new lines. If reading them is denied, say so once and continue."""
        if not self._readable:
            return
        try:
            with aws_errors(f"read the log of {self._name}"):
                self._find_streams()
                for stream in self._tokens:
                    self._read_stream(stream)
        except RetryableError:
            raise
        except VitalprepError as error:
            if error_code(error) == "ResourceNotFoundException":  # until the first container writes
                return
            self._readable = False
            log(str(error), level=logging.WARNING, job=self._name)

    def _find_streams(self) -> None:
        pages = self._logs.get_paginator("describe_log_streams")
        for page in pages.paginate(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._name}/"):
            for stream in page["logStreams"]:
                self._tokens.setdefault(stream["logStreamName"], None)

    def _read_stream(self, stream: str) -> None:
        while True:
            token = self._tokens[stream]
            where = {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": True}
            answer = self._logs.get_log_events(**where, **({"nextToken": token} if token else {}))
            for event in answer["events"]:
                _log_line(_host_of(stream), event["message"])
            self._tokens[stream] = answer["nextForwardToken"]
            if answer["nextForwardToken"] == token:
                return


def _host_of(stream: str) -> str:
    """Return the host in ``JOB/algo-1-1700000000``."""
    return stream.rpartition("/")[2].rpartition("-")[0]


def _log_line(host: str, text: str) -> None:
    """Log a container's line; lines of vitalprep keep their level."""
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if isinstance(line, dict) and "message" in line:
        level = logging.getLevelNamesMapping().get(str(line.get("level")), logging.INFO)
        log(f"{host}: {line['message']}", level=level, host=host)
    elif text.strip():
        log(f"{host}: {text.rstrip()}", host=host)
