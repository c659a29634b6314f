"""Recordings under the tracks of other monitors: what a packaged profile reads in place of VitalDB's own devices.

Which track stands for which is derived from the registry and the profile. Both say what feeds an input, and in which
unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, TypeAlias

from vitalprep.contract.config import Source
from vitalprep.contract.config_file import load_config
from vitalprep.contract.profiles import profile_sources
from vitalprep.simulate.case import SimulatedCase
from vitalprep.simulate.monitors import Feed, monitors
from vitalprep.simulate.signals import NumericTrack

__all__ = ["OtherTrack", "feeds_in_own_unit", "on_other_monitors", "other_tracks"]

Path: TypeAlias = tuple[str, str]  # device and name

# VitalDB's monitor, its anaesthesia machine and its EEG module. Pumps and further devices keep their names.
_REPLACED: Final = ("Solar8000", "Primus", "BIS")


@dataclass(frozen=True)
class OtherTrack:
    """A track under another name. `unit` is None where the unit stays; otherwise values are multiplied by `factor`."""

    device: str
    name: str
    unit: str | None = None
    factor: float = 1.0


def on_other_monitors(case: SimulatedCase, profile: str | None) -> SimulatedCase:
    """Return a case as the monitors of a packaged profile record it; with None, as VitalDB's do.

    Tracks that these monitors do not have are left out.
    """
    if profile is None:
        return case
    tracks, devices = other_tracks(profile), _other_devices(profile)
    numerics = (_renamed(track, tracks) for track in case.numerics)
    waves = (
        replace(wave, form=replace(wave.form, device=devices.get(wave.form.device, wave.form.device)))
        for wave in case.waves
        if wave.form.device in devices or wave.form.device not in _REPLACED
    )
    return replace(case, numerics=tuple(track for track in numerics if track is not None), waves=tuple(waves))


@cache
def other_tracks(profile: str) -> Mapping[Path, OtherTrack]:
    """Return what the tracks of the replaced devices are called, by device and name.

    A track that feeds an input has the profile's name, unit and device. Any other keeps its name under the device that
    replaces its own, unless the profile or an earlier track has that name.

    Examples
    --------
    >>> other_tracks("draeger")["Primus", "PEEP_MBAR"]
    OtherTrack(device='Perseus', name='PEEP_MBAR', unit=None, factor=1.0)
    >>> other_tracks("intellivue")["Primus", "PEEP_MBAR"]
    OtherTrack(device='Intellivue', name='PEEP_CMH2O', unit='cmH2O', factor=1.01972)
    """
    tracks = dict(_feeding(profile))
    devices = _other_devices(profile)
    taken = {_path(source["track"]) for _, source in profile_sources(profile)}
    for path in _intervals():
        other = (devices.get(path[0], ""), path[1])
        if path not in tracks and other[0] and other not in taken:
            tracks[path] = OtherTrack(*other)
            taken.add(other)
    return tracks


def feeds_in_own_unit(device: str, name: str, profile: str | None) -> bool:
    """Return whether a track of VitalDB's devices feeds an input also on other monitors, in the same unit."""
    if profile is None or device not in _REPLACED:
        return True
    other = _feeding(profile).get((device, name))
    return other is not None and other.unit is None


@cache
def _other_devices(profile: str) -> Mapping[str, str]:
    """Return the device that replaces each: the one that has most of its tracks."""
    found: dict[str, Counter[str]] = {}
    for (device, _), other in _feeding(profile).items():
        found.setdefault(device, Counter())[other.device] += 1
    return {device: count.most_common(1)[0][0] for device, count in found.items()}


@cache
def _feeding(profile: str) -> Mapping[Path, OtherTrack]:
    """Return the profile's tracks that stand for tracks of the registry."""
    theirs = {source["track"] for _, source in profile_sources(profile)}
    config = load_config(profiles=[profile])
    found: dict[Path, OtherTrack] = {}
    for item in config.inputs:
        own = [source for source in item.sources if source.track not in theirs and _path(source.track) in _intervals()]
        other = [source for source in item.sources if source.track in theirs]
        for source, counterpart in _pairs(own, other):
            changed = counterpart.unit != source.unit
            unit = config.accepted_units(counterpart)[0] if changed else None
            factor = _factor(source) / _factor(counterpart) if changed else 1.0
            found[_path(source.track)] = OtherTrack(*_path(counterpart.track), unit, factor)
    return found


def _pairs(own: Sequence[Source], other: Sequence[Source]) -> Iterator[tuple[Source, Source]]:
    """Yield which source stands for which: the next of the same name, then the next that may come as seldom."""
    waiting, free = list(own), list(other)
    for same_name in (True, False):
        for source in tuple(waiting):
            name, interval = _path(source.track)[1], _intervals()[_path(source.track)]
            match = next(
                (
                    candidate
                    for candidate in free
                    if (_path(candidate.track)[1] == name if same_name else candidate.stale_after >= interval)
                ),
                None,
            )
            if match is not None:
                waiting.remove(source)
                free.remove(match)
                yield source, match


@cache
def _intervals() -> Mapping[Path, float]:
    """Return how often each track of the replaced devices is sent, in s, in the order of the file."""

    def tracks(feed: Feed) -> Iterator[Path]:
        return ((feed.device, name) for name, *_ in feed.tracks)

    return {path: feed.interval for feed in monitors().feeds if feed.device in _REPLACED for path in tracks(feed)}


def _renamed(track: NumericTrack, tracks: Mapping[Path, OtherTrack]) -> NumericTrack | None:
    """Return a track under its other name; None if the other monitors do not have it."""
    if track.device not in _REPLACED:
        return track
    other = tracks.get((track.device, track.name))
    if other is None:
        return None
    renamed = replace(track, device=other.device, name=other.name)
    return renamed if other.unit is None else replace(renamed, unit=other.unit, values=track.values * other.factor)


def _factor(source: Source) -> float:
    """Return the factor from a source's unit to its input's unit."""
    conversion = source.conversion
    if conversion is None:
        return 1.0
    assert conversion.factor is not None  # doses and volumes have the registry's unit in every packaged profile
    assert conversion.offset is None
    return conversion.factor


def _path(track: str) -> Path:
    device, _, name = track.rpartition("/")
    return device, name
