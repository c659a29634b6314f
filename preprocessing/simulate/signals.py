"""What the devices record of a case: VitalDB's numeric tracks, with their names, units, intervals and faults.

A `Feed` is what one device sends together, at one interval and with the same drop-outs; its tracks are data. Names and
units are those of VitalDB's track list (https://vitaldb.net/dataset, "track names"), intervals those of its recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from preprocessing.simulate.course import Course, Floats, Phases, Quantity
from preprocessing.simulate.streams import Purpose, case_rng

__all__ = ["NumericTrack", "dropped_out", "numeric_tracks"]


@dataclass(frozen=True, kw_only=True)
class NumericTrack:
    """A recorded numeric: `times` (n,) in seconds after the recording's start, rising; `values` (n,) in `unit`."""

    device: str
    name: str
    unit: str
    times: Floats
    values: Floats


@dataclass(frozen=True)
class _Source:
    """One track of a feed: what it measures, how finely it shows it, and its own error (standard deviation)."""

    name: str
    unit: str
    quantity: Quantity
    resolution: float
    error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Feed:
    """What one device sends together. `coverage` is the share of cases that have it, `interval` in seconds."""

    name: str
    device: str
    interval: float
    coverage: float
    tracks: tuple[_Source, ...]


# Coverage: monitors and the anaesthesia machine are in nearly every case, arterial lines in somewhat over half, EV1000
# and the monitor's measured PEEP in few. Rough: the table of VitalDB's coverage comes with the full simulator.
_FEEDS: Final = (
    _Feed(name="monitor", device="Solar8000", interval=2, coverage=1.0, tracks=(
        _Source("HR", "/min", "hr", 1, 0.3),
        _Source("PLETH_HR", "/min", "hr", 1, 0.8),
        _Source("PLETH_SPO2", "%", "spo2", 1, 0.2),
        _Source("BT", "℃", "bt", 0.1),
    )),
    _Feed(name="airway", device="Solar8000", interval=2, coverage=0.92, tracks=(
        _Source("ETCO2", "mmHg", "etco2", 1, 0.3),
        _Source("FIO2", "%", "fio2", 1, 0.3),
        _Source("RR_CO2", "/min", "rr", 1, 0.2),
    )),
    _Feed(name="impedance", device="Solar8000", interval=2, coverage=0.5, tracks=(
        _Source("RR", "/min", "rr", 1, 1.5),
    )),
    _Feed(name="ventilator", device="Solar8000", interval=2, coverage=0.6, tracks=(
        _Source("VENT_TV", "mL", "tv", 1, 6),
        _Source("VENT_RR", "/min", "rr", 1, 0.2),
    )),
    _Feed(name="measured peep", device="Solar8000", interval=2, coverage=0.05, tracks=(
        _Source("VENT_MEAS_PEEP", "mbar", "peep", 1, 0.2),
    )),
    _Feed(name="machine", device="Primus", interval=7, coverage=0.95, tracks=(
        _Source("ETCO2", "mmHg", "etco2", 1, 0.3),
        _Source("FIO2", "%", "fio2", 1, 0.3),
        _Source("RR_CO2", "/min", "rr", 1, 0.2),
        _Source("TV", "mL", "tv", 1, 6),
        _Source("PEEP_MBAR", "mbar", "peep", 1, 0.2),
    )),
    _Feed(name="vapour", device="Primus", interval=7, coverage=0.95, tracks=(
        _Source("INSP_SEVO", "kPa", "insp_sevo", 0.1, 0.02),
        _Source("EXP_SEVO", "kPa", "exp_sevo", 0.1, 0.02),
    )),
    _Feed(name="bis", device="BIS", interval=1, coverage=0.88, tracks=(_Source("BIS", "unitless", "bis", 0.1),)),
    _Feed(name="art", device="Solar8000", interval=2, coverage=0.6, tracks=(
        _Source("ART_SBP", "mmHg", "sbp", 1, 0.7),
        _Source("ART_DBP", "mmHg", "dbp", 1, 0.5),
        _Source("ART_MBP", "mmHg", "mbp", 1, 0.5),
    )),
    _Feed(name="ev1000", device="EV1000", interval=2, coverage=0.1, tracks=(_Source("ART_MBP", "mmHg", "mbp", 1, 1),)),
    _Feed(name="cuff", device="Solar8000", interval=240, coverage=0.95, tracks=(
        _Source("NIBP_SBP", "mmHg", "sbp", 1, 4),
        _Source("NIBP_DBP", "mmHg", "dbp", 1, 3),
        _Source("NIBP_MBP", "mmHg", "mbp", 1, 3),
    )),
)  # fmt: skip

