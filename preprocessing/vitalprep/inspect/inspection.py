"""Reads the recordings of an input in worker processes, and says what they hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitalprep.contract.config import Config
from vitalprep.contract.document import Schema
from vitalprep.contract.left_out import LeftOut
from vitalprep.inspect.contents import Contents, spread
from vitalprep.inspect.reading import Inspected, InspectTask, inspect_recording
from vitalprep.inspect.tracks import Track, combined_tracks
from vitalprep.runtime.console import progress
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage, StoredObject

__all__ = [
    "UNREADABLE",
    "Device",
    "FedInput",
    "Inspection",
    "Length",
    "Paths",
    "Profile",
    "Unusable",
    "Written",
    "inspect",
]

POINTS = 20_000  # values of a track that are kept for its percentiles, over all recordings
FEWEST_POINTS = 16  # of one recording
MOST_NAMES = 100
UNREADABLE = "unreadable"


class Length(Schema):
    """Durations of the usable recordings in seconds."""

    total: float
    shortest: float
    median: float
    longest: float


class Device(Schema):
    """A device, the number of its numeric tracks, and the number of recordings that have one. May have no name."""

    device: str
    tracks: int
    recordings: int


class FedInput(Schema):
    """An input of the configuration, the tracks that feed it in order, and in how many recordings one does.

    Tracks that feed it only where the clinical table says so do not count.
    """

    name: str
    unit: str
    tracks: tuple[str, ...]
    recordings: int


class Profile(Schema):
    """A packaged profile, and the tracks that it would use and the configuration does not. All have accepted units."""

    profile: str
    inputs: tuple[str, ...]
    tracks: tuple[str, ...]


class Unusable(Schema):
    """A recording that cannot be used. `reason` is a reason code, or ``changed`` or ``unreadable``."""

    path: str
    reason: str
    detail: str


class Paths(Schema):
    """Some recordings: how many, and the first of their paths."""

    count: int
    names: tuple[str, ...]


class Written(Schema):
    """A clinical table that was written, and the recordings that no cell of it can name."""

    file: str
    without_row: tuple[str, ...]


class Inspection(Schema):
    """What an input holds.

    `clinical` says whether its clinical table is there. `unfed` are usable recordings of which the configuration uses
    no track, `unnamed` those whose name is no case number. `problem` and `fix` say why the names could not be planned
    as they are; `table`, `profile_out` and `html` what was written.
    """

    input: str
    recordings: int
    bytes: int
    clinical: bool
    read: int
    usable: int
    length: Length | None
    devices: tuple[Device, ...]
    tracks: tuple[Track, ...]
    inputs: tuple[FedInput, ...]
    profiles: tuple[Profile, ...]
    unusable: tuple[Unusable, ...]
    unfed: Paths
    unnamed: Paths
    left_out: tuple[LeftOut, ...]
    problem: str | None = None
    fix: str | None = None
    table: Written | None = None
    profile_out: str | None = None
    html: str | None = None


def inspect(storage: Storage, contents: Contents, config: Config, *, most: int | None, pool: WorkerPool) -> Inspection:
    """Read at most that many recordings of an input, spread over its listing; all of them for None.

    Raises
    ------
    Stopped, RetryableError
        See `WorkerPool.results`.
    """
    read = _read(storage, spread(contents.files, most), config, pool)
    usable = [one for one in read if one.reason is None]
    tracks = combined_tracks(usable, config)
    fed = _fed(tracks, usable, config)
    unusable = [Unusable(path=one.path, reason=one.reason, detail=one.detail) for one in read if one.reason]
    unusable += [Unusable(path=path, reason=UNREADABLE, detail=wrong) for path, wrong in contents.unreadable.items()]
    return Inspection(
        input=storage.uri,
        recordings=len(contents.files) + len(contents.unreadable),
        bytes=sum(file.size for file in contents.files),
        clinical=contents.clinical,
        read=len(read),
        usable=len(usable),
        length=_length(usable),
        devices=_devices(tracks, usable),
        tracks=tracks,
        inputs=_inputs(fed, config),
        profiles=_profiles(tracks, config),
        unusable=tuple(sorted(unusable, key=lambda one: one.path)),
        unfed=_paths([one.path for one, tracks in zip(usable, fed, strict=True) if not tracks]),
        unnamed=_paths(contents.unnamed),
        left_out=contents.left_out,
        problem=contents.problem.message if contents.problem else None,
        fix=contents.problem.fix if contents.problem else None,
    )


def _read(storage: Storage, files: Sequence[StoredObject], config: Config, pool: WorkerPool) -> list[Inspected]:
    """Read recordings in worker processes, and return them by path."""
    points = max(FEWEST_POINTS, POINTS // max(1, len(files)))
    limits = {source.track: source.limits for item in config.inputs for source in item.sources if not source.where}
    tasks = [InspectTask(storage.uri, file, config.reading, points, limits) for file in files]
    found: list[Inspected] = []
    with progress("inspect", len(tasks)) as advance:
        for _, inspected in pool.results(inspect_recording, tasks, name=lambda task: task.file.path):
            advance()
            found.append(inspected)
    return sorted(found, key=lambda one: one.path)


def _length(usable: Sequence[Inspected]) -> Length | None:
    seconds = [one.seconds for one in usable if one.seconds is not None]
    if not seconds:
        return None
    return Length(total=sum(seconds), shortest=min(seconds), median=float(np.median(seconds)), longest=max(seconds))


def _devices(tracks: Sequence[Track], usable: Sequence[Inspected]) -> tuple[Device, ...]:
    device_of = {track.track: track.device for track in tracks}
    names = list(device_of.values())
    there = [{device_of[facts.track] for facts in one.tracks} for one in usable]
    return tuple(
        Device(device=name, tracks=names.count(name), recordings=sum(name in devices for devices in there))
        for name in sorted(set(names))
    )


def _fed(tracks: Sequence[Track], usable: Sequence[Inspected], config: Config) -> list[frozenset[str]]:
    """Return the tracks of each recording that feed an input: those whose unit is accepted."""
    sources = {source.track for item in config.inputs for source in item.sources}
    refused = {track.track: {one.unit for one in track.refused} for track in tracks}
    return [
        frozenset(
            facts.track
            for facts in one.tracks
            if facts.track in sources and not refused[facts.track].intersection(facts.units)
        )
        for one in usable
    ]


def _inputs(fed: Sequence[frozenset[str]], config: Config) -> tuple[FedInput, ...]:
    found = []
    for item in config.inputs:
        names = [source.track for source in item.sources if not source.where]
        there = tuple(name for name in names if any(name in one for one in fed))
        recordings = sum(not one.isdisjoint(names) for one in fed)
        found.append(FedInput(name=item.name, unit=item.unit, tracks=there, recordings=recordings))
    return tuple(found)


def _paths(paths: Sequence[str]) -> Paths:
    return Paths(count=len(paths), names=tuple(paths[:MOST_NAMES]))


def _profiles(tracks: Sequence[Track], config: Config) -> tuple[Profile, ...]:
    order = [item.name for item in config.inputs]
    found: dict[str, list[tuple[str, str]]] = {}
    for track in tracks:
        for known in track.known if not track.refused else ():
            found.setdefault(known.profile, []).append((known.input, track.track))
    return tuple(
        Profile(
            profile=name,
            inputs=tuple(sorted({item for item, _ in entries}, key=order.index)),
            tracks=tuple(track for _, track in entries),
        )
        for name, entries in sorted(found.items())
    )
