"""``python -m benchmarks``: the table of all figures with their targets, and the machine they were taken on."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    build,
    container,
    dag,
    harmonize,
    loading,
    many_cases,
    memory,
    overlap,
    planning,
    scaling,
    start,
    validate,
    whole_run,
)
from benchmarks.machine import machine
from benchmarks.recordings import Recordings
from benchmarks.rows import Row

BENCHMARKS = {
    "harmonize": harmonize,
    "build": build,
    "validate": validate,
    "loading": loading,
    "run": whole_run,
    "overlap": overlap,
    "memory": memory,
    "many": many_cases,
    "start": start,
    "container": container,
    "plan": planning,
    "scaling": scaling,
    "airflow": dag,
}


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--json", metavar="FILE", help="also write figures and machine there")
    parser.add_argument("--folder", default=".bench", help="for recordings and outputs (default: %(default)s)")
    parser.add_argument("--small", action="store_true", help="tiny recordings: whether it runs, not how fast")
    given = parser.parse_args()
    if unknown := set(given.only) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    folder = Path(given.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    small = Recordings(folder, cases=8, hours=0.2, longest_hours=0.5, many=40)
    recordings = small if given.small else Recordings(folder)
    figures = Path(given.json) if given.json else None
    failed = _measure(given.only or list(BENCHMARKS), recordings, figures, small=given.small)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _measure(names: Sequence[str], recordings: Recordings, figures: Path | None, *, small: bool) -> list[str]:
    """Take the figures, write and print them, and return the benchmarks that failed.

    What was measured is kept whatever fails after it: the file is written anew after each benchmark.
    """
    console, taken_on = Console(stderr=True), machine()
    measured: list[Row] = []
    failed: list[str] = []
    try:
        for name in names:
            began = time.monotonic()
            try:
                for row in BENCHMARKS[name].rows(recordings):
                    measured.append(row)
            except Exception:  # one that fails must not cost the figures of the others
                console.print(f"{name} FAILED:\n{traceback.format_exc()}", style="red", markup=False)
                failed.append(name)
            console.print(f"{name}: {time.monotonic() - began:.0f} s", style="dim")
            if figures is not None:
                rows = [row.content() for row in measured]
                document = {"machine": taken_on, "small": small, "failed": failed, "rows": rows}
                figures.write_text(json.dumps(document, indent=1) + "\n")
    finally:
        Console(width=max(120, Console().width)).print(_table(measured, taken_on))
    return failed


def _table(measured: list[Row], taken_on: dict[str, object]) -> Table:
    caption = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in taken_on.items())
    load = os.getloadavg()[0]
    table = Table(
        title="Benchmarks", title_justify="left", caption=f"{caption}, load {load:.1f}", caption_justify="left"
    )
    for heading in ("", "what", "measured", "target", "met", "made from"):
        table.add_column(heading, justify="right" if heading in ("measured", "target") else "left", overflow="fold")
    for row in measured:
        sign = {"lower": "≤", "higher": "≥"}[row.better]
        target = "" if row.target is None else f"{sign} {row.target:.3g} {row.unit}"
        met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[row.met]
        table.add_row(row.name, row.measure, f"{row.value:.3g} {row.unit}", target, met, row.detail)
    return table


if __name__ == "__main__":
    main()
