"""The calls of Airflow's REST API that the demo and the tests need."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

__all__ = ["DAG_ID", "Airflow"]

DAG_ID = "vitaldb_preprocessing"
FINISHED = ("success", "failed")
TIMEOUT = 120  # s; a busy machine answers late


class Airflow:
    """A client of one local Airflow.

    :param url: such as ``http://127.0.0.1:8080``.
    :param login: name and password; None where every visitor is an admin.
    :param dag: the DAG that all calls are about.
    """

    def __init__(self, url: str, login: tuple[str, str] | None = None, dag: str = DAG_ID) -> None:
        self.url = url
        self._dag = dag
        self._login = login
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._http.close()

    def is_healthy(self) -> bool:
        """Whether the API answers, the scheduler runs, and the DAG is parsed."""
        try:
            health = self._http.get("/api/v2/monitor/health", timeout=5).json()
            if health["scheduler"]["status"] != "healthy":
                return False
            if "Authorization" not in self._http.headers:
                self._http.headers["Authorization"] = f"Bearer {self._token()}"
            return self._http.get(f"/api/v2/dags/{self._dag}").is_success
        except (httpx.HTTPError, ValueError, KeyError):
            return False

    def unpause(self) -> None:
        """Let the scheduler run what is triggered."""
        self._call("PATCH", f"/api/v2/dags/{self._dag}", json={"is_paused": False})

    def trigger(self, **conf: Any) -> str:
        """Trigger a run with these params and return its id."""
        run = self._call("POST", f"/api/v2/dags/{self._dag}/dagRuns", json={"logical_date": None, "conf": conf})
        return str(run["dag_run_id"])

    def wait(self, run: str, *, seconds: float, watch: Callable[[list[dict[str, Any]]], None] | None = None) -> str:
        """Wait for the run's end and return its state. About once a second, ``watch`` is called with its tasks."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = str(self.details(run)["state"])
            if watch is not None:
                watch(self.tasks(run))
            if state in FINISHED:
                return state
            time.sleep(1)
        raise TimeoutError(
            f"The run {run} did not end within {seconds:.0f} s; see {self.url}/dags/{self._dag}/runs/{run}"
        )

    def details(self, run: str) -> dict[str, Any]:
        """Return a run's state, dates and other fields, as the API has them."""
        found: dict[str, Any] = self._call("GET", f"/api/v2/dags/{self._dag}/dagRuns/{run}")
        return found

    def runs(self) -> list[dict[str, Any]]:
        """Return the DAG's latest runs, as the API has them, newest first."""
        path = f"/api/v2/dags/{self._dag}/dagRuns"
        found: list[dict[str, Any]] = self._call("GET", path, params={"order_by": "-run_after"})["dag_runs"]
        return found

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """Return the run's task instances; a mapped task has one for each index."""
        path = f"/api/v2/dags/{self._dag}/dagRuns/{run}/taskInstances"
        found: list[dict[str, Any]] = self._call("GET", path, params={"limit": 1000})["task_instances"]
        return found

    def result(self, run: str, task: str, *, map_index: int = -1, key: str = "return_value") -> Any:
        """Return one XCom of a task, None if there is none."""
        path = f"/api/v2/dags/{self._dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}"
        answer = self._http.get(path, params={"map_index": map_index, "deserialize": True})
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().json()["value"]

    def log_lines(self, run: str, task: str, try_number: int, *, map_index: int = -1) -> list[str]:
        """Return the lines of one try's task log as the UI shows them, without the group marks."""
        path = f"/api/v2/dags/{self._dag}/dagRuns/{run}/taskInstances/{task}/logs/{try_number}"
        content = self._call("GET", path, params={"map_index": map_index, "full_content": True})["content"]
        lines = [_line(entry) for entry in content]
        return [line for line in lines if "::group::" not in line and "::endgroup::" not in line]

    def clear(self, run: str, task: str, map_index: int) -> None:
        """Clear one mapped task and the tasks after it, so that they run again."""
        body = {
            "dag_run_id": run,
            "task_ids": [[task, map_index]],
            "include_downstream": True,
            "only_failed": False,
            "dry_run": False,
        }
        self._call("POST", f"/api/v2/dags/{self._dag}/clearTaskInstances", json=body)

    def set_failed(self, run: str, task: str, map_index: int = -1) -> None:
        """Mark a task as failed, as the UI does."""
        path = f"/api/v2/dags/{self._dag}/dagRuns/{run}/taskInstances/{task}"
        path += f"/{map_index}" if map_index >= 0 else ""
        self._call("PATCH", path, json={"new_state": "failed"})

    def _token(self) -> str:
        if self._login is None:
            answer = self._http.get("/auth/token")
        else:
            name, password = self._login
            answer = self._http.post("/auth/token", json={"username": name, "password": password})
        return str(answer.raise_for_status().json()["access_token"])

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._http.request(method, path, **arguments)
        tries = 1
        # SQLite has one writer at a time; under load Airflow's server gives up, rolls back and says so.
        while answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR and "Database error" in answer.text and tries < 5:
            time.sleep(tries)
            answer = self._http.request(method, path, **arguments)
            tries += 1
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()


def _line(entry: Mapping[str, Any] | str) -> str:
    if isinstance(entry, str):
        return entry
    level = str(entry.get("level") or "").upper()
    errors = [f"{one['exc_type']}: {one['exc_value']}" for one in entry.get("error_detail") or []]
    return " ".join([part for part in (level, entry.get("event"), *errors) if part])