_JITTER: Final = 0.12  # share of the interval; VitalDB's 2 s tracks come after 1 to 3 s, rarely otherwise
_DROPOUTS_PER_HOUR, _TRACK_DROPOUTS_PER_HOUR = 0.4, 0.1  # a cable off; a single value blank
_LATE_SHARE: Final = 0.15  # of the feeds: switched on or plugged in during the case
_SEVO_ZERO_SHARE: Final = 0.2  # of cases without sevoflurane have its tracks all the same, all zero
_PUMP_INTERVAL: Final = 10.0


def numeric_tracks(seed: int, case_id: int, course: Course) -> tuple[NumericTrack, ...]:
    """All numeric tracks that a case has. A track without any value is left out, as it is in real files."""
    tracks: list[NumericTrack] = []
    for feed in _FEEDS:
        rng = case_rng(seed, case_id, Purpose.MONITOR, feed.name)
        if _has_feed(rng, feed, course):
            tracks += _feed_tracks(rng, feed, course)
    tracks += _pump_tracks(seed, case_id, course)
    return tuple(track for track in tracks if len(track.times))


def dropped_out(rng: np.random.Generator, times: Floats, per_hour: float, end: float) -> npt.NDArray[np.bool_]:
    """Which of the times (n,) fall into a drop-out of one to five minutes; `end` of the case in seconds."""
    starts = rng.uniform(0, end, rng.poisson(per_hour * end / 3600))
    lost = np.zeros(len(times), dtype=np.bool_)
    for start, length in zip(starts, rng.uniform(60, 300, len(starts)), strict=True):
        lost |= (times >= start) & (times < start + length)
    return lost


def _has_feed(rng: np.random.Generator, feed: _Feed, course: Course) -> bool:
    present = bool(rng.random() < feed.coverage)
    if feed.name == "vapour" and course.technique == "tiva":
        return present and bool(rng.random() < _SEVO_ZERO_SHARE)
    return present


def _feed_tracks(rng: np.random.Generator, feed: _Feed, course: Course) -> list[NumericTrack]:
    end = course.phases.end
    times = _sending_times(rng, feed, end)
    times = times[~dropped_out(rng, times, _DROPOUTS_PER_HOUR, end)]
    line = _ArterialLine.draw(rng, course.phases)
    unread = _without_reading(rng, times, course.phases)
    tracks = []
    for source in feed.tracks:
        seconds = times[~dropped_out(rng, times, _TRACK_DROPOUTS_PER_HOUR, end)]
        values = course.values[source.quantity][seconds.astype(np.intp)] + rng.normal(0, source.error, len(seconds))
        values = np.maximum(np.round(values / source.resolution) * source.resolution, 0)
        if source.name == "PLETH_SPO2":
            values = np.minimum(values, 100)
        if feed.name == "art":
            values = line.before_cannula(rng, seconds, values)
        if feed.name == "bis":
            values = np.where(np.isin(seconds, unread), 0.0, values)
        measured = np.isfinite(values)
        tracks.append(_track(feed.device, source.name, source.unit, seconds[measured], values[measured]))
    return tracks


