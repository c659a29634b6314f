"""Memory of a whole run against the number of cases: what is held for each case must be little."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.start import VITALPREP
from benchmarks.timing import process_usage

__all__ = ["rows"]

MOST_MB, MOST_GROWTH = 300, 1.2  # of ruling 31 in docs/design.md
SHARD_MB = 5  # small files: so the largest process is the parent, which knows all cases, and not one that writes a file


def rows(recordings: Recordings) -> Iterator[Row]:
    """Peak RSS of `vitalprep run` on tiny recordings, many and a twentieth of them."""
    many = recordings.many
    few = max(many // 20, 20)
    peaks = {cases: _peak_mb(recordings, cases) for cases in (few, many)}
    each = 1000 * (peaks[many] - peaks[few]) / (many - few)
    yield Row(
        name="many",
        measure=f"peak RSS of a run, {many} cases",
        value=peaks[many],
        unit="MB",
        target=max(MOST_MB, MOST_GROWTH * peaks[few]),
        detail=f"{peaks[few]:.0f} MB with {few} cases: {each:.1f} kB a case",
    )


def _peak_mb(recordings: Recordings, cases: int) -> float:
    output = recordings.folder / "many-output"
    shutil.rmtree(output, ignore_errors=True)
    places = ("--input", str(recordings.tiny()), "--output", str(output), "--cases", f"1-{cases}")
    usage = process_usage((*VITALPREP, "run", *places, "--set", f"output.shard_mb={SHARD_MB}", "--shards", "8"))
    shutil.rmtree(output)
    return usage.peak_mb
