"""An Airflow with two users, run by Airflow's own interpreter: ``python -m tests.browser.airflow_server FOLDER``.

In the folder, ``passwords.json`` has the passwords of ``admin`` and ``viewer``. It prints its address when it is ready,
and stops when its standard input ends. Shard 1 is refused while a file ``refuse`` lies there, and begins only when
there is none named ``wait``.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from local_airflow.server import REPOSITORY, running

WORKER = """#!/bin/sh
case "$*" in *"--shard 1 "*)
    while test -e {folder}/wait; do sleep 0.1; done
    if test -e {folder}/refuse; then
        echo '{{"ok": false, "exit_code": 65, "message": "Case <b>4</b> changed.", "fix": "Plan again."}}'
        exit 65
    fi;;
esac
exec {worker} "$@"
"""


def main(folder: Path) -> None:
    """Run it until nobody needs it any more."""
    home, script = folder / "airflow", folder / "worker"
    home.mkdir()
    (folder / "output").mkdir()
    passwords = (folder / "passwords.json").read_text()
    (home / "simple_auth_manager_passwords.json.generated").write_text(passwords)
    worker = REPOSITORY / ".venv" / "bin" / "vitalprep"
    script.write_text(WORKER.format(folder=shlex.quote(str(folder)), worker=shlex.quote(str(worker))))
    script.chmod(0o755)
    environment = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer",
        "VITALPREP_COMMAND": str(script),
        "VITALPREP_INPUT": str(folder / "input"),
        "VITALPREP_OUTPUT": str(folder / "output"),
        "VITALPREP_RETRIES": "0",
    }
    with running(home, environment=environment, login=("admin", json.loads(passwords)["admin"])) as airflow:
        airflow.unpause()
        print(airflow.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