def _sending_times(rng: np.random.Generator, feed: _Feed, end: float) -> Floats:
    """When a feed sends, in seconds, to the millisecond, rising."""
    start = rng.uniform(0, feed.interval)
    if rng.random() < _LATE_SHARE and feed.name != "monitor":
        start += rng.uniform(0, 0.25) * end
    if feed.name == "cuff":
        gaps = rng.uniform(180, 300, int(end / 180) + 2)  # cuffs are set to 3 or 5 minutes
        times = start + np.cumsum(gaps) - gaps[0]
    else:
        times = start + feed.interval * np.arange(int(end / feed.interval) + 1)
        times = times + feed.interval * rng.uniform(-_JITTER, _JITTER, len(times))
    return _within(times, end)


def _within(times: Floats, end: float) -> Floats:
    milliseconds = np.round(times, 3)
    kept: Floats = milliseconds[(milliseconds >= 0) & (milliseconds <= end)]
    return kept


@dataclass(frozen=True)
class _ArterialLine:
    """The transducer is on before the cannula is in: it shows about zero, then a flush, then the patient."""

    cannula: float
    flush_start: float

    @classmethod
    def draw(cls, rng: np.random.Generator, phases: Phases) -> _ArterialLine:
        cannula = rng.uniform(phases.induction, phases.incision)
        return cls(cannula, cannula - rng.uniform(6, 15))

    def before_cannula(self, rng: np.random.Generator, times: Floats, values: Floats) -> Floats:
        open_to_air = np.round(rng.normal(0, 1, len(times)))  # zero, or a little below it
        flushed = np.where(times >= self.flush_start, 300.0, open_to_air)  # the pressure bag
        return np.where(times < self.cannula, flushed, values)


def _without_reading(rng: np.random.Generator, times: Floats, phases: Phases) -> Floats:
    """The times at which BIS shows 0: before the sensor sticks, after it is gone, and now and then while it is poor."""
    on = max(phases.induction - rng.uniform(20, 150), 0)
    off = rng.uniform(phases.extubation, phases.end)
    poor = np.zeros(len(times), dtype=np.bool_)
    for start in rng.uniform(on, off, rng.poisson(0.8 * phases.end / 3600)):
        poor |= (times >= start) & (times < start + rng.uniform(10, 90))
    unread: Floats = times[(times < on) | (times > off) | poor]
    return unread


def _pump_tracks(seed: int, case_id: int, course: Course) -> list[NumericTrack]:
    pumps: list[tuple[str, Quantity]] = [("PPF20_RATE", "propofol")]
    if course.remifentanil_ug_per_ml is not None:
        pumps.append((f"RFTN{course.remifentanil_ug_per_ml}_RATE", "remifentanil"))
    pumps.append(("NEPI_RATE", "noradrenaline"))
    tracks = []
    for name, quantity in pumps:
        rate = course.values[quantity]
        if np.isfinite(rate).all():
            times, values = _pump_records(case_rng(seed, case_id, Purpose.MONITOR, name), rate, course.phases.end)
            tracks.append(_track("Orchestra", name, "mL/hr", times, values))
    return tracks


def _pump_records(rng: np.random.Generator, rate: Floats, end: float) -> tuple[Floats, Floats]:
    """A pump speaks every ten seconds and when its rate jumps, from shortly before its drug runs to shortly after."""
    running = np.flatnonzero(rate > 0)
    if not len(running):
        return np.empty(0), np.empty(0)
    first = max(running[0] - rng.uniform(10, 300), 0.0)
    last = min(running[-1] + rng.uniform(20, 200), end)
    regular = np.arange(first, last, _PUMP_INTERVAL)
    regular = regular + rng.uniform(-0.3, 0.3, len(regular))
    jumps = np.flatnonzero(np.abs(np.diff(rate)) > 0.25 * np.maximum(rate[:-1], 0.1)) + 1
    times = _within(np.unique(np.concatenate([regular, jumps + 0.2])), min(last, len(rate) - 1))
    times = times[~dropped_out(rng, times, _TRACK_DROPOUTS_PER_HOUR, end)]
    return times, np.round(rate[times.astype(np.intp)], 2)


def _track(device: str, name: str, unit: str, times: Floats, values: Floats) -> NumericTrack:
    return NumericTrack(device=device, name=name, unit=unit, times=times, values=values)
