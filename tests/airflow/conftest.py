"""A migrated Airflow database for these tests, and the real worker for the runs in it."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="vitalprep-airflow-"))

# Airflow reads its settings when it is first imported: they must stand before any test module imports it.
os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",  # coloured tracebacks take seconds each
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "VITALPREP_INPUT": str(HOME / "input"),
        "VITALPREP_OUTPUT": str(HOME / "output"),
        "VITALPREP_RETRIES": "1",
        "VITALPREP_RETRY_DELAY": "1",
    }
)
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins")]

DAG_ID = "vitaldb_preprocessing"
CASES = 10


@dataclass(frozen=True)
class Run:
    """What became of one DAG run. Mapped tasks are named ``harmonize[0]``."""

    state: str
    states: dict[str, str]
    tries: dict[str, int]
    xcoms: dict[tuple[str, str], Any] = field(repr=False)
    names: dict[str, str] = field(repr=False)  # the mapped tasks' names in the grid
    announced: list[dict[str, Any]] = field(repr=False)  # what came with the asset's events

    def result(self, task: str) -> Any:
        return self.xcoms.get((task, "return_value"))

    def reason(self, task: str) -> str:
        """Why a short circuit ended the run."""
        return str(self.xcoms[task, "reason"])

    def ran(self, task: str) -> list[str]:
        """The instances of a task that were started."""
        return [name for name, tries in self.tries.items() if name.split("[")[0] == task and tries > 0]


def pytest_configure() -> None:
    """Name the right environment, in place of an ImportError from each module."""
    if importlib.util.find_spec("airflow") is None:
        raise pytest.UsageError(
            f"{sys.prefix} has no Airflow, which tests/airflow needs. "
            "Fix: run .venv-airflow/bin/python -m pytest tests/airflow, or make test-airflow."
        )


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def database_template() -> Path:
    """Migrating takes 6 s, copying nothing."""
    template = HOME / "template.db"
    airflow = Path(sys.executable).with_name("airflow")
    subprocess.run([airflow, "db", "migrate"], check=True, capture_output=True)
    (HOME / "airflow.db").rename(template)
    return template


@pytest.fixture
def database(database_template: Path) -> Generator[None]:
    """An Airflow database in which nothing has happened."""
    from airflow import settings

    settings.dispose_orm()
    for leftover in HOME.glob("airflow.db*"):
        leftover.unlink()
    shutil.copy(database_template, HOME / "airflow.db")
    settings.configure_orm()
    yield
    settings.dispose_orm()


@pytest.fixture
def dag() -> Any:
    """The DAG, read anew: ``dag.test`` leaves a run's params in it."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(REPOSITORY / "dags")
    assert not bag.import_errors
    return bag.dags[DAG_ID]


@pytest.fixture
def trigger(dag: Any, database: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``trigger(input=..., ...)``: a manual run of the DAG in this process, from the first task to the last."""
    # dag.test sleeps a second for each task that a failure leaves out.
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.1)))

    def run(**conf: Any) -> Run:
        return _examine(dag.test(logical_date=None, run_conf=conf))

    return run


def _examine(dag_run: Any) -> Run:
    from airflow.models.asset import AssetEvent
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    def name(row: Any) -> str:
        return f"{row.task_id}[{row.map_index}]" if row.map_index >= 0 else str(row.task_id)

    with create_session() as session:
        found = session.scalars(select(XComModel).where(XComModel.run_id == dag_run.run_id)).all()
        xcoms = {(name(xcom), xcom.key): XComModel.deserialize_value(xcom) for xcom in found}
        tasks = dag_run.get_task_instances(session=session)
        return Run(
            state=str(dag_run.state),
            states={name(task): str(task.state) for task in tasks},
            tries={name(task): task.try_number for task in tasks},
            xcoms=xcoms,
            names={name(task): task.rendered_map_index for task in tasks if task.map_index >= 0},
            announced=[event.extra for event in session.scalars(select(AssetEvent))],
        )


@pytest.fixture
def task_log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines of all task logs so far, as far as they are ours."""
    return lambda: [record.getMessage() for record in caplog.records if record.name == "airflow.task"]


@pytest.fixture(scope="session")
def worker() -> list[str]:
    """The real worker's command. Tests that need it are skipped where it is not installed."""
    command = shlex.split(os.environ.get("VITALPREP_COMMAND") or str(REPOSITORY / ".venv" / "bin" / "vitalprep"))
    try:
        subprocess.run([*command, "--help"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no worker: set VITALPREP_COMMAND or run make ({error})")
    os.environ["VITALPREP_COMMAND"] = shlex.join(command)
    return command


@pytest.fixture(scope="session")
def recordings(worker: list[str]) -> Path:
    """Simulated recordings, all good. Not to be changed: take a copy."""
    folder = HOME / "input"
    amount = ["--cases", str(CASES), "--seed", "7", "--hours", "0.2", "--spread", "0.3"]
    subprocess.run([*worker, "simulate", "--output", str(folder), *amount], check=True, capture_output=True)
    return folder


@pytest.fixture
def own_recordings(recordings: Path, tmp_path: Path) -> Path:
    """Simulated recordings for one test to spoil."""
    return Path(shutil.copytree(recordings, tmp_path / "input"))


@pytest.fixture
def fake_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``fake_worker(harmonize="exit 1")``: a worker that is a shell script, for what a command's exit code does.

    Its plan has so many shards. Returns the file to which it appends the name of each command that it is started with.
    """

    def make(shards: int = 1, **commands: str) -> Path:
        calls = tmp_path / "calls"
        script = tmp_path / "worker"
        shard = '{"index": %d, "cases": 1, "bytes": 1, "unfinished": 1, "label": "case 1 (1 case, 1 MB)"}'
        plan = (
            '{"ok": true, "plan": "/nowhere/plan.json", "dataset": "/nowhere/set", "dataset_id": "set", '
            '"up_to_date": false, "cases": {"requested": 1, "present": 1, "excluded": {}}, "splits": {"train": {}}, '
            f'"shards": [{", ".join(shard % index for index in range(shards))}]}}'
        )
        bodies = {
            "check": """echo '{"ok": true, "checks": []}'""",
            "plan": f"echo '{plan}'",
            "publish": """echo '{"ok": true, "dataset": "/nowhere/set", "windows": {}}'""",
        } | commands
        cases = "\n".join(f"{name}) {body};;" for name, body in bodies.items())
        calls.touch()
        script.write_text(f"#!/bin/sh\necho $1 >> {calls}\ncase $1 in\n{cases}\n*) echo '{{\"ok\": true}}';;\nesac\n")
        script.chmod(0o755)
        monkeypatch.setenv("VITALPREP_COMMAND", str(script))
        return calls

    return make
