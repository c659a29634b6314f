"""The heart beats and breaths of a case, which all its waves follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vitalprep.simulate.attached import Attached
from vitalprep.simulate.course import Course, Quantity
from vitalprep.simulate.noise import Floats, autocorrelated
from vitalprep.simulate.streams import Purpose, case_rng

__all__ = ["Beats", "Breaths", "Interval", "WaveSetting", "sampled", "wave_setting"]

_MARGIN: Final = 20  # s of beats and breaths before and after the recording, so that waves cover all of it
_OWN_BREATHS: Final = 14.0  # /min while breathing is not measured (textbook: 12 to 18)
_OWN_PRESSURE: Final = 3.5  # mbar above PEEP; only a ventilator exceeds it
_GRID: Final = 4  # steps per second for integrating the heart rate

# Respiratory sinus arrhythmia as a share of the heart rate: a few percent awake, little under anaesthesia
# (Donchin et al., Anesthesiology 1985; 62: 138-144).
_ARRHYTHMIA_AWAKE, _ARRHYTHMIA_ASLEEP = 0.035, 0.008
_SLOW_VARIABILITY: Final = 0.012  # Mayer waves and the rest, a share of the heart rate
_PREMATURE_SHARE: Final = 0.001  # median over patients; a few per thousand beats are common in adults
_PREMATURITY: Final = 0.36  # how early a premature beat is, as a share of the beat interval

Interval = tuple[float, float]
"""Start and end in seconds after the recording's start."""


@dataclass(frozen=True, kw_only=True)
class Breaths:
    """Breaths in time order, all arrays of shape (breaths,).

    Attributes
    ----------
    starts, inspired, ends : ndarray of float64
        Start of inspiration, start of expiration, and end of the breath, at or before the next start; in s.
    ventilated, connected : ndarray of bool
        Whether a ventilator delivers the breath, and whether the patient is connected to the circuit.
    """

    starts: Floats
    inspired: Floats
    ends: Floats
    ventilated: npt.NDArray[np.bool_]
    connected: npt.NDArray[np.bool_]

    def swing(self, seconds: Floats) -> Floats:
        """Return the chest movement at ascending seconds (n,): 1 at full inspiration, -1 at full expiration."""
        knots = np.stack([self.starts, self.inspired, self.ends], axis=1).ravel()
        phases = np.arange(len(self.starts))[:, np.newaxis] + np.array([0.0, 0.4, 1.0])
        moved: Floats = -np.cos(2 * np.pi * np.interp(seconds, knots, phases.ravel()))
        return moved


@dataclass(frozen=True, kw_only=True)
class Beats:
    """Heart beats in time order: `times` of the R waves in seconds, `rates` in /min, `premature`, all (beats,)."""

    times: Floats
    rates: Floats
    premature: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class WaveSetting:
    """What all waves of a case share. `cautery` are the intervals in which electrocautery disturbs all electrodes."""

    seed: int
    case_id: int
    course: Course
    attached: Attached
    beats: Beats
    breaths: Breaths
    cautery: tuple[Interval, ...]


def wave_setting(seed: int, case_id: int, course: Course, attached: Attached) -> WaveSetting:
    """Return the beats and breaths of a case, from the rates of its course, and everything else its waves share."""
    breaths = _breaths(case_rng(seed, case_id, Purpose.WAVE, "breaths"), course)
    beats = _beats(case_rng(seed, case_id, Purpose.WAVE, "beats"), course, breaths)
    cautery = _cautery(case_rng(seed, case_id, Purpose.WAVE, "cautery"), course)
    return WaveSetting(
        seed=seed, case_id=case_id, course=course, attached=attached, beats=beats, breaths=breaths, cautery=cautery
    )


def sampled(course: Course, quantity: Quantity, seconds: Floats) -> Floats:
    """Return a quantity of the course at the given seconds, held constant outside the recording, in the same shape."""
    values = course.values[quantity]
    found: Floats = values[np.clip(seconds, 0, len(values) - 1).astype(np.intp)]
    return found


def _breaths(rng: np.random.Generator, course: Course) -> Breaths:
    measured = course.values["rr"]
    rate = np.pad(np.where(np.isfinite(measured), measured, _OWN_BREATHS), _MARGIN, constant_values=_OWN_BREATHS)
    rate = np.maximum(rate, 1e-3)  # avoids division by zero during apnoea
    begun = np.concatenate([[0.0], np.cumsum(rate / 60)])
    starts = np.interp(np.arange(int(begun[-1]) + 1), begun, np.arange(len(begun)) - _MARGIN)
    # NaN without a circuit; the comparison is then False.
    ventilated = sampled(course, "pip", starts) - sampled(course, "peep", starts) > _OWN_PRESSURE
    # A ventilator is regular, a patient is not.
    period = np.diff(starts, append=starts[-1] + 60 / _OWN_BREATHS)
    starts = starts + period * ~ventilated * np.clip(rng.normal(0, 0.08, len(starts)), -0.2, 0.2)
    following = np.append(starts[1:], starts[-1] + period[-1])
    nominal = 60 / rate[np.clip(starts + _MARGIN, 0, len(rate) - 1).astype(np.intp)]
    ends = np.minimum(following, starts + 1.6 * nominal)
    inspiration = np.where(ventilated, 1 / 3, rng.uniform(0.36, 0.46, len(starts)))  # textbook: I:E is 1:2
    connected = np.isfinite(sampled(course, "rr", starts)) & np.isfinite(sampled(course, "rr", ends))
    return Breaths(
        starts=starts,
        inspired=starts + inspiration * (ends - starts),
        ends=ends,
        ventilated=ventilated & connected,
        connected=connected & (starts >= 0),
    )


def _beats(rng: np.random.Generator, course: Course, breaths: Breaths) -> Beats:
    clock = np.arange(-_MARGIN * _GRID, (len(course.values["hr"]) + _MARGIN) * _GRID) / _GRID
    asleep = (clock > course.phases.induction + 60) & (clock < course.phases.emergence)
    sinus = np.where(asleep, _ARRHYTHMIA_ASLEEP, _ARRHYTHMIA_AWAKE * rng.lognormal(0, 0.3)) * breaths.swing(clock)
    slow = autocorrelated(rng, len(clock), 5 * _GRID, _SLOW_VARIABILITY)
    rate = np.interp(clock, np.arange(len(course.values["hr"])) + 0.5, course.values["hr"])
    beaten = np.cumsum(rate / 60 * (1 + sinus + slow)) / _GRID
    times = np.interp(np.arange(1, int(beaten[-1])), beaten, clock)
    rates = np.interp(times, clock, rate)
    times = times + rng.normal(0, 0.003, len(times))  # s; beat-to-beat variation of the sinus node at rest
    share = min(_PREMATURE_SHARE * rng.lognormal(0, 1.2), 0.02)
    premature = rng.random(len(times)) < share
    premature[1:] &= ~premature[:-1]
    # A premature beat does not reset the sinus node: the next beat keeps its time, after a compensatory pause.
    return Beats(times=times - premature * _PREMATURITY * 60 / rates, rates=rates, premature=premature)


def _cautery(rng: np.random.Generator, course: Course) -> tuple[Interval, ...]:
    """Draw bursts of a few seconds between incision and closure, more frequent at the beginning."""
    start, length = course.phases.incision, max(course.phases.closure - course.phases.incision, 0.0)
    count = rng.poisson(45 * length / 3600)
    starts = np.sort(start + length * rng.beta(1.0, 1.6, count))
    ends = starts + rng.gamma(1.5, 1.6, count)
    return tuple(zip(starts.tolist(), ends.tolist(), strict=True))
