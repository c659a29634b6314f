"""The whole of `vitalprep run` on one machine: CPU a case, and what a second worker brings."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator

from benchmarks.machine import machine
from benchmarks.recordings import Recordings, repeated
from benchmarks.rows import Row
from benchmarks.start import VITALPREP
from benchmarks.timing import Usage, process_usage

__all__ = ["rows"]

ROUNDS = 3
REPEATS = 4


def rows(recordings: Recordings) -> Iterator[Row]:
    """Runs with one and with two workers in turn."""
    cases = REPEATS * recordings.cases
    source = repeated(recordings.true_size(), recordings.folder / "whole-run-input", cases)
    gigabytes = sum(path.stat().st_size for path in source.glob("*.vital")) / 1e9
    output = recordings.folder / "whole-run-output"
    taken: dict[int, list[Usage]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, usages in taken.items():
            shutil.rmtree(output, ignore_errors=True)
            command = ("run", "--input", str(source), "--output", str(output), "--workers", str(workers), "--json")
            usages.append(process_usage((*VITALPREP, *command)))
    shutil.rmtree(output)
    cpu = {workers: statistics.median(usage.cpu for usage in usages) for workers, usages in taken.items()}
    wall = {workers: statistics.median(usage.wall for usage in usages) for workers, usages in taken.items()}
    detail = f"{cases} cases, {gigabytes:.2f} GB, {ROUNDS} rounds"
    yield Row(name="whole run", measure="CPU a case", value=cpu[1] / cases, unit="s", target=0.3, detail=detail)
    yield Row(
        name="whole run",
        measure="CPU, 2 workers / 1 worker",
        value=cpu[2] / cpu[1],
        target=1.1,
        detail=f"{cpu[2]:.1f} s / {cpu[1]:.1f} s",
    )
    yield Row(
        name="whole run",
        measure="wall, 2 workers / 1 worker",
        value=wall[2] / wall[1],
        target=0.6,
        detail=f"{wall[2]:.1f} s / {wall[1]:.1f} s on {machine()['physical_cores']} physical cores",
    )
