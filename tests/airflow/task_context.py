"""As much of Airflow as an operator needs that runs by itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Kept:
    """Airflow's store of a task instance."""

    values: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


@dataclass
class TaskInstance:
    dag_id: str = "vitaldb_preprocessing"
    task_id: str = "harmonize"
    run_id: str = "manual__1"
    map_index: int = 3
    try_number: int = 1
    max_tries: int = 3
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


def executed(task: Any, context: Any) -> Any:
    """Execute a task as Airflow does, from its start to its end."""
    return finished(task, waiting(task, context), context)


def waiting(task: Any, context: Any) -> Any:
    """Execute a task until it waits, and return what waits, as the triggerer makes it from what the database holds."""
    from airflow.sdk.exceptions import TaskDeferred
    from airflow.sdk.module_loading import import_string

    try:
        task.execute(context)
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        return import_string(path)(**json.loads(json.dumps(arguments)))
    raise AssertionError("the task did not wait")


def finished(task: Any, trigger: Any, context: Any) -> Any:
    """Let the triggerer wait, and execute what comes then; usually that is another process."""
    event = asyncio.run(anext(trigger.run()))
    return task.resume_execution("container_ended", {"event": json.loads(json.dumps(event.payload))}, context)


def kind(error: Exception) -> str:
    """Name an error. By name, because the plugins are imported anew by some tests."""
    return type(error).__name__


def until(condition: Callable[[], Any], *, seconds: float = 120) -> None:
    """Wait for what another thread or process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
