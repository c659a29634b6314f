"""``python -m local_airflow demo | up | down``: runs Airflow on this machine without any setup."""

from __future__ import annotations

import argparse
import shlex
import subprocess
from pathlib import Path

from rich.console import Console

from local_airflow import demo, server, simulated
from local_airflow.rest import DAG_ID

HOME = server.REPOSITORY / ".airflow"
DEMO = server.REPOSITORY / ".demo"
PORT = "8080"
PORTS = range(1, 65536)
USAGE = 2  # exit code


class UsageError(Exception):
    """The command line is wrong."""


def main() -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args()
    console = Console()
    try:
        if arguments.command == "demo":
            return demo.run(arguments.folder.resolve(), console)
        if arguments.command == "up":
            return up(arguments.port, console)
        return down(console)
    except UsageError as error:
        return _failed(str(error), USAGE)
    except (server.ServerError, TimeoutError) as error:
        return _failed(str(error))
    except subprocess.CalledProcessError as error:
        return _failed(f"{error.cmd[0]} ended with exit code {error.returncode}. Fix: see its messages above.")
    except FileNotFoundError as error:
        return _failed(f"{error.filename} does not exist. Fix: run `make worker`, or set VITALPREP_COMMAND.")


def _failed(problem: str, code: int = 1) -> int:
    Console(stderr=True).print(problem, style="red", markup=False, highlight=False, soft_wrap=True)
    return code


def up(port_text: str, console: Console) -> int:
    """Start Airflow in the background, with a trigger form that is already filled in.

    Raises
    ------
    UsageError
        If there is no such port.
    """
    port = _port(port_text)
    if running := server.noted(HOME):
        console.print(f"Airflow is already running: {running.url} (stop it with: make down)")
        return 0
    simulated.simulate(HOME / "input")
    (HOME / "output").mkdir(exist_ok=True)  # the page in Airflow lists it before the first run
    environment = {
        "VITALPREP_COMMAND": shlex.join(simulated.worker_command()),
        "VITALPREP_INPUT": str(HOME / "input"),
        "VITALPREP_OUTPUT": str(HOME / "output"),
    }
    console.print("Starting Airflow (half a minute) ...")
    url = server.start_in_background(HOME, port=port, environment=environment)
    console.print(f"Airflow: {url}/dags/{DAG_ID}")
    console.print("Login: none. Every visitor is an admin; only this machine can reach it.")
    console.print(f"Simulated recordings: {HOME / 'input'}\nLog: {HOME / 'standalone.log'}\nStop it with: make down")
    return 0


def down(console: Console) -> int:
    """Stop what `up` started."""
    stopped = server.stop(HOME)
    console.print(
        "Airflow is stopped. Its database and logs stay in .airflow." if stopped else "Airflow was not running."
    )
    return 0


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) in PORTS):
        raise UsageError(f"{text!r} is not a port. Fix: choose one from {PORTS[0]} to {PORTS[-1]}: make up PORT=8080")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_airflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("demo", help="simulate recordings, run the DAG on them, show the result, stop")
    one.add_argument("--folder", type=Path, default=DEMO, help="folder for everything that it writes (default: .demo)")
    two = commands.add_parser("up", help="start Airflow in the background, with simulated recordings")
    two.add_argument("--port", default=PORT, help="loopback port of the UI (default: 8080)")
    commands.add_parser("down", help="stop the Airflow that up started")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
