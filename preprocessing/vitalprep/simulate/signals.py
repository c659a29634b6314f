"""The numeric tracks that devices record, with VitalDB's names, units, intervals and faults.

`monitors.yaml` lists the tracks; `readings` gives the measured quantities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitalprep.simulate.attached import BAG_PRESSURE, Attached, shut_in_pressure
from vitalprep.simulate.course import Course
from vitalprep.simulate.monitors import Faults, Feed, Pump, monitors
from vitalprep.simulate.noise import Floats
from vitalprep.simulate.patients import Patient
from vitalprep.simulate.readings import readings
from vitalprep.simulate.streams import Purpose, case_rng

__all__ = ["NumericTrack", "dropped_out", "numeric_tracks"]


@dataclass(frozen=True, kw_only=True)
class NumericTrack:
    """A recorded numeric track, in file order.

    `times`: float64 of shape (n,), seconds after the recording's start, non-decreasing. `values`: float64 of shape
    (n,), in `unit`; the file stores them as float32. `device_number` tells several devices of one name apart.
    """

    device: str
    name: str
    unit: str
    times: Floats
    values: Floats
    device_number: int = 1


def numeric_tracks(seed: int, patient: Patient, course: Course, attached: Attached) -> tuple[NumericTrack, ...]:
    """Return all numeric tracks of a case. As in real files, tracks without any value are omitted."""
    shown = readings(seed, patient, course)
    tracks: list[NumericTrack] = []
    for feed in monitors().feeds:
        if feed.name in attached.feeds:
            rng = case_rng(seed, patient.case_id, Purpose.MONITOR, feed.name)
            tracks += _feed_tracks(rng, feed, course, attached, shown)
    for pump in monitors().pumps:
        if np.isfinite(shown[pump.drug]).any():
            rng = case_rng(seed, patient.case_id, Purpose.MONITOR, pump.prefix)
            tracks += _pump_tracks(rng, pump, course, shown)
    return tuple(track for track in tracks if len(track.times))


def dropped_out(rng: np.random.Generator, times: Floats, per_hour: float, end: float) -> npt.NDArray[np.bool_]:
    """Return which of the times (n,) fall into a drop-out of one to five minutes; `end` is the case's end in s."""
    starts = rng.uniform(0, end, rng.poisson(per_hour * end / 3600))
    lost = np.zeros(len(times), dtype=np.bool_)
    for start, length in zip(starts, rng.uniform(60, 300, len(starts)), strict=True):
        lost |= (times >= start) & (times < start + length)
    return lost


def _feed_tracks(
    rng: np.random.Generator, feed: Feed, course: Course, attached: Attached, shown: Mapping[str, Floats]
) -> list[NumericTrack]:
    end, faults = course.phases.end, monitors().faults
    times = _sending_times(rng, feed, end, faults)
    times = times[~dropped_out(rng, times, faults.dropouts_per_hour, end)]
    if feed.needs == "art":
        times = times[times >= attached.cannula]
    times = np.sort(np.concatenate([times, times[rng.random(len(times)) < faults.repeated_share]]))
    line = _arterial_states(rng, times, attached) if feed.name == "art" else None
    unread = _without_reading(rng, times, attached, course) if feed.name == "bis" else None
    tracks = []
    for name, unit, quantity, step, error in feed.tracks:
        values = shown[quantity][times.astype(np.intp)] + rng.normal(0, error, len(times))
        values = np.round(values / step) * step
        if not name.startswith(("ST_", "CVP")):
            values = np.maximum(values, 0)
        if unit == "%":
            values = np.minimum(values, 100)
        if line is not None:
            values = np.where(np.isfinite(line), line, values)
        if unread is not None:
            values = np.where(unread, 0.0, values)
        kept = np.isfinite(values) & ~dropped_out(rng, times, faults.track_dropouts_per_hour, end)
        tracks.append(NumericTrack(device=feed.device, name=name, unit=unit, times=times[kept], values=values[kept]))
    return tracks


