"""An AWS Batch for these tests: jobs on Fargate by its protocol, with the real worker behind them.

It retries an attempt as Batch does, by the job's own retry strategy.
"""

from __future__ import annotations

import fnmatch
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_endpoint import Container, Endpoint, Launch, Refusal, log_page

__all__ = ["BUILDER", "LOG_GROUP", "ON_DEMAND", "SPOT", "WORKER", "BatchEndpoint", "Fault", "Job", "batch_settings"]

SPOT, ON_DEMAND = "vitalprep-spot", "vitalprep-on-demand"
WORKER, BUILDER = "vitalprep-worker", "vitalprep-builder"
LOG_GROUP = "/aws/batch/job"
ARN = "arn:aws:batch:eu-north-1:000000000000:job/"
GRACE_SECONDS = 30
INTERRUPTED = "Your Spot Task was interrupted."
JOB_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}")
PATTERN = re.compile(r"[A-Za-z0-9.:\s]*\*?")  # of a condition in a retry strategy
ENDED = ("SUCCEEDED", "FAILED")


@dataclass
class Fault:
    """What befalls a job whose command line contains `command`; `times` of them, the first ones.

    `kind` is refuse (SubmitJob answers `code`, `text`), no-start (it fails with the reason `text` before it runs),
    never (no spot capacity is found), full (no machine is found), lose (Batch forgets it), or what happens to an
    attempt as soon as its container prints: interrupt, or memory (killed for using too much).
    """

    kind: str
    command: str = ""
    times: int = 1_000_000
    code: str = "ClientException"
    text: str = ""
    happened: int = 0


@dataclass
class Job:
    """A submitted job."""

    request: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "SUBMITTED"
    reason: str = ""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    container: Container | None = None
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    stopped: str = ""  # why it was terminated

    @property
    def command(self) -> list[str]:
        return list(self.request["containerOverrides"]["command"])

    @property
    def name(self) -> str:
        return str(self.request["jobName"])

    @property
    def queue(self) -> str:
        return str(self.request["jobQueue"])

    @property
    def stream(self) -> str:
        """The log stream of the latest attempt."""
        return next(reversed(self.events), "")

    def described(self) -> dict[str, Any]:
        latest = self.attempts[-1]["container"] if self.status in ENDED and self.attempts else {}
        stream = {"logStreamName": self.stream} if self.stream else {}
        return {
            "jobId": self.id,
            "jobArn": ARN + self.id,
            "jobName": self.request["jobName"],
            "jobQueue": self.queue,
            "jobDefinition": self.request["jobDefinition"],
            "status": self.status,
            "isTerminated": bool(self.stopped),
            "attempts": self.attempts,
            "container": stream | latest,
        } | ({"statusReason": self.reason} if self.reason else {})


