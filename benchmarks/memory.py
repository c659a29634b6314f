"""The largest process of the harmonize stage."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.start import VITALPREP
from benchmarks.timing import process_usage

__all__ = ["rows"]


def rows(recordings: Recordings) -> Iterator[Row]:
    """Peak RSS of `vitalprep harmonize` with one worker, on one case after the other."""
    longest = recordings.longest()
    yield _row(recordings, "the median case", recordings.of_layout(packed=False)[0], target=350)
    yield _row(recordings, "the longest case", next((longest / "raw-data").glob("*.vital")), target=600)


def _row(recordings: Recordings, what: str, file: Path, *, target: float) -> Row:
    folder = recordings.folder / "memory"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "input").mkdir(parents=True)
    os.link(file, folder / "input" / file.name)
    shutil.copy(file.parent.parent / "clinical_data.csv", folder / "input")
    places = ("--input", str(folder / "input"), "--output", str(folder / "output"), "--set", "split.allow_empty=true")
    planned = process_usage((*VITALPREP, "plan", *places, "--json"))
    plan = json.loads(planned.stdout.splitlines()[-1])["plan"]
    usage = process_usage((*VITALPREP, "harmonize", "--plan", plan, "--workers", "1", "--json"))
    result = json.loads(usage.stdout.splitlines()[-1])
    if result["harmonized"] != 1:
        raise RuntimeError(f"{file} was not harmonized: {result}")
    size = file.stat().st_size / 1e6
    shutil.rmtree(folder)
    return Row(
        name="memory",
        measure=f"peak RSS, {what}",
        value=usage.peak_mb,
        unit="MB",
        target=target,
        detail=f"{size:.0f} MB",
    )
