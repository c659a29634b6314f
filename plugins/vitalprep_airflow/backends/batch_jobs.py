"""The calls of AWS Batch that run a step: find the job of an earlier try, submit one, describe it, stop it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook
from botocore.config import Config

from vitalprep_airflow.backends.aws_errors import patiently, stop_or_say_how
from vitalprep_airflow.backends.batch import BatchSettings
from vitalprep_airflow.backends.batch_errors import is_interrupted

__all__ = ["ENDED", "WAITING", "Jobs"]

WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
ENDED = ("SUCCEEDED", "FAILED")
ONE_TRY = Config(retries={"total_max_attempts": 1})

log = logging.getLogger("airflow.task")


class Jobs:
    """Batch's jobs, as this project uses them.

    Parameters
    ----------
    hook : BatchClientHook
        Makes the clients.
    settings : BatchSettings
        The deployment's.
    """

    def __init__(self, hook: BatchClientHook, settings: BatchSettings) -> None:
        self._settings = settings
        self._client: Any = hook.client  # the provider types it by a protocol that lacks newer arguments
        # SubmitJob has no token: a second request after a lost answer would start a second job.
        self._submitter: Any = hook.get_client_type(config=ONE_TRY)

    def of_name(self, name: str) -> str:
        """Return the id of the job of a name whose result counts; empty if there is none.

        That is a running one that nobody stops, else one that has completed without losing its machine. Further
        running ones are stopped: the answer to their submission was lost.
        """
        found = self._described([job for queue in self._queues for job in self._ids(queue, name)])
        running = [job for job in found if job["status"] not in ENDED and not job.get("isTerminated")]
        for other in running[1:]:
            log.warning("A second job for this step is running and is stopped: %s", other["jobId"])
            self.stop(other["jobId"], f"{running[0]['jobId']} does the same work")
        done = [job for job in found if job["status"] == "SUCCEEDED" and not is_interrupted(job)]
        return next((str(job["jobId"]) for job in [*running, *done]), "")

    def submit(self, **request: Any) -> str:
        """Submit a job and return its id. Throttles are waited out."""
        answer = self._patiently(lambda: self._submitter.submit_job(**request), throttles_only=True)
        return str(answer["jobId"])

    def described(self, job: str) -> dict[str, Any]:
        """Return what Batch says of a job; empty if it does not know it."""
        return next(iter(self._described([job])), {})

    def stop(self, job: str, reason: str) -> None:
        """Stop a job; its worker commits finished cases."""
        stop_or_say_how(
            lambda: self._client.terminate_job(jobId=job, reason=reason),
            what=f"the job {job}",
            by_hand=f"aws batch terminate-job --job-id {job} --reason stopped",
        )

    @property
    def _queues(self) -> tuple[str, ...]:
        return self._settings.spot_queue, self._settings.queue

    def _ids(self, queue: str, name: str) -> list[str]:
        request = {"jobQueue": queue, "filters": [{"name": "JOB_NAME", "values": [name]}]}
        answer = self._patiently(lambda: self._client.list_jobs(**request))
        return [one["jobId"] for one in answer["jobSummaryList"]]

    def _described(self, jobs: Sequence[str]) -> list[dict[str, Any]]:
        if not jobs:
            return []
        answer = self._patiently(lambda: self._client.describe_jobs(jobs=list(jobs)))
        return list(answer["jobs"])

    def _patiently(self, call: Callable[[], Any], *, throttles_only: bool = False) -> Any:
        settings = self._settings
        return patiently(
            call, pause=settings.poll_seconds, limit=settings.patience_seconds, throttles_only=throttles_only
        )
