"""The two waves that the first simulator makes: capnogram and plethysmogram.

Shapes of the size and timing of real ones, drawn from the course's breathing and heart rates; enough to have a reader
step over megabytes of waves. True rates and the other leads come with the full simulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from preprocessing.simulate.course import Course, Floats
from preprocessing.simulate.signals import dropped_out
from preprocessing.simulate.streams import Purpose, case_rng

__all__ = ["WaveForm", "WaveTrack", "wave_tracks"]

_DROPOUTS_PER_HOUR: Final = 0.4


@dataclass(frozen=True, kw_only=True)
class WaveForm:
    """A kind of wave: its track, its rate in Hz, samples per record, and how 16 unsigned bits mean its unit."""

    device: str
    name: str
    unit: str
    sample_rate: float
    record_samples: int
    gain: float
    offset: float


@dataclass(frozen=True, kw_only=True)
class WaveTrack:
    """A recorded wave: `starts` (records,) in seconds after the recording's start, `values` (records, samples)."""

    form: WaveForm
    starts: Floats
    values: Floats


_CO2: Final = WaveForm(
    device="Primus", name="CO2", unit="mmHg", sample_rate=62.5, record_samples=64, gain=0.02, offset=-10.0
)
_PLETH: Final = WaveForm(  # 500 Hz in VitalDB
    device="SNUADC", name="PLETH", unit="unitless", sample_rate=100.0, record_samples=100, gain=0.01, offset=0.0
)


def wave_tracks(seed: int, case_id: int, course: Course) -> tuple[WaveTrack, ...]:
    """Capnogram at 62.5 Hz and plethysmogram at 100 Hz, in records of about a second, some minutes missing."""
    tracks = []
    for form, draw in ((_CO2, _capnogram), (_PLETH, _plethysmogram)):
        rng = case_rng(seed, case_id, Purpose.WAVE, form.name)
        count = int(course.phases.end * form.sample_rate) // form.record_samples
        seconds = np.arange(count * form.record_samples, dtype=np.float64) / form.sample_rate
        values = draw(rng, course, seconds).reshape(count, form.record_samples)
        starts = seconds[:: form.record_samples]
        kept = ~dropped_out(rng, starts, _DROPOUTS_PER_HOUR, course.phases.end)
        if kept.any():
            tracks.append(WaveTrack(form=form, starts=starts[kept], values=values[kept]))
    return tuple(tracks)


def _capnogram(rng: np.random.Generator, course: Course, seconds: Floats) -> Floats:
    """CO2 in mmHg at each of the seconds (n,): nothing while breathing in, a slowly rising plateau breathing out."""
    breath = _cycle(course.values["rr"], seconds)
    plateau = np.clip((breath - 0.4) / 0.08, 0, 1) * (1 - np.clip((breath - 0.95) / 0.05, 0, 1))
    end_tidal = course.values["etco2"][seconds.astype(np.intp)]
    wave: Floats = end_tidal * plateau * (0.92 + 0.08 * breath) + rng.normal(0, 0.15, len(seconds))
    return wave


def _plethysmogram(rng: np.random.Generator, course: Course, seconds: Floats) -> Floats:
    """Light absorbed at each of the seconds (n,), in no unit: a beat and, half a beat later, its reflection."""
    beat = _cycle(course.values["hr"], seconds)
    pulse = np.exp(-(((beat - 0.2) / 0.1) ** 2)) + 0.35 * np.exp(-(((beat - 0.55) / 0.12) ** 2))
    wave: Floats = 20 + 50 * pulse + rng.normal(0, 0.5, len(seconds))
    return wave


def _cycle(per_minute: Floats, seconds: Floats) -> Floats:
    """How far into the present breath or beat each of the seconds (n,) is, 0 to 1; the rate (m,) is given at 1 Hz."""
    begun = np.concatenate([[0.0], np.cumsum(np.nan_to_num(per_minute) / 60)])
    cycles: Floats = np.interp(seconds, np.arange(len(begun)), begun) % 1
    return cycles
