"""A SageMaker endpoint that speaks its protocol and runs the real worker, a process for each host.

It knows CreateTrainingJob, DescribeTrainingJob and StopTrainingJob; every other call goes to moto's server: S3, which
the worker uses, and CloudWatch Logs, where its lines go. Requests are held against botocore's model of SageMaker.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.validate import ParamValidator
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.sagemaker.hosts import Host, lay_out

REGION = "eu-north-1"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
GROUP = "/aws/sagemaker/TrainingJobs"
GRACE = 120  # s after SIGTERM
CLASSES = {"L": "a", "N": "0", "Z": " "}  # a character of each of Unicode's classes, which `re` does not know
TRAINING, BILLABLE = 1000, 380  # s, as if


def problems(request: Mapping[str, Any]) -> list[str]:
    """What SageMaker's own model has against a request of CreateTrainingJob: types, lengths, patterns, names."""
    service = botocore.session.Session().get_service_model("sagemaker")
    shape = service.operation_model("CreateTrainingJob").input_shape
    report = ParamValidator().validate(request, shape)
    found = [report.generate_report()] if report.has_errors() else []
    return found + list(_constraints(request, shape, "request")) + list(_tag_problems(request.get("Tags", [])))


def _tag_problems(tags: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Yield what AWS says of tags beside the model: https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html"""
    keys = [tag["Key"] for tag in tags]
    yield from (f"the key {key!r} begins with aws:" for key in keys if key.lower().startswith("aws:"))
    yield from (f"the key {key!r} is there twice" for key in set(keys) if keys.count(key) > 1)


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern of AWS, which may name Unicode's classes."""
    if r"\p{" in pattern:
        pattern = re.sub(r"\\p\{(.)\}", lambda kind: CLASSES[kind[1]], pattern)
        text = "".join(one if one.isascii() and not one.isalnum() else _of_class(one) for one in text)
    return re.fullmatch(pattern, text) is not None


def _of_class(character: str) -> str:
    return CLASSES.get(unicodedata.category(character)[0], "\0")


def _constraints(value: Any, shape: Any, place: str) -> Iterator[str]:
    """Yield what ParamValidator leaves to the service: the greatest lengths, patterns and enumerations."""
    for part, of, where in _parts(value, shape, place):
        yield from _constraints(part, of, where)
    greatest = shape.metadata.get("max")
    size = value if isinstance(value, int) else len(value)
    if greatest is not None and size > greatest:
        yield f"{place} is {size}, more than {greatest}"
    if isinstance(value, str):
        pattern, names = shape.metadata.get("pattern"), getattr(shape, "enum", [])
        if pattern and not matches(pattern, value):
            yield f"{place} {value!r} does not match {pattern}"
        if names and value not in names:
            yield f"{place} {value!r} is not one of its names"


def _parts(value: Any, shape: Any, place: str) -> Iterator[tuple[Any, Any, str]]:
    if shape.type_name == "structure":
        known = shape.members
        yield from ((one, known[name], f"{place}.{name}") for name, one in value.items() if name in known)
    elif shape.type_name == "map":
        yield from ((name, shape.key, f"{place} key") for name in value)
        yield from ((one, shape.value, f"{place}.{name}") for name, one in value.items())
    elif shape.type_name == "list":
        yield from ((one, shape.member, f"{place}[]") for one in value)


@dataclass
class Job:
    """A training job: its request, how it stands, and its containers."""

    request: dict[str, Any]
    folder: Path
    environment: dict[str, str]
    status: str = "InProgress"
    secondary: str = "Starting"
    reason: str = ""
    transitions: list[str] = field(default_factory=list)
    hosts: dict[str, Host] = field(default_factory=dict)
    stopping: bool = False
    output_of_others: bool = False  # the worker may not write there

    @property
    def described(self) -> dict[str, Any]:
        answer = {key: value for key, value in self.request.items() if key != "Tags"} | {
            "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:123456789012:training-job/{self.request['TrainingJobName']}",
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "ModelArtifacts": {"S3ModelArtifacts": ""},
            "CreationTime": 0,
        }
        if self.status != "InProgress":
            spot = self.request.get("EnableManagedSpotTraining")
            answer |= {"TrainingTimeInSeconds": TRAINING, "BillableTimeInSeconds": BILLABLE if spot else TRAINING}
        return answer | ({"FailureReason": self.reason} if self.reason else {})

    def becomes(self, secondary: str, status: str = "InProgress", reason: str = "") -> None:
        self.transitions.append(secondary)
        self.reason, self.secondary, self.status = reason, secondary, status

    def start(self) -> None:
        """Start its containers, on new machines."""
        names = [f"algo-{number}" for number in range(1, self.request["ResourceConfig"]["InstanceCount"] + 1)]
        assert self.request["AlgorithmSpecification"]["ContainerEntrypoint"] == ["vitalprep", "sagemaker-job"]
        attempt = self.folder / str(len(list(self.folder.iterdir())))
        self.becomes("Training")
        environment = self.environment | self.request.get("Environment", {})
        environment |= {"TRAINING_JOB_NAME": self.request["TrainingJobName"]}
        environment |= {"TRAINING_JOB_ARN": self.described["TrainingJobArn"]}
        folders = [lay_out(attempt / name, name, names, self.request["HyperParameters"]) for name in names]
        if self.output_of_others:
            for folder in folders:
                shutil.rmtree(folder / "output")
                (folder / "output").write_text("no folder")
        self.hosts = {folder.name: Host.start(folder, environment) for folder in folders}

    def end_hosts(self) -> dict[str, int]:
        """Send SIGTERM; return the exit codes."""
        for host in self.hosts.values():
            host.process.terminate()
        return {name: host.process.wait(GRACE) for name, host in self.hosts.items()}


class SageMaker:
    """WSGI application before moto's.

    `interruptions` are moments: once the first host's log holds such a text, the job's machines are taken away, and it
    is started again. `answers` are errors (status, code, message) to give instead of creating jobs, `log_answers` in
    place of logs (None: the logs), `describe_answer` in place of every description; `faults` is how many times
    DescribeTrainingJob is to fail, `lost_answers` how many jobs are created without an answer that says so. Without
    `machines` jobs are created and do nothing; with `output_of_others` their containers may not write to
    ``/opt/ml/output``. A job ends with the first of its hosts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = dict(KEYS)
        self.jobs: dict[str, Job] = {}
        self.interruptions: list[str] = []
        self.answers: list[tuple[int, str, str]] = []
        self.faults = self.lost_answers = 0
        self.machines, self.output_of_others = True, False
        self.describe_answer: tuple[int, str, str] | None = None
        self.log_answers: list[tuple[int, str, str] | None] = []
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.threads: list[threading.Thread] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        service, _, call = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service.startswith("Logs") and self.log_answers and (refusal := self.log_answers.pop(0)):
            status, answer = refusal[0], {"__type": refusal[1], "message": refusal[2]}
        elif service != "SageMaker":
            return self.moto(environ, start_response)
        else:
            request = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            status, answer = getattr(self, call)(request)
        body = json.dumps(answer).encode()
        start_response(
            f"{status} {'OK' if status == 200 else 'Error'}",
            [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))],
        )
        return [body]

    def CreateTrainingJob(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.answers:
            status, code, message = self.answers.pop(0)
            return status, {"__type": code, "message": message}
        name = request["TrainingJobName"]
        if found := problems(request):
            return 400, {"__type": "ValidationException", "message": "; ".join(found)}
        if name in self.jobs:
            return 400, {"__type": "ResourceInUse", "message": "Training job names must be unique"}
        folder = self.folder / name
        folder.mkdir()
        self.jobs[name] = job = Job(request, folder, self.environment, output_of_others=self.output_of_others)
        if self.machines:
            self.threads.append(threading.Thread(target=self._run, args=(job,)))
            self.threads[-1].start()
        if self.lost_answers:
            self.lost_answers -= 1
            return 503, {"__type": "ServiceUnavailable", "message": "the answer is lost"}
        return 200, {"TrainingJobArn": job.described["TrainingJobArn"]}

    def DescribeTrainingJob(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.faults:
            self.faults -= 1
            return 503, {"__type": "ServiceUnavailable", "message": "try again"}
        if self.describe_answer:
            status, code, message = self.describe_answer
            return status, {"__type": code, "message": message}
        if request["TrainingJobName"] not in self.jobs:
            return 400, {"__type": "ValidationException", "message": "Requested resource not found."}
        return 200, self.jobs[request["TrainingJobName"]].described

    def StopTrainingJob(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.jobs[request["TrainingJobName"]].stopping = True
        return 200, {}

    def _run(self, job: Job) -> None:
        job.start()
        while True:
            time.sleep(0.02)
            codes = {name: host.process.poll() for name, host in job.hosts.items()}
            if job.stopping:
                job.becomes("Stopping", "Stopping")
                job.end_hosts()
                self._log(job)
                return job.becomes("Stopped", "Stopped")
            failed = next((name for name, code in codes.items() if code), None)
            if failed:
                job.end_hosts()
                self._log(job)
                text = job.hosts[failed].failure or ""
                reason = f"AlgorithmError: {text[:1024]}, exit code: {codes[failed]}"
                return job.becomes("Failed", "Failed", reason[:1024])
            if 0 in codes.values():  # as the local mode of SageMaker's SDK does
                job.end_hosts()
                self._log(job)
                job.becomes("Uploading")
                return job.becomes("Completed", "Completed")
            if self.interruptions and next(iter(job.hosts.values())).said(self.interruptions[0]):
                self.interruptions.pop(0)
                job.end_hosts()
                self._log(job)
                job.becomes("Interrupted")
                job.start()

    def _log(self, job: Job) -> None:
        """Give CloudWatch what the containers printed."""
        logs = boto3.client("logs", region_name=REGION, endpoint_url=self.environment["AWS_ENDPOINT_URL"], **_keys())
        if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
            logs.create_log_group(logGroupName=GROUP)
        for name, host in job.hosts.items():
            stream = f"{job.request['TrainingJobName']}/{name}-{time.time_ns() // 1_000_000}"
            logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
            lines = [
                *(host.folder / "stderr").read_text().splitlines(),
                *(host.folder / "stdout").read_text().splitlines(),
            ]
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": line} for line in lines if line.strip()]
            if events:
                logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def _keys() -> dict[str, str]:
    return {name.lower(): value for name, value in KEYS.items()}


@contextmanager
def sagemaker(folder: Path) -> Iterator[SageMaker]:
    """Serve it; what still runs is killed at the end."""
    application = SageMaker(folder)
    server = make_server("127.0.0.1", 0, application, threaded=True)
    application.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield application
    finally:
        for job in application.jobs.values():
            job.stopping = True
        for running in application.threads:
            running.join()
        server.shutdown()
        thread.join()
