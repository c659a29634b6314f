"""How long a container takes from `docker run` to its first harmonized case. Without an engine there is no row."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.recordings import Recordings, repeated
from benchmarks.rows import Row
from vitalprep.contract.config_file import load_config
from vitalprep.plan.make_plan import PlanRequest
from vitalprep.run.plan_run import plan_run

__all__ = ["rows"]

IMAGE = "vitalprep-worker"  # as `make images` names it
ROUNDS = 5
CASES = 7  # the fewest that make three splits


def rows(recordings: Recordings) -> Iterator[Row]:
    """Wall time until the worker's line of the first case."""
    if not _has_image():
        return
    source = repeated(recordings.true_size(), recordings.folder / "container", CASES)
    yield Row(
        name="start",
        measure="container to first case",
        value=statistics.median(_seconds(source, recordings.folder / "container-out") for _ in range(ROUNDS)),
        unit="s",
        target=2.0,
        detail=f"docker run to the first case of {CASES} of true size, one worker; {ROUNDS} rounds",
    )


def _has_image() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, check=False).returncode == 0


def _seconds(source: Path, output: Path) -> float:
    shutil.rmtree(output, ignore_errors=True)
    planned = plan_run(PlanRequest(input=str(source), config=load_config()), str(output), force=False)
    for folder in (output, *output.rglob("*")):  # the container's user is another one
        folder.chmod(0o777 if folder.is_dir() else 0o666)
    places = [part for place in (source, output) for part in ("--volume", f"{place}:{place}")]
    plan = str(planned.described()["plan"])
    command = ["docker", "run", "--rm", *places, IMAGE, "harmonize", "--plan", plan, "--workers", "1"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        first = 0.0
        for line in process.stderr or ():
            if not first and "harmonized" in line:
                first = time.perf_counter() - began
    if process.returncode or not first:
        raise RuntimeError(f"the container failed (exit {process.returncode})")
    return first
