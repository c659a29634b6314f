"""As much of Airflow as an operator needs that runs by itself."""

from __future__ import annotations

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


def kind(error: Exception) -> str:
    """Name an error. By name, because the plugins are imported anew by some tests."""
    return type(error).__name__


def until(condition: Callable[[], Any], *, seconds: float = 120) -> None:
    """Wait for what another thread or process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
