"""What ``vitalprep inspect`` does: reads recordings, and prints what they hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from vitalprep.contract.config import Config
from vitalprep.contract.left_out import SHOWN, short_path
from vitalprep.inspect.clinical_table import table_to_fill
from vitalprep.inspect.contents import contents_of
from vitalprep.inspect.inspection import UNREADABLE, Inspection, Length, Paths, Unusable, Written, inspect
from vitalprep.inspect.new_file import refuse_existing, write_new
from vitalprep.inspect.overlay import overlay_to_edit
from vitalprep.inspect.tracks import Track
from vitalprep.report.words import NOTHING, count, duration
from vitalprep.runtime.console import cell, log, print_table
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.printable import printable
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage
from vitalprep.vital.headers import shown

__all__ = ["FilesToEdit", "inspect_input", "print_inspection"]

MOST_ROWS = 300  # tracks that a terminal is shown


@dataclass(frozen=True)
class FilesToEdit:
    """Local files to write: a clinical table and a configuration overlay. `force` overwrites existing ones."""

    table: str | None = None
    profile_out: str | None = None
    force: bool = False

    def refuse_existing(self) -> None:
        """Raise `UsageError` if one exists, before any recording is read."""
        for option, file in (("--table", self.table), ("--profile-out", self.profile_out)):
            if file is not None and not self.force:
                refuse_existing(option, file)
        if self.table is not None and self.table == self.profile_out:
            raise UsageError("--table and --profile-out are the same file.", fix="give two files.")


def inspect_input(
    input_uri: str, config: Config, *, most: int | None, files: FilesToEdit, pool: WorkerPool
) -> Inspection:
    """Inspect at most that many recordings of an input (all of them for None), and write the files to edit.

    Raises
    ------
    RefusedError
        If the input holds no recording.
    UsageError
        If a file to write exists.
    """
    files.refuse_existing()
    storage = Storage(input_uri)
    contents = contents_of(storage)
    found = inspect(storage, contents, config, most=most, pool=pool)
    if files.table is not None:
        table = table_to_fill(file.path for file in contents.files)
        write_new("--table", files.table, table.data, force=files.force)
        found = found.model_copy(update={"table": Written(file=files.table, without_row=table.without_row)})
        if table.without_row:
            names = ", ".join(map(short_path, table.without_row[:SHOWN]))
            log(
                f"{len(table.without_row)} recordings have no row in {files.table}, because no cell can name them: "
                f"{names}. Rename them.",
                level=logging.WARNING,
                recordings=len(table.without_row),
            )
    if files.profile_out is not None:
        write_new("--profile-out", files.profile_out, overlay_to_edit(found, config).encode(), force=files.force)
        found = found.model_copy(update={"profile_out": files.profile_out})
    return found


def print_inspection(found: Inspection) -> None:
    """Print an inspection for a person."""
    print_table("Recordings", dict(_recordings(found)))
    if found.tracks:
        _print_tracks(found)
    for line in _advice(found):
        click.echo(printable(line))


def _recordings(found: Inspection) -> Iterator[tuple[str, str]]:
    unreadable = sum(one.reason == UNREADABLE for one in found.unusable)
    everything = found.read + unreadable == found.recordings
    read = "all were read" if everything else f"{count(found.read)} were read, --all reads all"
    yield "recordings", f"{count(found.recordings)} of {found.bytes / 1e6:,.1f} MB; {read}"
    if found.length:
        yield "length", _length(found.length)
    yield "devices", ", ".join(f"{shown(one.device) or '(no name)'} ({one.tracks})" for one in found.devices) or "none"
    fed = [f"{one.name} ({one.recordings})" for one in found.inputs if one.recordings]
    yield "inputs fed (recordings)", ", ".join(fed) or "none"
    yield "inputs without a track", ", ".join(one.name for one in found.inputs if not one.recordings) or "none"
    if found.unusable:
        yield "unusable", _unusable(found.unusable)
    if found.unfed.count:
        yield "without a track of any input", _paths(found.unfed)
    if found.unnamed.count:
        yield "names that are no case number", _paths(found.unnamed)
    if found.left_out:
        yield "left out", "; ".join(one.described for one in found.left_out)


def _length(length: Length) -> str:
    shortest, longest = duration(length.shortest), duration(length.longest)
    if shortest == longest:
        return shortest
    return f"{shortest} to {longest}, median {duration(length.median)}, together {duration(length.total)}"


def _paths(paths: Paths) -> str:
    names = ", ".join(map(short_path, paths.names[:SHOWN]))
    return f"{paths.count}: {names}" + (f" and {paths.count - SHOWN} more" if paths.count > SHOWN else "")


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
    for track in found.tracks[:MOST_ROWS]:
        table.add_row(*map(cell, _row(track, found.usable)))
    Console().print(table)
    if len(found.tracks) > MOST_ROWS:
        click.echo(f"{len(found.tracks) - MOST_ROWS} more tracks; --json has all.")


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
    said += [f"{one.input} where column {one.column} is {one.value}" for one in track.conditional]
    if track.pulse_of:
        said.append(f"pulse of {', '.join(track.pulse_of)}")
    if track.outside_limits:
        said.append(f"{count(track.outside_limits)} values outside its limits")
    if track.refused:
        refused = ", ".join(f"'{shown(one.unit)}' in {one.recordings}" for one in track.refused)
        said.append(f"unit refused: {refused} recordings, not {track.wanted_unit}")
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
    if found.table:
        yield f"clinical table to fill in: {found.table.file}"
    if found.profile_out:
        yield f"configuration to edit: {found.profile_out}"
