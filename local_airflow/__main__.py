"""``python -m local_airflow demo | up | down``: an Airflow on this machine, without anything to set up."""

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
PORT = 8080


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
    except (server.ServerError, TimeoutError) as error:
        console.print(str(error), style="red", markup=False)
    except subprocess.CalledProcessError as error:
        console.print(f"{error.cmd[0]} ended with exit code {error.returncode}.", style="red", markup=False)
    except FileNotFoundError as error:
        console.print(f"{error}. Is the worker installed? Run make, or set VITALPREP_COMMAND.", style="red")
    return 1


def up(port: int, console: Console) -> int:
    """Start Airflow in the background, its trigger form filled so that a click on Trigger works."""
    if running := server.noted(HOME):
        console.print(f"Airflow runs already: {running.url} (stop it with: make down)")
        return 0
    simulated.simulate(HOME / "input")
    (HOME / "output").mkdir(exist_ok=True)  # the page in Airflow looks at it before the first run does
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
    """Stop what up started."""
    stopped = server.stop(HOME)
    console.print("Airflow is stopped; its state stays in .airflow." if stopped else "No Airflow was running.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_airflow", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("demo", help="simulate recordings, run the DAG on them, show the result, stop")
    one.add_argument("--folder", type=Path, default=DEMO, help="where everything goes (default: .demo)")
    two = commands.add_parser("up", help="start Airflow in the background, with simulated recordings")
    two.add_argument("--port", type=int, default=PORT, help="loopback port of the UI (default: 8080)")
    commands.add_parser("down", help="stop what up started")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
