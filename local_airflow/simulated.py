"""Simulates recordings for the demo, with the defects of real ones."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from local_airflow.server import REPOSITORY

__all__ = ["CASES", "damage", "simulate", "worker_command"]

CASES = 24
SEED = 7
HOURS = 0.5
SPREAD = 0.4  # of the cases' lengths; in VitalDB it is 1

ABSENT = CASES + 1  # a case number without a recording
CUT_SHORT = 7  # its file is truncated
UNKNOWN_PATIENT = 12  # it has no row in the clinical table


def worker_command() -> list[str]:
    """Return ``VITALPREP_COMMAND``, or the worker that ``make`` installs beside this Airflow."""
    if command := os.environ.get("VITALPREP_COMMAND"):
        return shlex.split(command)
    installed = REPOSITORY / ".venv" / "bin" / "vitalprep"
    return [str(installed)] if installed.exists() else ["vitalprep"]


def simulate(folder: Path) -> None:
    """Write recordings and their clinical table into ``folder``, once. An incomplete folder is written again."""
    done = folder.with_name(folder.name + ".done")
    if done.exists() and folder.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    amount = ["--cases", str(CASES), "--seed", str(SEED), "--hours", str(HOURS), "--spread", str(SPREAD)]
    quiet = ["--log-level", "warning", "--json"]
    command = [*worker_command(), "simulate", "--output", str(folder), *amount, *quiet]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    done.touch()


def damage(folder: Path) -> str:
    """Damage a few recordings, few enough for the required success rate, and return the case list for the run."""
    recording = next(path for path in folder.rglob("*.vital") if int(path.stem) == CUT_SHORT)
    content = recording.read_bytes()
    recording.write_bytes(content[: len(content) // 2])
    table = folder / "clinical_data.csv"
    header, *rows = table.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    column = header.strip().split(",").index("caseid")
    kept = [row for row in rows if int(row.split(",")[column]) != UNKNOWN_PATIENT]
    table.write_text(header + "".join(kept))
    return f"1-{ABSENT}"
