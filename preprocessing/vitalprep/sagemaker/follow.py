"""Follows a training job to its end, and says what that end means."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from vitalprep.contract.job import HostFailure
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, RetryableError, Stopped, UsageError
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker.aws import aws_errors
from vitalprep.sagemaker.job_logs import JobLogs
from vitalprep.sagemaker.pauses import growing_pauses, pause

__all__ = ["EndedJob", "described", "follow", "how_to_go_on", "refuse_unsuccessful"]

LONGEST_PAUSE = 10.0  # s
PATIENCE = 600.0  # s that AWS may be out of reach: the job goes on meanwhile
KILLED = 137  # by SIGKILL
LAST_LINES = 2.0  # s until CloudWatch shows the last lines

_EXIT_CODE = re.compile(r"exit code:? (\d+)")
_DECORATION = re.compile(r"^(?:AlgorithmError: )?exit code \d+: |,? exit code: \d+$")


@dataclass(frozen=True)
class EndedJob:
    """How a job ended: SageMaker's status and reason, and its seconds (of each instance).

    `started` is when its last attempt began, where SageMaker tells it.
    """

    name: str
    status: str
    secondary_status: str
    reason: str
    instances: int
    training_seconds: int
    billable_seconds: int
    arn: str = ""
    started: datetime | None = None

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
    """Log a job's status and its containers' lines until it has ended. The log decides nothing.

    Raises
    ------
    Stopped
        When a stop is asked for: the job itself goes on.
    RetryableError
        If AWS cannot be asked for ten minutes; the job goes on.
    UsageError
        If AWS refuses to say how the job stands; the job goes on.
    """
    states, lines = _JobStates(name, sagemaker), JobLogs(name, logs)
    for wait in growing_pauses(LONGEST_PAUSE):
        ended = states.look()
        lines.read()
        if ended is not None:
            pause(LAST_LINES, stop)
            lines.read()
            return _ended(name, ended)
        pause(wait, stop)
        if stop.requested:
            raise Stopped(
                f"No longer followed: the job {name} goes on.", fix=how_to_go_on(name, sagemaker.meta.region_name)
            )
    raise AssertionError("the pauses never end")


def how_to_go_on(name: str, region: str) -> str:
    """Return how to follow a job that runs, and how to end it."""
    return (
        f"the same command with --wait follows it and starts no second job; `aws sagemaker stop-training-job "
        f"--training-job-name {name} --region {region}` ends it."
    )


class _JobStates:
    """The states of a job, of which each new one is logged."""

    def __init__(self, name: str, sagemaker: Any) -> None:
        self._name = name
        self._sagemaker = sagemaker
        self._shown = ""
        self._lost = False
        self._reached = time.monotonic()

    def look(self) -> dict[str, Any] | None:
        """Return the description of a job that has ended; None while it runs, or if AWS cannot be asked."""
        try:
            job = described(self._name, self._sagemaker)
        except RetryableError as error:
            if time.monotonic() - self._reached > PATIENCE:
                raise RetryableError(f"{error.message} {self._name} goes on.", fix=error.fix) from error
            if not self._lost:
                log(f"{error.message} It is tried again.", level=logging.WARNING, job=self._name)
            self._lost = True
            return None
        except UsageError as error:
            raise UsageError(f"{error.message} {self._name} goes on.", fix=error.fix) from error
        self._lost, self._reached = False, time.monotonic()
        if job["SecondaryStatus"] != self._shown:
            self._shown = job["SecondaryStatus"]
            log(f"{self._name}: {self._shown}", job=self._name, status=self._shown)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None


def refuse_unsuccessful(job: EndedJob, told: HostFailure | None = None) -> None:
    """Raise an error for a job that did not complete.

    Parameters
    ----------
    told : HostFailure, optional
        What a host of the job left as the cause; SageMaker's reason may be cut, or empty.

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
    code, message, fix = (told.exit_code, told.message, told.fix) if told else _reason(job)
    message = f"The job {job.name} failed: {message.rstrip('.') or 'no reason is given'}."
    if code in (UsageError.exit_code, RefusedError.exit_code):
        raise RefusedError(message, fix=fix or "see its log.")
    if code == KILLED:
        fix = "if memory was the cause, give a larger --instance-type; submit again: it goes on from the receipts."
    elif "CapacityError" in job.reason:
        fix = "submit again later, with another --instance-type, or --on-demand: it goes on from the receipts."
    raise RetryableError(message, fix=fix or "see its log, then submit again: it goes on from the receipts.")


def _reason(job: EndedJob) -> tuple[int, str, str]:
    """Return exit code, message and fix from SageMaker's reason."""
    found = _EXIT_CODE.search(job.reason)
    code = int(found[1]) if found else 1
    message, _, fix = job.reason.partition(" Fix: ")
    if fix:  # our own words, as `ml_folder` left them
        message, fix = _DECORATION.sub("", message), _DECORATION.sub("", fix)
    return code, message, fix


def _refuse_stopped(job: EndedJob) -> NoReturn:
    how = {
        "MaxRuntimeExceeded": ("it ran longer than --max-run", "submit again with a longer --max-run"),
        "MaxWaitTimeExceeded": ("it waited longer than --max-wait", "submit again, with --on-demand if it hurries"),
    }
    why, fix = how.get(job.secondary_status, ("somebody stopped it", "submit again"))
    raise RetryableError(f"The job {job.name} is stopped: {why}.", fix=f"{fix}: it goes on from the receipts.")


def described(name: str, sagemaker: Any) -> dict[str, Any]:
    """Return SageMaker's description of a job."""
    with aws_errors(f"look at the training job {name}"):
        found: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
    return found


def _ended(name: str, job: dict[str, Any]) -> EndedJob:
    ended = EndedJob(
        name=name,
        status=job["TrainingJobStatus"],
        secondary_status=job["SecondaryStatus"],
        reason=job.get("FailureReason", ""),
        instances=job["ResourceConfig"].get("InstanceCount", 1),
        training_seconds=job.get("TrainingTimeInSeconds", 0),
        billable_seconds=job.get("BillableTimeInSeconds", 0),
        arn=job.get("TrainingJobArn", ""),
        started=_last_start(job),
    )
    log(
        f"{name}: {ended.billable_seconds} of {ended.training_seconds} s are billed on each of {ended.instances} "
        f"instances, {ended.saving:.0%} less than on demand",
        job=name,
        **ended.described(),
    )
    return ended


def _last_start(job: dict[str, Any]) -> datetime | None:
    """Return when the last attempt began: an interrupted job trains more than once."""
    steps = [step for step in job.get("SecondaryStatusTransitions", []) if step["Status"] == "Training"]
    return max((step["StartTime"] for step in steps), default=job.get("TrainingStartTime"))
