"""Resampling of a recording to a 1 Hz table in clinical units, NaN where no source is live (docs/design.md, 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Config, Input
from vitalprep.contract.profiles import profiles_of
from vitalprep.contract.receipt import FeatureQuality, Rejected
from vitalprep.features.conversion import Body, multiplier, offset
from vitalprep.features.mapped import of_case
from vitalprep.features.source_series import series_of
from vitalprep.runtime.errors import CaseRefused
from vitalprep.vital.clock import CLOCK_TOLERANCE
from vitalprep.vital.headers import shown
from vitalprep.vital.recording import Numeric, VitalFile

__all__ = ["Series", "accepted", "harmonize", "unused_tracks"]

MOST_NAMED = 10


@dataclass(frozen=True)
class Series:
    """A harmonized case.

    Attributes
    ----------
    values : ndarray of float32, shape (n, inputs)
        Row k is second k of the recording; columns are in registry order and in the inputs' units. NaN where no source
        is live.
    quality : dict
        `FeatureQuality` by input name.
    unit_conflicts : tuple of (str, str)
        Tracks that were ignored because of their unit, and that unit.
    unused : tuple of Numeric
        Numeric tracks that no input names, those with the most records first.
    """

    values: NDArray[np.float32]
    quality: dict[str, FeatureQuality]
    unit_conflicts: tuple[tuple[str, str], ...]
    unused: tuple[Numeric, ...] = ()


def harmonize(
    recording: VitalFile, config: Config, body: Body, cells: Mapping[str, str] = MappingProxyType({})
) -> Series:
    """Resample a recording's numeric tracks to the registry's inputs at 1 Hz.

    At each second, an input takes the value of the first live source in order, or the sum of all live sources
    (`combine`). A source is live while its latest plausible record is at most `stale_after` seconds old.

    Parameters
    ----------
    body : Body
        The patient's sex, height and weight, for doses and tidal volumes.
    cells : mapping of str to str
        The case's cells that say which sources apply, by column. The other sources that depend on a cell take no part.

    Raises
    ------
    CaseRefused
        ``no_signal`` if no input has any value; ``unit_mismatch`` if all recorded sources of an input have a unit that
        the registry does not accept.
    """
    start, length = _clock(recording)
    whole, config = config, of_case(config, cells)
    columns, quality, conflicts = [], {}, []
    for item in config.inputs:
        tracks, refused = _usable_tracks(recording, config, item)
        conflicts += refused
        column, quality[item.name] = _input_series(item, tracks, config, body, start, length)
        columns.append(column)
    values = np.stack(columns, axis=1)
    if np.isnan(values).all():
        raise CaseRefused("no_signal", _without_value(recording, config, whole))
    return Series(values, quality, tuple(conflicts), unused_tracks(recording, config))


def _named_tracks(config: Config) -> set[str]:
    """Return the tracks that a configuration names."""
    sources = [source for item in config.inputs for source in item.sources]
    beats = [source.pulse for source in sources if source.pulse]
    return {source.track for source in sources} | {name for pulse in beats for name in (pulse.high, pulse.low)}


def unused_tracks(recording: VitalFile, config: Config) -> tuple[Numeric, ...]:
    """Return the numeric tracks that no input names, those with the most records first."""
    named = _named_tracks(config)
    unused = (track for name, track in recording.numerics.items() if name not in named)
    return tuple(sorted(unused, key=lambda track: (-len(track.times), track.name)))


def _without_value(recording: VitalFile, config: Config, whole: Config) -> str:
    """Return why a recording with records gives no value, and which tracks it has.

    `config` is the case's, `whole` has the sources that do not apply to it as well.
    """
    named = sorted(recording.numerics.keys() & _named_tracks(config))
    unmapped = sorted(recording.numerics.keys() & (_named_tracks(whole) - _named_tracks(config)))
    unused = [track.name for track in unused_tracks(recording, whole)]
    known = _known(unused, config)
    if not recording.numerics:
        return "the recording has no numeric track; no input has a value"
    said = [f"the clinical table maps {_listed(unmapped)} to no input in this case"] if unmapped else []
    if named:
        said.append(f"the configuration names {_listed(named)}, whose values are all implausible")
        said += [f"it does not name {_listed(unused)}{known}"] if unused else []
    elif unused:
        said.append(f"the configuration {_names_none(unused, 'other numeric' if unmapped else 'numeric')}{known}")
    return f"no input has a single plausible value: {'; '.join(said)}"


def _names_none(unused: Sequence[str], kind: str) -> str:
    if len(unused) == 1:
        return f"does not name the recording's only {kind} track {_listed(unused)}"
    return f"names none of the recording's {len(unused)} {kind} tracks {_listed(unused)}"


def _known(unused: Sequence[str], config: Config) -> str:
    """Return which packaged profiles list any of some tracks for an input of the configuration."""
    profiles = profiles_of(unused, {item.name for item in config.inputs})
    return "".join(
        f"; --profile {profile} lists {_listed([track for _, track in pairs])}" for profile, pairs in profiles.items()
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(shown, names[:MOST_NAMED])) + more


def _clock(recording: VitalFile) -> tuple[float, int]:
    """Return the start (Unix time, s) and the number of seconds of a recording."""
    if recording.first_time is None or recording.last_time is None:
        raise CaseRefused("no_signal", "the file holds no wave or numeric record")
    start = recording.start
    assert start is not None  # there is a record
    duration = recording.last_time - start + CLOCK_TOLERANCE
    if duration < 0:
        raise CaseRefused("no_signal", "every record is earlier than the header's start time")
    return start, math.floor(duration) + 1


def _usable_tracks(
    recording: VitalFile, config: Config, item: Input
) -> tuple[dict[str, Numeric], list[tuple[str, str]]]:
    """Return an input's recorded tracks with an accepted unit, and (track, unit) of the others."""
    usable: dict[str, Numeric] = {}
    refused: list[tuple[str, str]] = []
    for source in item.sources:
        if source.track not in recording.numerics:
            continue
        beat = (source.pulse.high, source.pulse.low) if source.pulse else ()
        for name in dict.fromkeys((source.track, *beat)):
            track = recording.numerics.get(name)
            unknown = (
                [unit for unit in track.units if not accepted(unit, config.accepted_units(source))] if track else []
            )
            if unknown:
                refused.append((name, shown(unknown[0])))
            elif track:
                usable[name] = track
    if refused and not any(source.track in usable for source in item.sources):
        track_name, unit = refused[0]
        raise CaseRefused(
            "unit_mismatch", f"{item.name}: {track_name} is in '{unit}', which the registry does not accept"
        )
    return usable, refused