class BatchEndpoint(Endpoint):
    """`jobs` is what was submitted, in order; `faults` what befalls them.

    Parameters
    ----------
    launch : callable
        Starts a container from a command and its environment.
    environment : mapping
        What the job definitions say.
    """

    def __init__(self, launch: Launch, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.launch = launch
        self.environment = dict(environment)
        self.jobs: list[Job] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()

    def containers(self) -> list[Container]:
        """Return what still runs."""
        return [job.container for job in self.jobs if job.container is not None and job.status not in ENDED]

    def jobs_of(self, command: str) -> list[Job]:
        """Return the jobs whose command line contains a text."""
        return [job for job in self.jobs if command in " ".join(job.command) + " "]

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Do one call. Raises Refusal."""
        operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "SubmitJob": self._submit,
            "DescribeJobs": self._describe,
            "ListJobs": self._list,
            "TerminateJob": self._terminate,
            "GetLogEvents": self._log_events,
        }
        if operation not in operations:
            raise Refusal("ClientException", f"This endpoint does not know {operation}.")
        return operations[operation](request)

    def _submit(self, request: dict[str, Any]) -> dict[str, Any]:
        job = Job(request)
        _check(request)
        fault = self._fault_for(job)
        if fault and fault.kind == "refuse":
            raise Refusal(fault.code, fault.text)
        self.jobs.append(job)
        threading.Thread(target=self._live, args=(job, fault), daemon=True).start()
        return {"jobArn": ARN + job.id, "jobName": request["jobName"], "jobId": job.id}

    def _fault_for(self, job: Job, *, of_attempt: bool = False) -> Fault | None:
        kinds = ("interrupt", "memory") if of_attempt else ("refuse", "no-start", "never", "full", "lose")
        with self._lock:
            for fault in self.faults:
                safe = fault.kind in ("interrupt", "never") and job.queue != SPOT
                applies = fault.kind in kinds and fault.command in " ".join(job.command) + " "
                if applies and fault.happened < fault.times and not safe:
                    fault.happened += 1
                    return fault
        return None

    def _live(self, job: Job, fault: Fault | None) -> None:
        job.status = "RUNNABLE"
        if fault and fault.kind == "no-start":
            job.reason, job.status = fault.text, "FAILED"
            return
        while fault and fault.kind in ("never", "full"):
            if job.stopped:
                job.reason, job.status = job.stopped, "FAILED"
                return
            time.sleep(0.005)
        strategy = job.request.get("retryStrategy", {})
        for _ in range(strategy.get("attempts", 1)):
            self._attempt(job, self._fault_for(job, of_attempt=True), lose=fault is not None)
            last = job.attempts[-1]
            job.reason = last["statusReason"]
            if last["container"].get("exitCode") == 0:
                job.status = "SUCCEEDED"
                return
            if job.stopped or _action(strategy, last) == "EXIT":
                break
            job.status = "RUNNABLE"
        job.status = "FAILED"

    def _attempt(self, job: Job, fault: Fault | None, *, lose: bool) -> None:
        stream = f"{WORKER}/default/{uuid.uuid4().hex}"
        container = job.container = self.launch(job.command, self.environment)
        job.events[stream] = []
        job.status = "RUNNING"
        if lose:
            self.jobs.remove(job)
        reason, status_reason = "", "Essential container in task exited"
        for line in container.lines():
            job.events[stream].append(
                {"timestamp": int(time.time() * 1000), "message": line.rstrip("\n"), "ingestionTime": 0}
            )
            if fault and fault.kind == "interrupt":
                container.signal(signal.SIGTERM)
                status_reason = INTERRUPTED
            elif fault and fault.kind == "memory":
                container.signal(signal.SIGKILL)
                reason = "OutOfMemoryError: Container killed due to memory usage"
        ended = {"exitCode": container.wait(), "logStreamName": stream} | ({"reason": reason} if reason else {})
        job.attempts.append({"container": ended, "statusReason": job.stopped or status_reason})

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [job.described() for job in self.jobs if job.id in request["jobs"]]}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        (by_name,) = request["filters"]
        found = [job for job in self.jobs if job.queue == request["jobQueue"] and job.name in by_name["values"]]
        return {"jobSummaryList": [{"jobId": job.id, "jobName": job.name, "status": job.status} for job in found]}

    def _terminate(self, request: dict[str, Any]) -> dict[str, Any]:
        for job in self.jobs:
            if job.id == request["jobId"] and job.status not in ENDED:
                job.stopped = request["reason"]
                if job.container is not None:
                    job.container.signal(signal.SIGTERM)
                    timer = threading.Timer(GRACE_SECONDS, job.container.signal, (signal.SIGKILL,))
                    timer.daemon = True
                    timer.start()
        return {}

    def _log_events(self, request: dict[str, Any]) -> dict[str, Any]:
        streams = {stream: events for job in self.jobs for stream, events in job.events.items() if events}
        if request["logGroupName"] != LOG_GROUP or request["logStreamName"] not in streams:
            raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        events = list(streams[request["logStreamName"]])
        return log_page(events, request)


def batch_settings(url: str) -> dict[str, str]:
    """Return the environment for an endpoint; as from Terraform, but with shorter pauses."""
    return {
        "VITALPREP_BACKEND": "batch",
        "VITALPREP_BATCH_SPOT_QUEUE": SPOT,
        "VITALPREP_BATCH_QUEUE": ON_DEMAND,
        "VITALPREP_BATCH_WORKER_JOB": WORKER,
        "VITALPREP_BATCH_BUILDER_JOB": BUILDER,
        "VITALPREP_BATCH_POLL_SECONDS": "0.05",
        "VITALPREP_LOG_WAIT": "0.2",
        "VITALPREP_INTERRUPTION_PAUSE": "0.5",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_BATCH": url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": url,
    }


def _check(request: Mapping[str, Any]) -> None:
    """Refuse what Batch refuses."""
    if not JOB_NAME.fullmatch(request["jobName"]):
        raise Refusal("ClientException", f"Error executing request: invalid job name {request['jobName']!r}.")
    if request["jobQueue"] not in (SPOT, ON_DEMAND):
        raise Refusal("ClientException", f"JobQueue {request['jobQueue']} not found.")
    if request["jobDefinition"] not in (WORKER, BUILDER):
        raise Refusal("ClientException", f"JobDefinition {request['jobDefinition']} not found.")
    if not all(request["containerOverrides"]["command"]):
        raise Refusal("ClientException", "Container command must not contain an empty string.")
    for one in request.get("retryStrategy", {}).get("evaluateOnExit", []):
        if not all(PATTERN.fullmatch(text) for name, text in one.items() if name != "action"):
            raise Refusal("ClientException", f"Invalid pattern in {one}.")


def _action(strategy: Mapping[str, Any], attempt: Mapping[str, Any]) -> str:
    """Return RETRY or EXIT for a failed attempt, by the first condition that holds; RETRY if none does."""
    container = attempt["container"]
    found = {
        "onStatusReason": attempt["statusReason"],
        "onReason": container.get("reason", ""),
        "onExitCode": str(container.get("exitCode", "")),
    }
    for one in strategy.get("evaluateOnExit", []):
        if all(fnmatch.fnmatchcase(found[name], text) for name, text in one.items() if name in found):
            return str(one["action"]).upper()
    return "RETRY"
