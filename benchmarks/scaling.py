"""Cost against the number of cases: harmonize and build must grow linearly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.recordings import Recordings, repeated
from benchmarks.rows import Row
from benchmarks.start import VITALPREP
from benchmarks.timing import process_usage

__all__ = ["measured", "plot", "rows"]

REPEATS = (2, 4, 8, 16)
PLOT = "scaling.png"


def rows(recordings: Recordings) -> Iterator[Row]:
    """How far CPU seconds lie from the straight line through them, start-up being its intercept; draws the plot."""
    costs = measured(recordings)
    plot(costs, recordings)
    for stage, seconds in _by_stage(costs).items():
        counts = np.array(list(costs))
        slope, start = _line(counts, seconds)
        worst = float(np.abs(seconds / (start + slope * counts) - 1).max())
        yield Row(
            name="scaling",
            measure=f"{stage}, largest distance from a line",
            value=100 * worst,
            unit="%",
            target=10,
            detail=f"{slope:.3f} s a case and {start:.1f} s; "
            + ", ".join(f"{count}: {taken:.1f} s" for count, taken in zip(counts, seconds, strict=True)),
        )


def _by_stage(costs: dict[int, tuple[float, float]]) -> dict[str, NDArray[np.float64]]:
    harmonize, build = zip(*costs.values(), strict=True)
    return {"harmonize": np.array(harmonize), "build": np.array(build)}


def _line(counts: NDArray[np.int64], seconds: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and intercept of the line with the least relative distances."""
    slope, start = np.polyfit(counts, seconds, 1, w=1 / seconds)
    return float(slope), float(start)


def measured(recordings: Recordings) -> dict[int, tuple[float, float]]:
    """Return CPU seconds of harmonize and of build by number of cases."""
    costs = {}
    for repeats in REPEATS:
        cases = repeats * recordings.cases
        source = repeated(recordings.true_size(), recordings.folder / "scaling-input", cases)
        output = recordings.folder / "scaling-output"
        shutil.rmtree(output, ignore_errors=True)
        planned = process_usage((*VITALPREP, "plan", "--input", str(source), "--output", str(output), "--json"))
        plan = json.loads(planned.stdout.splitlines()[-1])["plan"]
        stages = [process_usage((*VITALPREP, stage, "--plan", plan, "--json")) for stage in ("harmonize", "build")]
        costs[cases] = (stages[0].cpu, stages[1].cpu)
        shutil.rmtree(output)
    return costs


def plot(costs: dict[int, tuple[float, float]], recordings: Recordings) -> None:
    """Draw CPU seconds against cases into ``scaling.png``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    counts = np.array(list(costs))
    ends = np.array([0, counts.max()])
    for (stage, seconds), marker in zip(_by_stage(costs).items(), "os", strict=True):
        slope, start = _line(counts, seconds)
        (points,) = axes.plot(counts, seconds, marker, label=f"{stage}: {1000 * slope:.0f} ms a case")
        axes.plot(ends, start + slope * ends, color=points.get_color(), linewidth=1)
    axes.set(xlabel="cases of true size", ylabel="CPU seconds", title="Cost against cases")
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(recordings.folder / PLOT, dpi=120)
