"""Prints numeric tracks for a person: by use, then by device, in as many columns as the terminal has room for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import click

from vitalprep.inspect.inspection import Inspection
from vitalprep.inspect.tracks import Track
from vitalprep.inspect.uses import Use, device_of, feeds, remarks, span, uses_of
from vitalprep.report.words import NOTHING, count
from vitalprep.runtime.console import cell
from vitalprep.runtime.printable import printable
from vitalprep.vital.headers import shown

__all__ = ["print_tracks", "terminal_width"]

UNBOUNDED = 10_000
MOST_ROWS = 300  # tracks that a terminal is shown
GAP = 2  # between columns
FOLDED = 28  # characters of a name or unit beyond which it is folded
FEWEST = 16  # characters for the last column, which is folded between words
FEEDS = "feeds"
COLUMNS = ("track", "unit", "in", "records", "every", "90 % within", "all within", FEEDS)
TEXTS = ("track", "unit", FEEDS)
SPARED = ("all within", "records")  # left out where there is no room, in this order
MEANINGS = {
    "in": "recordings that have the track",
    "90 % within": "5th to 95th percentile of the values, in the file's unit",
    "all within": "lowest to highest value, in the file's unit",
}


@dataclass(frozen=True)
class _Layout:
    columns: tuple[str, ...]
    widths: dict[str, int]
    width: int


def print_tracks(found: Inspection) -> None:
    """Print the tracks of an inspection."""
    uses = uses_of(found.tracks[:MOST_ROWS])
    rows = {track.track: _row(track, found.usable) for use in uses for track in use.tracks}
    layout = _layout(list(rows.values()))
    click.echo(f"\nNumeric tracks of {count(found.usable)} recording{'' if found.usable == 1 else 's'}")
    for use in uses:
        click.echo(f"\n{use.title}")
        _print_use(use, rows, layout)
    click.echo()
    for name, meaning in MEANINGS.items():
        if name in layout.columns:
            click.echo(f"{name}: {meaning}")
    missing = " and ".join(f"'{name}'" for name in SPARED if name not in layout.columns)
    if missing:
        click.echo(f"A wider terminal also shows {missing}, as does --html FILE.")
    if len(found.tracks) > MOST_ROWS:
        click.echo(f"{count(len(found.tracks) - MOST_ROWS)} more tracks; --html and --json have them.")


def terminal_width() -> int:
    """Return the columns of the terminal. What is piped has no bound: pagers and editors fold nothing."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal or "COLUMNS" in os.environ else UNBOUNDED


def _layout(rows: Sequence[dict[str, str]]) -> _Layout:
    """Return the columns that fit, with widths that all uses share."""
    from rich.cells import cell_len

    widths = {name: max([len(name), *(cell_len(row[name]) for row in rows)]) for name in COLUMNS}
    widths |= {name: min(widths[name], FOLDED) for name in ("track", "unit")}
    width = terminal_width()
    columns = list(COLUMNS)
    for name in SPARED:
        if _room(columns, widths, width) < min(FEWEST, widths[FEEDS]):
            columns.remove(name)
    widths[FEEDS] = max(FEWEST, min(widths[FEEDS], _room(columns, widths, width)))
    return _Layout(tuple(columns), widths, width)


def _room(columns: Sequence[str], widths: dict[str, int], width: int) -> int:
    """Return how wide the last column can be."""
    return width - sum(widths[name] + GAP for name in columns if name != FEEDS)


def _print_use(use: Use, rows: dict[str, dict[str, str]], layout: _Layout) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    for name in layout.columns:
        justify: Literal["left", "right"] = "left" if name in TEXTS else "right"
        table.add_column(name, justify=justify, overflow="fold", width=layout.widths[name])
    for device, tracks in use.devices.items():
        table.add_row(cell(device_of(device)), style="bold")
        for track in tracks:
            table.add_row(*(cell(rows[track.track][name]) for name in layout.columns))
    Console(width=layout.width).print(table)
    for track in use.tracks:
        for remark in remarks(track):
            click.echo(f"  * {shown(track.track)}: {printable(remark)}")


def _row(track: Track, recordings: int) -> dict[str, str]:
    return {
        "track": f"  {shown(track.name)}",
        "unit": ", ".join(shown(unit) or "(none)" for unit in track.units),
        "in": f"{track.recordings}/{recordings}",
        "records": count(track.records),
        "every": NOTHING if track.interval is None else f"{track.interval:.3g} s",
        "90 % within": span(track.p5, track.p95),
        "all within": span(track.minimum, track.maximum),
        FEEDS: feeds(track) or NOTHING,
    }
