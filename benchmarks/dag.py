"""What Airflow adds: a DAG run's wall time less the time in which any worker process ran; and the DAG's parsing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.timing import process_usage
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

__all__ = ["rows", "union"]

REPOSITORY = Path(__file__).resolve().parent.parent
AIRFLOW_PYTHON = REPOSITORY / ".venv-airflow" / "bin" / "python"
SHARDS = 8
CASES = 24


# The file's own share: every process imports airflow.sdk once, and parses the file many times.
PARSING = (
    "import sys, time, airflow.sdk; sys.path[:0] = ['plugins', 'dags']; begin = time.perf_counter(); "
    "import vitaldb_preprocessing; print(time.perf_counter() - begin)"
)


def rows(recordings: Recordings) -> Iterator[Row]:
    """One run over 8 shards in an Airflow that is up, and the parsing of the DAG file."""
    if not AIRFLOW_PYTHON.exists():
        raise RuntimeError("There is no .venv-airflow. Fix: make airflow.")
    tries = [float(subprocess.check_output([AIRFLOW_PYTHON, "-c", PARSING], cwd=REPOSITORY)) for _ in range(3)]
    yield Row(name="Airflow", measure="parsing the DAG file", value=min(tries), unit="s", target=0.5)
    source, output = recordings.folder / "dag-input", recordings.folder / "dag-output"
    simulate_folder(source, SimulationOptions(seed=1, cases=CASES, hours=0.5, spread=0.4))
    shutil.rmtree(output, ignore_errors=True)
    with tempfile.TemporaryDirectory() as home:
        command = (AIRFLOW_PYTHON, "-m", "benchmarks.dag_intervals", home, source, output, SHARDS, sys.executable)
        answer = process_usage([str(part) for part in command], environment={"PYTHONPATH": str(REPOSITORY)})
    found = json.loads(answer.stdout.splitlines()[-1])
    if found["state"] != "success":
        raise RuntimeError(f"The DAG run ended as {found['state']!r}.")
    began, ended = found["run"]
    working = union(found["workers"])
    yield Row(
        name="Airflow",
        measure=f"a run's wall less its workers', {SHARDS} shards",
        value=ended - began - working,
        unit="s",
        target=40,
        detail=f"run {ended - began:.1f} s, {len(found['workers'])} worker processes in {working:.1f} s",
    )


def union(intervals: Iterable[Sequence[float]]) -> float:
    """Return the seconds that lie in at least one interval (begin, end).

    >>> union([(0, 2), (1, 3), (5, 6)])
    4.0
    """
    total = 0.0
    covered = float("-inf")
    for begin, end in sorted(map(tuple, intervals)):
        total += max(0.0, end - max(begin, covered))
        covered = max(covered, end)
    return total
