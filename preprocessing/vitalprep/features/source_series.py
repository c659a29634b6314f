"""One source at 1 Hz: its plausible records by second, held while they are fresh (docs/design.md, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Pulse, Source
from vitalprep.contract.receipt import Rejected
from vitalprep.vital.clock import seconds_of
from vitalprep.vital.recording import Numeric

__all__ = ["SourceSeries", "series_of"]

BLOCK = 1 << 18  # records resampled at a time; bounds the memory of temporary arrays
ANY = (-np.inf, np.inf)


@dataclass(frozen=True)
class SourceSeries:
    """A source's value at each second in its own unit, NaN where it is not live, and what was dropped."""

    values: NDArray[np.float64]
    rejected: Rejected
    before_start: int


def series_of(source: Source, tracks: Mapping[str, Numeric], start: float, length: int) -> SourceSeries:
    """Put a source's track on the grid of `length` seconds from `start` (Unix, s). `tracks` has it, by name."""
    placed = _placed(tracks[source.track], source.limits, start, length)
    values = _live(placed.values, source.stale_after)
    no_pulse = 0
    if source.pulse:
        lost = ~np.isnan(values) & ~_has_pulse(source.pulse, source.stale_after, tracks, start, length)
        values[lost] = np.nan
        no_pulse = int(np.count_nonzero(lost))
    rejected = Rejected(below=placed.below, above=placed.above, not_finite=placed.not_finite, no_pulse=no_pulse)
    return SourceSeries(values, rejected, placed.before_start)


@dataclass(frozen=True)
class _Placed:
    """A track's plausible values by second, NaN in seconds without one, and the numbers of dropped records."""

    values: NDArray[np.float64]
    below: int
    above: int
    not_finite: int
    before_start: int


def _placed(track: Numeric, limits: tuple[float, float], start: float, length: int) -> _Placed:
    """Assign a track's records, sorted by (time, file order), to seconds. The last record of a second wins."""
    low, high = limits
    result = np.full(length, np.nan)
    below = above = not_finite = before_start = 0
    for begin in range(0, len(track.times), BLOCK):
        seconds = seconds_of(track.times[begin : begin + BLOCK], start)
        values = track.values[begin : begin + BLOCK]
        in_time = seconds >= 0
        finite = np.isfinite(values)
        too_low, too_high = in_time & finite & (values < low), in_time & finite & (values > high)
        used = in_time & finite & ~too_low & ~too_high
        below += int(np.count_nonzero(too_low))
        above += int(np.count_nonzero(too_high))
        not_finite += int(np.count_nonzero(in_time & ~finite))
        before_start += int(np.count_nonzero(~in_time))
        result[seconds[used]] = values[used]
    return _Placed(result, below, above, not_finite, before_start)


def _live(values: NDArray[np.float64], stale_after: int) -> NDArray[np.float64]:
    """Return the latest value at each second if it is at most `stale_after` seconds old, otherwise NaN."""
    second = np.arange(len(values))
    latest = np.maximum.accumulate(np.where(np.isnan(values), -1, second))
    live = (latest >= 0) & (second - latest <= stale_after)
    result = np.full(len(values), np.nan)
    result[live] = values[latest[live]]
    return result


def _has_pulse(
    pulse: Pulse, stale_after: int, tracks: Mapping[str, Numeric], start: float, length: int
) -> NDArray[np.bool_]:
    """Return the seconds in which the pressures of a beat are known and far enough apart."""
    if pulse.high not in tracks or pulse.low not in tracks:
        return np.zeros(length, dtype=np.bool_)
    high, low = (
        _live(_placed(tracks[name], ANY, start, length).values, stale_after) for name in (pulse.high, pulse.low)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(high - low >= pulse.at_least)