def _sending_times(rng: np.random.Generator, feed: Feed, end: float, faults: Faults) -> Floats:
    """Return the times at which a feed sends, in s, rounded to ms, ascending."""
    start = rng.uniform(0, feed.interval)
    if rng.random() < faults.late_share and feed.name != "monitor":
        start += rng.uniform(0, 0.25) * end
    if feed.name == "cuff":
        gaps = rng.uniform(180, 300, int(end / 180) + 2)  # cuffs are set to 3 or 5 minutes
        times = start + np.cumsum(gaps) - gaps[0]
    else:
        times = start + feed.interval * np.arange(int(end / feed.interval) + 1)
        times = times + feed.interval * rng.uniform(-faults.jitter, faults.jitter, len(times))
    return _within(times, end)


def _within(times: Floats, end: float) -> Floats:
    milliseconds = np.round(times, 3)
    kept: Floats = milliseconds[(milliseconds >= 0) & (milliseconds <= end)]
    return kept


def _arterial_states(rng: np.random.Generator, times: Floats, attached: Attached) -> Floats:
    """Return what the transducer shows instead of the patient, shape (n,); NaN while it shows the patient.

    Before cannulation it is open to air and shows about zero, then the pressure bag; the bag again after each blood
    sample.
    """
    open_to_air = np.round(rng.normal(0, 1, len(times)))
    states: Floats = np.where(times < attached.flush, open_to_air, np.nan)
    states[(times >= attached.flush) & (times < attached.cannula)] = BAG_PRESSURE
    for sample in attached.blood_samples:
        closed = (times >= sample.start) & (times < sample.flush)
        states[closed] = np.round(shut_in_pressure(times[closed] - sample.start))
        states[(times >= sample.flush) & (times < sample.end)] = BAG_PRESSURE
    return states


def _without_reading(
    rng: np.random.Generator, times: Floats, attached: Attached, course: Course
) -> npt.NDArray[np.bool_]:
    """Return where BIS shows 0: before the sensor is attached, after its removal, and during poor signal quality."""
    unread = (times < attached.sensor_on) | (times > attached.sensor_off)
    for start in rng.uniform(attached.sensor_on, attached.sensor_off, rng.poisson(0.8 * course.phases.end / 3600)):
        unread |= (times >= start) & (times < start + rng.uniform(10, 90))
    return np.asarray(unread)


def _pump_tracks(
    rng: np.random.Generator, pump: Pump, course: Course, shown: Mapping[str, Floats]
) -> list[NumericTrack]:
    """Return a pump's tracks, from shortly before to shortly after the infusion. Values are recorded on change."""
    strength = course.remifentanil_ug_per_ml if pump.drug == "remifentanil" else ""
    running = np.flatnonzero(shown[pump.drug] > 0)
    if not len(running):
        return []
    end, faults = course.phases.end, monitors().faults
    first = max(running[0] - rng.uniform(10, 300), 0.0)
    last = min(running[-1] + rng.uniform(60, 400), end)
    seconds = np.arange(first, last)
    times = _within(seconds + rng.uniform(-0.05, 0.05, len(seconds)), last)
    times = times[~dropped_out(rng, times, faults.track_dropouts_per_hour, end)]
    out_of_holder = rng.random() < faults.pump_minus_one_share
    tracks = []
    for name, unit, quantity, step in pump.tracks:
        values = np.round(np.round(shown[quantity][times.astype(np.intp)] / step) * step, 4)
        if out_of_holder and name == "RATE":
            values[-1:] = -1.0
        kept = _changes(times, values)
        track = f"{pump.prefix}{strength}_{name}"
        tracks.append(NumericTrack(device="Orchestra", name=track, unit=unit, times=times[kept], values=values[kept]))
    return tracks


def _changes(times: Floats, values: Floats) -> npt.NDArray[np.bool_]:
    """Return where a value differs from its predecessor or the last record is ten seconds old; shape (n,)."""
    kept = np.ones(len(times), dtype=np.bool_)
    if len(times):
        kept[1:] = (values[1:] != values[:-1]) | (np.floor(times[1:] / 10) != np.floor(times[:-1] / 10))
    return kept
