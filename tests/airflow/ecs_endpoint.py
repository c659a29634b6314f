"""An ECS and a CloudWatch Logs for these tests: their protocol on a loopback port, with the real worker behind it.

It answers RunTask, DescribeTasks, ListTasks, StopTask and GetLogEvents as Fargate does, and can do what Fargate does to
a container: take its spot capacity back, refuse capacity, not start it, run out of memory, lose it.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from aws_endpoint import Container, Endpoint, Launch, Refusal, log_page

CLUSTER, CONTAINER, LOG_GROUP, LOG_PREFIX = "vitalprep", "vitalprep", "/vitalprep/tasks", "task"
WORKER, BUILDER = "vitalprep-worker", "vitalprep-builder"
ACCOUNT = "arn:aws:ecs:eu-north-1:000000000000"
GRACE_SECONDS = 120  # `stopTimeout` of the task definitions


@dataclass
class Fault:
    """What befalls a task whose command line contains `command`; `times` of them, the first ones.

    Parameters
    ----------
    kind : str
        refuse
            RunTask answers with the error `code` and `text`.
        failure
            RunTask answers with a failure whose reason is `text`.
        no-start
            The task stops with `TaskFailedToStart` and the reason `text`.
        interrupt
            When `when` says so, spot capacity is taken back: SIGTERM, after the grace SIGKILL. Never on demand.
        memory
            When `when` says so, the container is killed for its memory.
        lose
            When `when` says so, the container is killed and ECS knows nothing of it any more.
    """

    kind: str
    command: str = ""
    times: int = 1_000_000
    code: str = "ClientException"
    text: str = ""
    when: Callable[[], bool] = lambda: True
    status: int = 400
    happened: int = 0


@dataclass
class Task:
    arn: str
    request: dict[str, Any]
    command: list[str]
    provider: str
    fault: Fault | None = None
    container: Container | None = None
    status: str = "PENDING"
    desired: str = "RUNNING"
    stop_code: str = ""
    reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None
    started: float | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.arn.rsplit("/", 1)[1]

    def described(self) -> dict[str, Any]:
        container: dict[str, Any] = {"name": CONTAINER, "lastStatus": self.status, "containerArn": self.arn + "/c"}
        if self.exit_code is not None:
            container["exitCode"] = self.exit_code
        if self.container_reason:
            container["reason"] = self.container_reason
        told = {"stopCode": self.stop_code, "stoppedReason": self.reason, "startedAt": self.started}
        return {
            "taskArn": self.arn,
            "clusterArn": f"{ACCOUNT}:cluster/{CLUSTER}",
            "lastStatus": self.status,
            "desiredStatus": self.desired,
            "capacityProviderName": self.provider,
            "startedBy": self.request.get("startedBy", ""),
            "containers": [container],
        } | {name: value for name, value in told.items() if value}


class EcsEndpoint(Endpoint):
    """`tasks` is what was run, `faults` what befalls them.

    Parameters
    ----------
    launch : callable
        Starts a container from a command and its environment.
    environment : mapping
        What the task definitions say.
    """

    def __init__(self, launch: Launch, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.launch = launch
        self.environment = dict(environment)
        self.tasks: list[Task] = []
        self.faults: list[Fault] = []
        self.definitions = {WORKER, BUILDER}
        self.shows: Callable[[str], bool] = lambda line: True  # whether CloudWatch has a line already
        self.described: set[str] = set()  # the tasks that were asked for
        self._lock = threading.Lock()

    def containers(self) -> list[Container]:
        """Return what still runs."""
        return [task.container for task in self.tasks if task.container is not None and task.status != "STOPPED"]

    def runs_of(self, command: str) -> list[Task]:
        """Return the tasks whose command line contains a text."""
        return [task for task in self.tasks if command in " ".join(task.command)]

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Do one call. Raises Refusal."""
        operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "RunTask": self._run_task,
            "DescribeTasks": self._describe_tasks,
            "ListTasks": self._list_tasks,
            "StopTask": self._stop_task,
            "GetLogEvents": self._get_log_events,
        }
        if operation not in operations:
            raise Refusal("UnknownOperationException", f"This endpoint does not know {operation}.")
        if operation != "GetLogEvents" and request.get("cluster", "").rsplit("/", 1)[-1] != CLUSTER:
            raise Refusal("ClusterNotFoundException", "Cluster not found.")
        return operations[operation](request)

    def _run_task(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["taskDefinition"] not in self.definitions:
            raise Refusal("ClientException", "TaskDefinition not found.")
        command = request["overrides"]["containerOverrides"][0]["command"]
        provider = request["capacityProviderStrategy"][0]["capacityProvider"]
        fault = self._fault_for(command, provider)
        if fault and fault.kind == "refuse":
            raise Refusal(fault.code, fault.text, fault.status)
        if fault and fault.kind == "failure":
            return {"tasks": [], "failures": [{"reason": fault.text}]}
        arn = f"{ACCOUNT}:task/{CLUSTER}/{uuid.uuid4().hex}"
        task = Task(arn, request, command, provider, fault)
        self.tasks.append(task)
        threading.Thread(target=self._live, args=(task,), daemon=True).start()
        return {"tasks": [task.described()], "failures": []}

    def _fault_for(self, command: Sequence[str], provider: str) -> Fault | None:
        line = " ".join(command) + " "
        with self._lock:
            for fault in self.faults:
                spot_only = fault.kind == "interrupt"
                if (
                    fault.command in line
                    and fault.happened < fault.times
                    and (not spot_only or provider == "FARGATE_SPOT")
                ):
                    fault.happened += 1
                    return fault
        return None

    def _live(self, task: Task) -> None:
        if task.fault and task.fault.kind == "no-start":
            task.stop_code, task.reason = "TaskFailedToStart", task.fault.text
            task.status = task.desired = "STOPPED"
            return
        task.container = container = self.launch(task.command, self.environment)
        task.started, task.status = time.time(), "RUNNING"
        if task.fault:
            threading.Thread(target=self._befall, args=(task, task.fault), daemon=True).start()
        for line in container.lines():
            event = {"timestamp": int(time.time() * 1000), "message": line.rstrip("\n"), "ingestionTime": 0}
            task.events.append(event)
        task.exit_code = container.wait()
        task.stop_code = task.stop_code or "EssentialContainerExited"
        task.reason = task.reason or "Essential container in task exited"
        task.status = task.desired = "STOPPED"

    def _befall(self, task: Task, fault: Fault) -> None:
        assert task.container is not None
        while not fault.when():
            if task.status == "STOPPED":
                return
            time.sleep(0.005)
        if fault.kind == "interrupt":
            task.stop_code, task.reason = "SpotInterruption", "Your Spot Task was interrupted."
            self._stop(task)
        elif fault.kind == "memory":
            task.container_reason = "OutOfMemoryError: Container killed due to memory usage"
            task.container.signal(signal.SIGKILL)
        elif fault.kind == "lose":
            self.tasks.remove(task)
            task.container.signal(signal.SIGKILL)

    def _stop(self, task: Task) -> None:
        task.desired = "STOPPED"
        if task.container is None:
            return
        task.container.signal(signal.SIGTERM)

        def end() -> None:
            if task.status != "STOPPED" and task.container is not None:
                task.container.signal(signal.SIGKILL)

        timer = threading.Timer(GRACE_SECONDS, end)
        timer.daemon = True
        timer.start()

    def _describe_tasks(self, request: dict[str, Any]) -> dict[str, Any]:
        self.described.update(request["tasks"])
        known = {task.arn: task for task in self.tasks}
        missing = [{"arn": arn, "reason": "MISSING"} for arn in request["tasks"] if arn not in known]
        return {"tasks": [known[arn].described() for arn in request["tasks"] if arn in known], "failures": missing}

    def _list_tasks(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("desiredStatus", "RUNNING"), request.get("startedBy")
        return {"taskArns": [t.arn for t in self.tasks if (t.desired, t.request.get("startedBy")) == wanted]}

    def _stop_task(self, request: dict[str, Any]) -> dict[str, Any]:
        task = next((task for task in self.tasks if request["task"] in (task.arn, task.id)), None)
        if task is None:
            raise Refusal("InvalidParameterException", "The referenced task was not found.")
        task.stop_code, task.reason = "UserInitiated", request.get("reason", "")
        self._stop(task)
        return {"task": task.described()}

    def _get_log_events(self, request: dict[str, Any]) -> dict[str, Any]:
        streams = {f"{LOG_PREFIX}/{CONTAINER}/{task.id}": task for task in self.tasks if task.events}
        task = streams.get(request["logStreamName"])
        if request["logGroupName"] != LOG_GROUP or task is None:
            raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        events = list(takewhile(lambda event: self.shows(event["message"]), task.events))
        return log_page(events, request)
