"""What ``vitalprep inspect`` does: reads recordings, and prints what they hold."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

import click

from vitalprep.contract.config import Config
from vitalprep.contract.left_out import SHOWN, short_path
from vitalprep.inspect.clinical_table import table_to_fill
from vitalprep.inspect.contents import contents_of
from vitalprep.inspect.inspection import UNREADABLE, Inspection, Length, Paths, Unusable, Written, inspect
from vitalprep.inspect.new_file import refuse_existing, write_new
from vitalprep.inspect.overlay import overlay_to_edit
from vitalprep.inspect.page import inspection_html
from vitalprep.inspect.steps import Options, Step, next_steps
from vitalprep.inspect.table import print_tracks, terminal_width
from vitalprep.inspect.uses import device_of
from vitalprep.report.words import count, duration
from vitalprep.runtime.console import log, print_table
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.printable import printable
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage

__all__ = ["FilesToWrite", "inspect_input", "print_inspection"]


@dataclass(frozen=True)
class FilesToWrite:
    """Local files to write: a clinical table, a configuration overlay and a page. `force` overwrites existing ones."""

    table: str | None = None
    profile_out: str | None = None
    html: str | None = None
    force: bool = False

    def refuse_existing(self) -> None:
        """Raise `UsageError` if one exists or two are the same, before any recording is read."""
        given = {"--table": self.table, "--profile-out": self.profile_out, "--html": self.html}
        options: dict[str, str] = {}
        for option, file in given.items():
            if file is None:
                continue
            same = options.setdefault(os.path.realpath(file), option)
            if same != option:
                raise UsageError(f"{same} and {option} are the same file.", fix="give two files.")
            if not self.force:
                refuse_existing(option, file)


def inspect_input(
    input_uri: str, config: Config, options: Options, *, most: int | None, files: FilesToWrite, pool: WorkerPool
) -> tuple[Inspection, tuple[Step, ...]]:
    """Inspect at most that many recordings of an input (all of them for None), and write the files.

    Returns
    -------
    inspection : Inspection
    steps : tuple of Step
        What to do next. `options` are those that gave the configuration.

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
    steps = next_steps(found, options)
    if files.html is not None:
        write_new("--html", files.html, inspection_html(found, steps), force=files.force)
        found = found.model_copy(update={"html": files.html})
    return found, steps


def print_inspection(found: Inspection, steps: Sequence[Step]) -> None:
    """Print an inspection for a person."""
    print_table("Recordings", dict(_recordings(found)))
    if found.tracks:
        print_tracks(found)
    _print_steps(steps)
    files = {
        "clinical table to fill in": found.table.file if found.table else None,
        "configuration to edit": found.profile_out,
        "page": found.html,
    }
    if any(files.values()):
        click.echo()
    for name, file in files.items():
        if file:
            click.echo(printable(f"{name}: {file}"))


def _print_steps(steps: Sequence[Step]) -> None:
    """Print numbered steps. A command is one line, so that it can be copied."""
    click.echo("\nNext steps")
    width = terminal_width()
    for number, step in enumerate(steps, start=1):
        for line in wrap(printable(step.text), width, initial_indent=f"{number}. ", subsequent_indent="   "):
            click.echo(line)
        if step.command:
            click.echo(f"     {printable(step.command)}")


def _recordings(found: Inspection) -> Iterator[tuple[str, str]]:
    unreadable = sum(one.reason == UNREADABLE for one in found.unusable)
    everything = found.read + unreadable == found.recordings
    read = "all were read" if everything else f"{count(found.read)} were read, --all reads all"
    yield "recordings", f"{count(found.recordings)} of {found.bytes / 1e6:,.1f} MB; {read}"
    if found.length:
        yield "length", _length(found.length)
    devices = ", ".join(f"{device_of(one.device)} ({one.tracks})" for one in found.devices)
    yield "devices (numeric tracks)", devices or "none"
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
