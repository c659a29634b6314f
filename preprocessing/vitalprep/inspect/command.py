"""What ``vitalprep inspect`` does: reads recordings, and prints what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from vitalprep.contract.config import Config
from vitalprep.contract.left_out import SHOWN, short_path
from vitalprep.inspect.contents import contents_of
from vitalprep.inspect.inspection import Inspection, Unusable, inspect
from vitalprep.inspect.tracks import Track
from vitalprep.report.words import NOTHING, count, duration
from vitalprep.runtime.console import cell, print_table
from vitalprep.runtime.printable import printable
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage
from vitalprep.vital.headers import shown

__all__ = ["inspect_input", "print_inspection"]


def inspect_input(input_uri: str, config: Config, *, most: int | None, pool: WorkerPool) -> Inspection:
    """Inspect at most that many recordings of an input; all of them for None.

    Raises
    ------
    RefusedError
        If the input holds no recording.
    """
    storage = Storage(input_uri)
    return inspect(storage, contents_of(storage), config, most=most, pool=pool)


def print_inspection(found: Inspection) -> None:
    """Print an inspection for a person."""
    print_table("Recordings", dict(_recordings(found)))
    if found.tracks:
        _print_tracks(found)
    for line in _advice(found):
        click.echo(printable(line))


def _recordings(found: Inspection) -> Iterator[tuple[str, str]]:
    read = "all were read" if found.read == found.recordings else f"{count(found.read)} were read, --all reads all"
    yield "recordings", f"{count(found.recordings)} of {found.bytes / 1e6:,.1f} MB; {read}"
    if found.length:
        one = found.length
        yield (
            "length",
            f"{duration(one.shortest)} to {duration(one.longest)}, median {duration(one.median)}, "
            f"together {duration(one.total)}",
        )
    yield "devices", ", ".join(f"{shown(one.device) or '(no name)'} ({one.tracks})" for one in found.devices) or "none"
    fed = [f"{one.name} ({one.recordings})" for one in found.inputs if one.recordings]
    yield "inputs fed (recordings)", ", ".join(fed) or "none"
    yield "inputs without a track", ", ".join(one.name for one in found.inputs if not one.recordings) or "none"
    if found.unusable:
        yield "unusable", _unusable(found.unusable)
    if found.unnamed.count:
        names = ", ".join(map(short_path, found.unnamed.names[:SHOWN]))
        more = f" and {found.unnamed.count - SHOWN} more" if found.unnamed.count > SHOWN else ""
        yield "names that are no case number", f"{found.unnamed.count}: {names}{more}"
    if found.left_out:
        yield "left out", "; ".join(one.described for one in found.left_out)


def _unusable(unusable: Sequence[Unusable]) -> str:
    said = [f"{short_path(one.path)}: {one.reason}, {one.detail}" for one in unusable[:SHOWN]]
    more = f"; {len(unusable) - SHOWN} more" if len(unusable) > SHOWN else ""
    return "; ".join(said) + more


def _print_tracks(found: Inspection) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Numeric tracks", title_justify="left", box=box.SIMPLE)
    table.add_column("track", overflow="fold")
    table.add_column("unit", overflow="fold")
    for name in ("recordings", "records", "every", "range (5-95 %)"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("feeds", overflow="fold")
    for track in found.tracks:
        table.add_row(*map(cell, _row(track, found.usable)))
    Console().print(table)


def _row(track: Track, recordings: int) -> tuple[Any, ...]:
    return (
        shown(track.track),
        ", ".join(shown(unit) or "(none)" for unit in track.units),
        f"{track.recordings}/{recordings}",
        count(track.records),
        NOTHING if track.interval is None else f"{track.interval:.3g} s",
        _range(track),
        _feeds(track),
    )


def _range(track: Track) -> str:
    if track.minimum is None:
        return NOTHING
    return f"{track.minimum:.4g} ({track.p5:.4g}-{track.p95:.4g}) {track.maximum:.4g}"


def _feeds(track: Track) -> str:
    said = []
    if track.input:
        said.append(track.input if track.place == 1 else f"{track.input} (source {track.place})")
    if track.pulse_of:
        said.append(f"pulse of {', '.join(track.pulse_of)}")
    if track.refused:
        refused = ", ".join(f"{shown(one.unit)!r} in {one.recordings}" for one in track.refused)
        said.append(f"refused: unit {refused} recordings, not {track.wanted_unit}")
    if track.known:
        said.append("; ".join(f"{one.input} with --profile {one.profile}" for one in track.known))
    return "; ".join(said) or NOTHING


def _advice(found: Inspection) -> Iterator[str]:
    for one in found.profiles:
        inputs = ", ".join(one.inputs)
        tracks = f"{len(one.tracks)} track{'s' if len(one.tracks) > 1 else ''}"
        yield f"--profile {one.profile} would use {tracks} more: {inputs}."
    if found.unnamed.count:
        yield (
            f"{found.unnamed.count} recordings have no case number: name them in a column file of the clinical table "
            "(--table FILE writes one to fill in)."
        )
    if found.problem:
        yield f"These names cannot be planned as they are. {found.problem} Fix: {found.fix}"
