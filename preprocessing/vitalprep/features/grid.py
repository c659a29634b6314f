"""Resampling of a recording to a 1 Hz table in clinical units, NaN where no source is live (docs/design.md, 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Config, Input, Source
from vitalprep.contract.receipt import FeatureQuality
from vitalprep.features.conversion import Body, multiplier, offset
from vitalprep.runtime.errors import CaseRefused
from vitalprep.vital.headers import shown
from vitalprep.vital.recording import Numeric, VitalFile

__all__ = ["Series", "harmonize", "seconds_of"]

CLOCK_TOLERANCE = 0.001  # s; a time stamp that rounding put just before a second still belongs to that second
BLOCK = 1 << 18  # records resampled at a time; bounds the memory of temporary arrays


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
    """

    values: NDArray[np.float32]
    quality: dict[str, FeatureQuality]
    unit_conflicts: tuple[tuple[str, str], ...]


def harmonize(recording: VitalFile, config: Config, body: Body) -> Series:
    """Resample a recording's numeric tracks to the registry's inputs at 1 Hz.

    At each second, an input takes the value of the first live source in order, or the sum of all live sources
    (`combine`). A source is live while its latest plausible record is at most `stale_after` seconds old.

    Parameters
    ----------
    body : Body
        The patient's sex, height and weight, for doses and tidal volumes.

    Raises
    ------
    CaseRefused
        ``no_signal`` if no input has any value; ``unit_mismatch`` if all recorded sources of an input have a unit that
        the registry does not accept.
    """
    start, length = _clock(recording)
    columns, quality, conflicts = [], {}, []
    for item in config.inputs:
        tracks, refused = _usable_tracks(recording, config, item)
        conflicts += refused
        column, quality[item.name] = _input_series(item, tracks, config, body, start, length)
        columns.append(column)
    values = np.stack(columns, axis=1)
    if np.isnan(values).all():
        raise CaseRefused("no_signal", "no input has a single plausible value")
    return Series(values, quality, tuple(conflicts))


def seconds_of(times: NDArray[np.float64], start: float) -> NDArray[np.int64]:
    """Return each time stamp's second of the recording, ``floor(time - start + 0.001)``; -1 if before the start.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        Unix time in s.
    start : float
        Start of the recording, Unix time in s.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    with np.errstate(over="ignore"):
        since = times - start + CLOCK_TOLERANCE
    return np.maximum(np.floor(since), -1).astype(np.int64)


def _clock(recording: VitalFile) -> tuple[float, int]:
    """Return the start (Unix time, s) and the number of seconds of a recording."""
    if recording.first_time is None or recording.last_time is None:
        raise CaseRefused("no_signal", "the file holds no wave or numeric record")
    start = recording.start_time if recording.start_time is not None else recording.first_time
    duration = recording.last_time - start + CLOCK_TOLERANCE
    if duration < 0:
        raise CaseRefused("no_signal", "every record is earlier than the header's start time")
    return start, math.floor(duration) + 1


def _usable_tracks(
    recording: VitalFile, config: Config, item: Input
) -> tuple[dict[str, Numeric], list[tuple[str, str]]]:
    """Return an input's recorded tracks with an accepted unit, and (track, unit) of the others."""
    usable, refused = {}, []
    for source in item.sources:
        track = recording.numerics.get(source.track)
        if track is None:
            continue
        unknown = [unit for unit in track.units if not _accepted(unit, config.accepted_units(source))]
        if unknown:
            refused.append((source.track, shown(unknown[0])))
        else:
            usable[source.track] = track
    if refused and not usable:
        track_name, unit = refused[0]
        raise CaseRefused(
            "unit_mismatch", f"{item.name}: {track_name} is in '{unit}', which the registry does not accept"
        )
    return usable, refused


def _accepted(unit: str, spellings: tuple[str, ...]) -> bool:
    written = unit.strip().casefold()
    return not written or written in {spelling.strip().casefold() for spelling in spellings}


def _input_series(
    item: Input, tracks: dict[str, Numeric], config: Config, body: Body, start: float, length: int
) -> tuple[NDArray[np.float32], FeatureQuality]:
    result = np.full(length, np.nan)
    live_seconds: dict[str, int] = {}
    implausible = before_start = 0
    for source in item.sources:
        track = tracks.get(source.track)
        if track is None:
            continue
        placed = _placed(track, source, start, length)
        implausible += placed.implausible
        before_start += placed.before_start
        live = _live(placed.values, source.stale_after)
        with np.errstate(over="ignore"):
            live *= multiplier(source, body, config.ideal_body_weight)
            live += offset(source)
        free = np.isnan(result)
        taken = ~np.isnan(live) & (free if item.combine == "first" else True)
        result[taken] = np.where(free, 0.0, result)[taken] + live[taken]
        live_seconds[source.track] = int(np.count_nonzero(taken))
    with np.errstate(over="ignore"):
        column = result.astype(np.float32)
    column[np.isinf(column)] = np.nan  # too large for a record: missing (docs/design.md, ruling 31)
    return column, _quality(column, live_seconds, implausible, before_start)


@dataclass(frozen=True)
class _Placed:
    """A source's plausible values by second, NaN in seconds without one, and the numbers of dropped records."""

    values: NDArray[np.float64]
    implausible: int
    before_start: int


def _placed(track: Numeric, source: Source, start: float, length: int) -> _Placed:
    """Assign a track's records, sorted by (time, file order), to seconds. The last record of a second wins."""
    low, high = source.limits
    result = np.full(length, np.nan)
    implausible = before_start = 0
    for begin in range(0, len(track.times), BLOCK):
        seconds = seconds_of(track.times[begin : begin + BLOCK], start)
        values = track.values[begin : begin + BLOCK]
        plausible = np.isfinite(values) & (values >= low) & (values <= high)
        in_time = seconds >= 0
        implausible += int(np.count_nonzero(~plausible & in_time))
        before_start += int(np.count_nonzero(~in_time))
        used = plausible & in_time
        result[seconds[used]] = values[used]
    return _Placed(result, implausible, before_start)


def _live(values: NDArray[np.float64], stale_after: int) -> NDArray[np.float64]:
    """Return the latest value at each second if it is at most `stale_after` seconds old, otherwise NaN."""
    second = np.arange(len(values))
    latest = np.maximum.accumulate(np.where(np.isnan(values), -1, second))
    live = (latest >= 0) & (second - latest <= stale_after)
    result = np.full(len(values), np.nan)
    result[live] = values[latest[live]]
    return result


def _quality(
    column: NDArray[np.float32], live_seconds: dict[str, int], implausible: int, before_start: int
) -> FeatureQuality:
    observed = column[~np.isnan(column)].astype(np.float64)
    edges = np.flatnonzero(np.concatenate(([True], ~np.isnan(column), [True])))
    return FeatureQuality(
        live_seconds=live_seconds,
        implausible=implausible,
        before_start=before_start,
        longest_gap=int(np.diff(edges).max()) - 1,
        minimum=float(observed.min()) if len(observed) else None,
        mean=float(observed.mean()) if len(observed) else None,
        maximum=float(observed.max()) if len(observed) else None,
    )
