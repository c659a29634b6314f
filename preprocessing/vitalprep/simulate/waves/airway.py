"""Waves of the anaesthesia machine at 62.5 Hz: capnogram and airway pressure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from vitalprep.simulate.noise import Floats
from vitalprep.simulate.waves.cycles import TABLE_SIZE, Cycles, Singles, shape_table
from vitalprep.simulate.waves.rhythms import Breaths, WaveSetting, sampled

__all__ = ["airway_pressure", "capnogram"]

# A capnogram from expiration to expiration: phase I (dead space), II (upstroke), III (plateau), 0 (inspiration);
# phases and slopes after Bhavani-Shankar et al., Can J Anaesth 1992; 39: 617-632.
_Points = Sequence[tuple[float, float]]
_VENTILATED: Final[_Points] = (
    (0, 0), (0.05, 0), (0.085, 0.35), (0.12, 0.76), (0.15, 0.86), (0.20, 0.905), (0.45, 0.96), (0.74, 1.0),
    (0.76, 0.97), (0.785, 0.4), (0.81, 0.08), (0.84, 0.01), (0.87, 0), (1, 0),
)  # fmt: skip
_SPONTANEOUS: Final[_Points] = (
    (0, 0), (0.04, 0), (0.09, 0.25), (0.15, 0.62), (0.22, 0.80), (0.35, 0.905), (0.55, 0.97), (0.74, 1.0),
    (0.76, 0.95), (0.79, 0.45), (0.83, 0.12), (0.87, 0.02), (0.90, 0), (1, 0),
)  # fmt: skip
_UPSTROKE_PHASE, _PLATEAU_END, _FALLEN_PHASE = 0.20, 0.75, 0.88
_UPSTROKE, _FALL = 0.55, 0.35  # s
_SAMPLING_DELAY: Final = 0.8  # s; transit time of the sampling line

# Airway pressure of volume-controlled ventilation: resistance, then a ramp, a short pause, passive expiration.
_PRESSURE: Final[_Points] = (
    (0, 0), (0.012, 0.16), (0.03, 0.30), (0.10, 0.45), (0.335, 1.0), (0.345, 0.97), (0.355, 0.90), (0.40, 0.875),
    (0.41, 0.80), (0.43, 0.45), (0.45, 0.24), (0.48, 0.11), (0.53, 0.03), (0.60, 0.0), (0.97, 0.0), (1, 0),
)  # fmt: skip
_INSPIRED_PHASE, _EMPTY_PHASE = 0.40, 0.60
_EMPTYING: Final = 1.1  # s
_OWN_SWING: Final = 1.6  # hPa; amplitude of spontaneous breaths


def capnogram(rng: np.random.Generator, setting: WaveSetting, chunks: Iterable[Floats]) -> Iterator[Singles]:
    """Yield CO2 in mmHg, shape (n,), for each chunk of seconds (n,): plateaus end at `etco2`; 0 without a circuit."""
    course, breaths, beats = setting.course, setting.breaths, setting.beats
    cycles = _expirations(breaths)
    table = np.concatenate([shape_table(_SPONTANEOUS, 0.012), shape_table(_VENTILATED, 0.009)])
    row = breaths.ventilated.astype(np.intp) * TABLE_SIZE
    ended = np.nan_to_num(sampled(course, "etco2", breaths.ends - 0.5))
    height = np.where(breaths.connected, ended, 0).astype(np.float32)
    ripple = np.float32(rng.uniform(0.1, 0.8))  # mmHg; cardiogenic oscillations at the end of a breath
    for seconds in chunks:
        breath, place = cycles.locate(seconds)
        shape = table[row[breath] + place]
        late = np.clip((place / TABLE_SIZE - 0.45) / 0.3, 0, 1) * (shape > 0.8) * (height[breath] > 0)
        heart = np.interp(seconds, beats.times, np.arange(len(beats.times)))
        wave = shape * height[breath] - ripple * late * (1 + np.sin(2 * np.pi * heart)) / 2
        noise = np.where((shape > 0.02) & breaths.connected[breath], 0.12, 0.02)
        yield np.asarray(wave + noise * rng.standard_normal(len(seconds), dtype=np.float32), dtype=np.float32)


def airway_pressure(rng: np.random.Generator, setting: WaveSetting, chunks: Iterable[Floats]) -> Iterator[Singles]:
    """Yield airway pressure in hPa, shape (n,), for each chunk of seconds (n,): `peep` to `pip`, or small swings."""
    course, breaths = setting.course, setting.breaths
    cycles = _inspirations(breaths)
    phase = np.arange(TABLE_SIZE) / TABLE_SIZE
    turn = np.interp(phase, (0, _INSPIRED_PHASE, _EMPTY_PHASE + 0.1, 1), (0, 0.5, 1, 1))
    table = np.concatenate([-np.sin(2 * np.pi * turn).astype(np.float32), shape_table(_PRESSURE, 0.004)])
    row = breaths.ventilated.astype(np.intp) * TABLE_SIZE
    low = np.nan_to_num(sampled(course, "peep", breaths.inspired))
    high = np.nan_to_num(sampled(course, "pip", breaths.inspired))
    effort = _OWN_SWING * rng.uniform(0.6, 1.2, len(low))
    height = np.where(breaths.ventilated, np.maximum(high - low, 0), np.where(breaths.connected, effort, 0))
    single, base = height.astype(np.float32), np.where(breaths.connected, low, 0).astype(np.float32)
    for seconds in chunks:
        breath, place = cycles.locate(seconds)
        wave = table[row[breath] + place] * single[breath] + base[breath]
        moving = 0.03 + 0.05 * breaths.connected[breath].astype(np.float32)
        yield np.asarray(wave + moving * rng.standard_normal(len(seconds), dtype=np.float32), dtype=np.float32)


def _expirations(breaths: Breaths) -> Cycles:
    """Return the cycles of the capnogram, which begin with expiration."""
    begins = breaths.inspired + _SAMPLING_DELAY
    plateau = np.minimum(breaths.ends + _SAMPLING_DELAY, np.append(begins[1:], np.inf))
    lasts = plateau - begins
    risen = begins + np.minimum(_UPSTROKE, 0.5 * lasts)
    following = np.append(breaths.inspired[1:] - breaths.starts[1:], 0.5)
    fallen = plateau + np.minimum(_FALL, 0.6 * following)
    return Cycles.through((0, _UPSTROKE_PHASE, _PLATEAU_END, _FALLEN_PHASE), (begins, risen, plateau, fallen))


def _inspirations(breaths: Breaths) -> Cycles:
    empty = breaths.inspired + np.minimum(_EMPTYING, 0.7 * (breaths.ends - breaths.inspired))
    return Cycles.through((0, _INSPIRED_PHASE, _EMPTY_PHASE), (breaths.starts, breaths.inspired, empty))
