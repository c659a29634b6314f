"""A SageMaker for these tests: training jobs by its protocol, with the real `vitalprep sagemaker-job` behind them.

Managed spot as SageMaker does it: an interrupted job is started again by itself, on a new machine.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_endpoint import Container, Endpoint, Launch, Refusal, log_page

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ARN = "arn:aws:sagemaker:eu-north-1:000000000000:training-job/"


@dataclass
class Fault:
    """What befalls a job whose arguments contain `text`; `times` of them, the first ones.

    `kind` is refuse (CreateTrainingJob answers `code`, `message`), fail (the job fails with the reason `message` before
    it runs), wait (it finds no spot capacity until it must end) or interrupt (once, when its container prints).
    """

    kind: str
    text: str = ""
    times: int = 1_000_000
    code: str = "ValidationException"
    message: str = ""
    happened: int = 0


@dataclass
class Job:
    request: dict[str, Any]
    status: str = "InProgress"
    secondary: str = "Starting"
    reason: str = ""
    transitions: list[str] = field(default_factory=list)
    container: Container | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    seconds: int = 100
    billed: int = 100

    @property
    def name(self) -> str:
        return str(self.request["TrainingJobName"])

    @property
    def spot(self) -> bool:
        return bool(self.request["EnableManagedSpotTraining"])

    def becomes(self, secondary: str, status: str = "InProgress", reason: str = "") -> None:
        self.transitions.append(secondary)
        self.reason, self.secondary, self.status = reason, secondary, status

    def described(self) -> dict[str, Any]:
        answer = self.request | {
            "TrainingJobArn": ARN + self.name,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "ModelArtifacts": {"S3ModelArtifacts": ""},
            "CreationTime": 0,
        }
        if self.status != "InProgress":
            answer |= {"TrainingTimeInSeconds": self.seconds, "BillableTimeInSeconds": self.billed}
        return answer | ({"FailureReason": self.reason} if self.reason else {})


class SageMakerEndpoint(Endpoint):
    """`jobs` is what was run, by name; `faults` what befalls them.

    Parameters
    ----------
    launch : callable
        Starts a container from a command and its environment, which names the folder that is `/opt/ml` elsewhere.
    folder : Path
        Where those folders are laid out.
    """

    def __init__(self, launch: Launch, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.launch = launch
        self.folder = folder
        self.environment = dict(environment)
        self.jobs: dict[str, Job] = {}
        self.faults: list[Fault] = []
        self._lock = threading.Lock()

    def containers(self) -> list[Container]:
        """Return what still runs."""
        return [job.container for job in self.jobs.values() if job.container is not None and job.status == "InProgress"]

    def jobs_of(self, text: str) -> list[Job]:
        """Return the jobs whose arguments contain a text."""
        return [job for job in self.jobs.values() if text in job.request["HyperParameters"]["arguments"]]

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Do one call. Raises Refusal."""
        operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": lambda request: self._job(request).described(),
            "StopTrainingJob": self._stop,
            "DescribeLogStreams": self._streams,
            "GetLogEvents": self._events,
        }
        return operations[operation](request)

    def _job(self, request: dict[str, Any]) -> Job:
        if request["TrainingJobName"] not in self.jobs:
            raise Refusal("ValidationException", "Requested resource not found.")
        return self.jobs[request["TrainingJobName"]]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        fault = self._fault_for(request["HyperParameters"]["arguments"], request["EnableManagedSpotTraining"])
        if fault and fault.kind == "refuse":
            raise Refusal(fault.code, fault.message)
        if request["TrainingJobName"] in self.jobs:
            raise Refusal("ResourceInUse", "Training job names must be unique; one with this name already exists.")
        job = self.jobs[request["TrainingJobName"]] = Job(request)
        threading.Thread(target=self._live, args=(job, fault), daemon=True).start()
        return {"TrainingJobArn": ARN + job.name}

    def _fault_for(self, text: str, spot: bool) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                safe = fault.kind in ("wait", "interrupt") and not spot
                if fault.text in text and fault.happened < fault.times and not safe:
                    fault.happened += 1
                    return fault
        return None

    def _live(self, job: Job, fault: Fault | None) -> None:
        if fault and fault.kind == "fail":
            job.becomes("Failed", "Failed", fault.message)
        elif fault and fault.kind == "wait":
            job.becomes("MaxWaitTimeExceeded", "Stopped")
        elif fault and fault.kind == "interrupt":
            self._run(job, "1", interrupt=True)
            job.becomes("Interrupted")
            job.billed = 60
            job.becomes("Starting")
            self._end(job, self._run(job, "2"))
        else:
            self._end(job, self._run(job, "1"))

    def _run(self, job: Job, attempt: str, *, interrupt: bool = False) -> int:
        root = self.folder / job.name / attempt
        (root / "input" / "config").mkdir(parents=True)
        config = {
            "hyperparameters": job.request["HyperParameters"],
            "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"},
        }
        for name, content in config.items():
            (root / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
        _, *command = job.request["AlgorithmSpecification"]["ContainerEntrypoint"]
        told = job.request.get("Environment", {}) | {"VITALPREP_ML_FOLDER": str(root)}
        job.container = self.launch(command, self.environment | told)
        job.becomes("Training")
        for line in job.container.lines():
            job.events.append({"timestamp": int(time.time() * 1000), "message": line.rstrip("\n"), "ingestionTime": 0})
            if interrupt:
                interrupt = False
                job.container.signal(signal.SIGTERM)
        code = job.container.wait()
        failure = root / "output" / "failure"
        text = failure.read_text() if failure.exists() else ""
        job.reason = f"AlgorithmError: {text[:1024]}, exit code: {code}"
        return code

    def _end(self, job: Job, code: int) -> None:
        if job.secondary == "Stopping":
            job.becomes("Stopped", "Stopped")
        elif code:
            job.becomes("Failed", "Failed", job.reason)
        else:
            job.becomes("Completed", "Completed")

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._job(request)
        job.becomes("Stopping", "Stopping")
        assert job.container is not None
        job.container.signal(signal.SIGTERM)
        return {}

    def _streams(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["logStreamNamePrefix"].rstrip("/")
        if request["logGroupName"] != LOG_GROUP or not self.jobs[name].events:
            raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
        return {"logStreams": [{"logStreamName": f"{name}/algo-1-1"}]}

    def _events(self, request: dict[str, Any]) -> dict[str, Any]:
        events = list(self.jobs[request["logStreamName"].split("/")[0]].events)
        return log_page(events, request)
