"""Starts one Airflow (``airflow standalone``), waits until it is ready, and stops all of its processes.

Airflow forks about sixteen processes, several of them with their own process group. All of them stay in the session
that they are started in, so a stop ends the session.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from local_airflow.rest import Airflow

__all__ = ["REPOSITORY", "Server", "ServerError", "free_port", "noted", "running", "start_in_background", "stop"]

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 120
STOP_SECONDS = 40  # the worker has 30 s to commit its work


class ServerError(RuntimeError):
    """Airflow did not start."""


@dataclass(frozen=True)
class Server:
    """A started Airflow. ``session`` is the id of its first process, and of the session of all of them."""

    home: Path
    port: int
    session: int
    started: float  # start time of the first process: after a reboot, another process may have its id

    @property
    def url(self) -> str:
        """Where the UI and the API answer."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The file with the output of all its processes."""
        return self.home / "standalone.log"

    def is_alive(self) -> bool:
        """Whether its first process runs."""
        with suppress(psutil.Error):
            return bool(psutil.Process(self.session).create_time() == self.started)
        return False


@contextmanager
def running(
    home: Path,
    *,
    port: int | None = None,
    environment: dict[str, str] | None = None,
    login: tuple[str, str] | None = None,
) -> Generator[Airflow]:
    """Run Airflow for the length of a ``with`` block and stop all its processes, also on Ctrl-C or SIGTERM."""
    with ExitStack() as undo:
        undo.enter_context(_signals_as_exit())
        server = start(home, port=port or free_port(), environment=environment or {})
        undo.callback(stop, home)
        yield undo.enter_context(wait_until_ready(server, login))


def start_in_background(home: Path, *, port: int, environment: dict[str, str]) -> str:
    """Start Airflow, wait until it is ready, leave it running and return its URL."""
    with ExitStack() as undo:
        undo.enter_context(_signals_as_exit())
        server = start(home, port=port, environment=environment)
        undo.callback(stop, home)
        with wait_until_ready(server) as airflow:
            airflow.unpause()
        undo.pop_all()
    return server.url


def start(home: Path, *, port: int, environment: dict[str, str]) -> Server:
    """Start Airflow in its own session and record it in ``home``. Stops an earlier one with the same home."""
    stop(home)
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(
                f"Port {port} cannot be used ({error.strerror}). Fix: choose another one: make up PORT={port + 1}"
            ) from error
    airflow = Path(sys.executable).with_name("airflow")
    with (home / "standalone.log").open("wb") as log:
        process = subprocess.Popen(
            [airflow, "standalone"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(home, port) | environment,
            cwd=home,
            start_new_session=True,
        )
    server = Server(home, port, process.pid, psutil.Process(process.pid).create_time())
    note = {"port": port, "session": server.session, "started": server.started}
    _note(home).write_text(json.dumps(note))
    return server


def wait_until_ready(server: Server, login: tuple[str, str] | None = None) -> Airflow:
    """Return a REST client once the server answers and its scheduler runs. If not, stop it and raise ServerError."""
    airflow = Airflow(server.url, login)
    end = time.monotonic() + START_SECONDS
    while not airflow.is_healthy():
        if not server.is_alive() or time.monotonic() > end:
            stop(server.home)
            tail = "\n".join(server.log.read_text(errors="replace").splitlines()[-30:])
            raise ServerError(f"Airflow did not start within {START_SECONDS} s. The end of {server.log}:\n{tail}")
        time.sleep(0.5)
    return airflow


def stop(home: Path) -> bool:
    """Stop the Airflow recorded in ``home`` with every process of its session. False if none was running."""
    server = noted(home)
    if server is None:
        return False
    members = list(_session(server.session))
    with suppress(ProcessLookupError):
        os.killpg(server.session, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(members, timeout=STOP_SECONDS)
    # Also processes forked meanwhile, such as a task that started while its scheduler was stopping.
    for process in {*stubborn, *_session(server.session)}:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(list(_session(server.session)), timeout=5)
    _note(home).unlink(missing_ok=True)
    return True


def noted(home: Path) -> Server | None:
    """Return the Airflow that was started with this home, if any of its processes still runs."""
    try:
        note = json.loads(_note(home).read_text())
    except (FileNotFoundError, ValueError):
        return None
    server = Server(home, **note)
    # The session may still have members without its first process; then no new process can have its id.
    with suppress(psutil.Error):
        if psutil.Process(server.session).create_time() != server.started:
            return None
    return server if server.is_alive() or any(_session(server.session)) else None


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _note(home: Path) -> Path:
    return home / "server.json"


def _session(number: int) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                yield process


@contextmanager
def _signals_as_exit() -> Generator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that ``finally`` blocks run."""

    def leave(signum: int, frame: FrameType | None) -> NoReturn:
        # Only once: a second signal must not interrupt the stop.
        for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + signum)

    before = {one: signal.signal(one, leave) for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _environment(home: Path, port: int) -> dict[str, str]:
    bin_folder = str(Path(sys.executable).parent)
    url = f"http://127.0.0.1:{port}"
    settings = {
        "AIRFLOW_HOME": str(home),
        "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", os.defpath)]),  # standalone runs "airflow"
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",  # the default forks 32 processes
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        # The default ports of the log servers would clash with another Airflow on this machine.
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    return inherited | settings
