"""The next steps after an inspection, each with its command: from unknown recordings to a data set."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitalprep.inspect.inspection import Inspection
from vitalprep.inspect.uses import uses_of

__all__ = ["Options", "Step", "next_steps"]

TABLE, OVERLAY, OUTPUT = "clinical.csv", "tracks.yaml", "OUTPUT"


@dataclass(frozen=True)
class Options:
    """The options of the configuration with which recordings were inspected."""

    profiles: tuple[str, ...] = ()
    config_file: str | None = None
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What to do, and the command that does it, if any."""

    text: str
    command: str | None = None


def next_steps(found: Inspection, options: Options) -> tuple[Step, ...]:
    """Return what to do until there is a data set, in order."""
    return tuple(_steps(found, options))


def _steps(found: Inspection, options: Options) -> Iterator[Step]:
    for one in found.profiles:
        tracks = f"{len(one.tracks)} track{'s' if len(one.tracks) > 1 else ''}"
        yield Step(
            f"--profile {one.profile} would use {tracks} more: {', '.join(one.inputs)}. Compare units and ranges with "
            "what you expect."
        )
    # An overlay that was just written has the profiles' tracks as entries of its own.
    suggested = () if found.profile_out else tuple(one.profile for one in found.profiles)
    profiles = (*options.profiles, *(name for name in suggested if name not in options.profiles))
    yield from _tracks(found, options, profiles)
    yield from _clinical(found)
    if found.problem:
        yield Step(f"These names cannot be planned as they are. {found.problem} Fix: {found.fix}")
    named = found.table.file if found.table else None if found.clinical else TABLE
    chosen = _chosen(options, profiles, found.profile_out or options.config_file)
    given = ["--input", found.input, *(["--clinical", named] if named else []), "--output", OUTPUT, *chosen]
    yield Step("Check configuration and table, in seconds.", _command("check", *given))
    yield Step("Make the data set.", _command("run", *given))


def _tracks(found: Inspection, options: Options, profiles: Sequence[str]) -> Iterator[Step]:
    """Yield what to do about tracks that are not used, with or without a profile."""
    if found.profile_out:
        merged = f". Copy into it what {options.config_file} says: a command accepts one --config"
        yield Step(
            f"Edit {found.profile_out}: tracks that a profile lists are entries, all others are comments"
            f"{merged if options.config_file else ''}."
        )
        return
    unused = sum(len(use.tracks) for use in uses_of(found.tracks) if use.name in ("refused", "left"))
    if unused:
        yield Step(
            f"{unused} track{'s feed' if unused > 1 else ' feeds'} no input. To use some, write a configuration file "
            "that lists them, and edit it.",
            _command(
                "inspect", found.input, *_chosen(options, profiles, options.config_file), "--profile-out", OVERLAY
            ),
        )


def _clinical(found: Inspection) -> Iterator[Step]:
    """Yield what to do about the clinical table."""
    if found.table:
        yield Step(
            f"Fill in {found.table.file}: a patient number (subjectid) in each row; other cells may stay empty. Remove "
            "the rows of recordings that you do not want."
        )
        return
    command = _command("inspect", found.input, "--table", TABLE)
    if found.unnamed.count:
        plural = found.unnamed.count > 1
        write = (
            "If the input's table has none yet, write one to copy from"
            if found.clinical
            else "Write a table to fill in"
        )
        yield Step(
            f"{found.unnamed.count} recording{'s have' if plural else ' has'} no case number in "
            f"{'their names' if plural else 'its name'}: a column file of the clinical table gives "
            f"{'them' if plural else 'it'} one. {write}.",
            command,
        )
    elif not found.clinical:
        yield Step("The input has no clinical table. Write one to fill in.", command)


def _chosen(options: Options, profiles: Sequence[str], config_file: str | None) -> list[str]:
    chosen = [word for name in profiles for word in ("--profile", name)]
    chosen += ["--config", config_file] if config_file else []
    return chosen + [word for setting in options.settings for word in ("--set", setting)]


def _command(*words: str) -> str:
    return shlex.join(("vitalprep", *words))
