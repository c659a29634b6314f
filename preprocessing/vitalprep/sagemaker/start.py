"""Starts a training job, unless one for the same data set runs already.

SageMaker never frees a job's name and gives each only once. So the names of a data set's jobs are numbered: whoever
finds a number taken sees by that job whether the data set is being made, also where the answer to the own request was
lost. A job under a name of the user's own is seen by nobody who does not give that name too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.sagemaker.aws import aws_errors, error_code
from vitalprep.sagemaker.follow import described, how_to_go_on

__all__ = ["StartedJob", "running_job", "start"]

_NOT_THERE = ("ValidationException", "ResourceNotFound")


@dataclass(frozen=True)
class StartedJob:
    """A job that makes the data set; `new` is false if it ran already."""

    name: str
    new: bool


def start(requests: Iterable[Mapping[str, Any]], *, sagemaker: Any) -> StartedJob:
    """Create a training job by the first request whose name is free.

    Parameters
    ----------
    requests : iterable of dict
        The same job under different names, at least one.

    Raises
    ------
    UsageError
        If AWS refuses, or all names are taken by jobs that have ended or make something else.
    RetryableError
        If AWS cannot be reached, or a job for the same data set is just stopping.
    """
    for request in requests:
        name = request["TrainingJobName"]
        try:
            with aws_errors("create the training job"):
                sagemaker.create_training_job(**request)
        except UsageError as error:
            if error_code(error) != "ResourceInUse":
                raise
            taken = error
        else:
            return StartedJob(name, new=True)
        if _runs(name, request, sagemaker):
            return StartedJob(name, new=False)
    raise taken


def running_job(names: Iterable[str], request: Mapping[str, Any], *, sagemaker: Any) -> StartedJob | None:
    """Return a job that makes a request's data set now, among names that are given out one after the other.

    Parameters
    ----------
    names : iterable of str
        Looked at up to the first that no job has.

    Raises
    ------
    UsageError, RetryableError
        If AWS does not say how one stands, or if it is just stopping.
    """
    for name in names:
        try:
            if _runs(name, request, sagemaker):
                return StartedJob(name, new=False)
        except UsageError as error:
            if error_code(error) in _NOT_THERE:
                return None
            if error_code(error) != "AccessDeniedException":
                raise
            log(f"a job {name} for this data set would not be noticed: {error.message}", level=logging.WARNING)
            return None
    return None


def _runs(name: str, request: Mapping[str, Any], sagemaker: Any) -> bool:
    """Return whether the job that has a name makes the same data set now."""
    job = described(name, sagemaker)
    if _data_set(job) != _data_set(request):
        return False
    if job["TrainingJobStatus"] == "Stopping":
        raise RetryableError(
            f"The job {name} for the same data set is just stopping.",
            fix="submit again when it has stopped: it goes on from the receipts.",
        )
    if job["TrainingJobStatus"] != "InProgress":
        return False
    log(f"{name} makes this data set already: {how_to_go_on(name, sagemaker.meta.region_name)}", job=name)
    return True


def _data_set(job: Mapping[str, Any]) -> str:
    """Return the folder of a job's plans, ``<output>/runs/<dataset_id>``; empty for a job without a plan."""
    return str(job.get("HyperParameters", {}).get("plan", "")).rpartition("/")[0]
