"""Simulated recordings for the demo, as imperfect as real ones."""

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
SPREAD = 0.4  # of the cases' lengths; 1 would be as in VitalDB

ABSENT = CASES + 1  # a case number that nobody recorded
CUT_SHORT = 7  # its upload broke off
UNKNOWN_PATIENT = 12  # it has no row in the clinical table


def worker_command() -> list[str]:
    """``VITALPREP_COMMAND``, else the worker that ``make`` installs beside this Airflow."""
    if command := os.environ.get("VITALPREP_COMMAND"):
        return shlex.split(command)
    installed = REPOSITORY / ".venv" / "bin" / "vitalprep"
    return [str(installed)] if installed.exists() else ["vitalprep"]


def simulate(folder: Path) -> None:
    """Fill ``folder`` with recordings and their clinical table, once; half a folder is made again."""
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
    """Spoil a few recordings, few enough for the success rate, and return the case list to ask for."""
    recording = next(path for path in folder.rglob("*.vital") if int(path.stem) == CUT_SHORT)
    content = recording.read_bytes()
    recording.write_bytes(content[: len(content) // 2])
    table = folder / "clinical_data.csv"
    header, *rows = table.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    column = header.strip().split(",").index("caseid")
    kept = [row for row in rows if int(row.split(",")[column]) != UNKNOWN_PATIENT]
    table.write_text(header + "".join(kept))
    return f"1-{ABSENT}"
