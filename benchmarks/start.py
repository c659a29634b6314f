"""How long it takes until anything happens."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator

from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.timing import process_usage

__all__ = ["VITALPREP", "rows"]

ROUNDS = 9
VITALPREP = (sys.executable, "-c", "from vitalprep.cli.main import main; main()")


def rows(recordings: Recordings) -> Iterator[Row]:
    """Wall time of whole processes."""
    python = _median((sys.executable, "-c", "pass"))
    works = (
        ("vitalprep harmonize --help", (*VITALPREP, "harmonize", "--help"), 0.3),
        ("import of the worker", (sys.executable, "-c", "import vitalprep.harmonize.stage"), 0.5),
    )
    for measure, command, target in works:
        yield Row(
            name="start",
            measure=measure,
            value=_median(command),
            unit="s",
            target=target,
            detail=f"Python alone {python:.3f} s; {ROUNDS} rounds",
        )


def _median(command: tuple[str, ...]) -> float:
    process_usage(command)
    return statistics.median(process_usage(command).wall for _ in range(ROUNDS))