def accepted(unit: str, spellings: tuple[str, ...]) -> bool:
    """Return whether a unit in a file is one of the accepted spellings. An empty unit is."""
    written = unit.strip().casefold()
    return not written or written in {spelling.strip().casefold() for spelling in spellings}


def _input_series(
    item: Input, tracks: Mapping[str, Numeric], config: Config, body: Body, start: float, length: int
) -> tuple[NDArray[np.float32], FeatureQuality]:
    result = np.full(length, np.nan)
    live_seconds: dict[str, int] = {}
    rejected: dict[str, Rejected] = {}
    records: dict[str, int] = {}
    before_start = 0
    for source in item.sources:
        if source.track not in tracks:
            continue
        found = series_of(source, tracks, start, length)
        rejected[source.name] = found.rejected
        records[source.name] = len(tracks[source.track].times) - found.before_start
        before_start += found.before_start
        live = found.values
        with np.errstate(over="ignore"):
            live *= multiplier(source, body, config.ideal_body_weight)
            live += offset(source)
        free = np.isnan(result)
        taken = ~np.isnan(live) & (free if item.combine == "first" else True)
        result[taken] = np.where(free, 0.0, result)[taken] + live[taken]
        live_seconds[source.name] = int(np.count_nonzero(taken))
    with np.errstate(over="ignore"):
        column = result.astype(np.float32)
    column[np.isinf(column)] = np.nan  # too large for a record: missing (docs/design.md, ruling 31)
    return column, _quality(column, live_seconds, rejected, records, before_start)


def _quality(
    column: NDArray[np.float32],
    live_seconds: dict[str, int],
    rejected: dict[str, Rejected],
    records: dict[str, int],
    before_start: int,
) -> FeatureQuality:
    observed = column[~np.isnan(column)].astype(np.float64)
    edges = np.flatnonzero(np.concatenate(([True], ~np.isnan(column), [True])))
    return FeatureQuality(
        live_seconds=live_seconds,
        implausible=sum(counts.records for counts in rejected.values()),
        rejected={track: counts for track, counts in rejected.items() if counts.any},
        records=records,
        before_start=before_start,
        longest_gap=int(np.diff(edges).max()) - 1,
        minimum=float(observed.min()) if len(observed) else None,
        mean=float(observed.mean()) if len(observed) else None,
        maximum=float(observed.max()) if len(observed) else None,
    )
