"""Cardiac waves at 500 Hz: two ECG leads, plethysmogram and arterial pressure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from vitalprep.simulate.attached import BAG_PRESSURE, Attached, BloodSample, shut_in_pressure
from vitalprep.simulate.noise import Floats, autocorrelated
from vitalprep.simulate.waves.cycles import TABLE_SIZE, Cycles, Indices, Singles, shape_table
from vitalprep.simulate.waves.rhythms import Beats, Interval, WaveSetting, sampled

__all__ = ["arterial_pressure", "electrocardiogram", "plethysmogram"]

# Height in mV, position in s after R at 60 beats/min and width (standard deviation) in s of a normal beat's Gaussians,
# after McSharry et al., IEEE Trans Biomed Eng 2003; 50: 289-294; heights as in lead II and V5 of healthy adults.
_Gaussians = Sequence[tuple[float, float, float]]
_LEADS: Final[dict[str, _Gaussians]] = {
    "ECG_II": ((0.07, -0.172, 0.018), (0.08, -0.145, 0.020), (-0.07, -0.026, 0.007), (0.95, 0.0, 0.0105),
               (-0.16, 0.027, 0.008), (0.02, 0.14, 0.05), (0.10, 0.230, 0.050), (0.17, 0.278, 0.036)),
    "ECG_V5": ((0.04, -0.170, 0.018), (0.05, -0.145, 0.020), (-0.10, -0.026, 0.007), (1.20, 0.0, 0.0110),
               (-0.30, 0.029, 0.009), (0.02, 0.14, 0.05), (0.13, 0.225, 0.050), (0.22, 0.274, 0.037)),
}  # fmt: skip
# A ventricular ectopic beat: no P wave, wide QRS, discordant T wave.
_PREMATURE: Final[_Gaussians] = ((1.1, 0.015, 0.034), (-0.5, 0.095, 0.030), (-0.42, 0.30, 0.060))
_R_PHASE: Final = 0.25  # of a beat at 60/min
_QRS: Final = (0.045, 0.05)  # s before and after R, with constant width
_P_SHARE, _T_SHARE = 0.36, 0.60  # of a short R-R interval: earliest P before R, latest T after R

_T_GONE: Final = (
    0.41  # s after R at 60/min; scales with the square root of R-R like Q-T (Bazett, Heart 1920; 7: 353-370)
)

# Phase and height of the pulse; systole ends at the dicrotic notch. Pulses of stiff vessels have a late second peak.
_Points = Sequence[tuple[float, float]]
_ART_NOTCH: Final = 0.36
_ART_SOFT: Final[_Points] = (
    (0, 0), (0.03, 0.10), (0.10, 0.86), (0.135, 1.0), (0.17, 0.95), (0.22, 0.76), (0.29, 0.56), (0.34, 0.44),
    (0.36, 0.37), (0.385, 0.41), (0.43, 0.43), (0.48, 0.36), (0.60, 0.225), (0.75, 0.12), (0.9, 0.045), (1, 0),
)  # fmt: skip
_ART_STIFF: Final[_Points] = (
    (0, 0), (0.03, 0.09), (0.10, 0.80), (0.14, 0.95), (0.18, 0.96), (0.225, 1.0), (0.27, 0.91), (0.33, 0.62),
    (0.36, 0.45), (0.385, 0.46), (0.41, 0.465), (0.48, 0.37), (0.60, 0.25), (0.75, 0.14), (0.9, 0.05), (1, 0),
)  # fmt: skip
_PLETH_NOTCH: Final = 0.46
_PLETH_SOFT: Final[_Points] = (
    (0, 0), (0.03, 0.03), (0.12, 0.58), (0.19, 0.96), (0.22, 1.0), (0.27, 0.90), (0.36, 0.55), (0.43, 0.34),
    (0.46, 0.31), (0.52, 0.36), (0.57, 0.36), (0.66, 0.26), (0.8, 0.12), (0.92, 0.04), (1, 0),
)  # fmt: skip
_PLETH_STIFF: Final[_Points] = (
    (0, 0), (0.03, 0.03), (0.12, 0.50), (0.20, 0.92), (0.25, 1.0), (0.32, 0.95), (0.40, 0.76), (0.46, 0.62),
    (0.53, 0.54), (0.60, 0.45), (0.7, 0.31), (0.8, 0.19), (0.92, 0.06), (1, 0),
)  # fmt: skip
_ROWS: Final = 16  # shapes between soft and stiff

_RADIAL_DELAY: Final = 0.16  # s from R to the pulse at the wrist: pre-ejection 0.09, then 0.07 of travel
_FINGER_DELAY: Final = 0.24  # s to the finger, with the oximeter's own filter (Allen, Physiol Meas 2007; 28: R1-R39)
_SLOW_RATE: Final = 10  # Hz; sample rate of baseline wander and drift


def electrocardiogram(
    rng: np.random.Generator, setting: WaveSetting, chunks: Iterable[Floats], *, lead: str
) -> Iterator[Singles]:
    """Yield one lead in mV, shape (n,), for each chunk of seconds (n,): beats, wander, mains, EMG and cautery."""
    course, beats = setting.course, setting.beats
    cycles = _cardiac_cycles(beats)
    table = np.concatenate([_beat_table(rng, _LEADS[lead]), _beat_table(rng, _PREMATURE)])
    row = beats.premature.astype(np.intp) * TABLE_SIZE
    height = (1 + 0.04 * setting.breaths.swing(beats.times)).astype(np.float32)
    wander = _wander(rng, setting)
    mains = rng.uniform(0.003, 0.012)  # mV at 60 Hz after the filter
    hum = mains * np.sin(2 * np.pi * (60 * np.arange(25) / 500 + rng.random())).astype(np.float32)
    knife = rng.uniform(0.15, 0.6)
    for seconds in chunks:
        beat, place = cycles.locate(seconds)
        wave = table[row[beat] + place]
        wave *= height[beat]
        wave += _slowly(wander, seconds)
        wave += np.resize(hum, len(wave))  # 25 samples are three periods; chunks have whole seconds
        muscle = 0.011 + 0.012 * float(np.nanmean(sampled(course, "bis", seconds[:: len(seconds) // 8 + 1])) > 78)
        wave += np.float32(muscle) * rng.standard_normal(len(wave), dtype=np.float32)
        _add_cautery(rng, wave, seconds, setting.cautery, knife)
        yield wave


def plethysmogram(rng: np.random.Generator, setting: WaveSetting, chunks: Iterable[Floats]) -> Iterator[Singles]:
    """Yield the plethysmogram, dimensionless from 0 to 100, shape (n,), for each chunk of seconds (n,)."""
    course, beats = setting.course, setting.beats
    cycles = _pulse_cycles(beats, _FINGER_DELAY + rng.uniform(-0.02, 0.03), _PLETH_NOTCH)
    table = _pulse_tables(_PLETH_SOFT, _PLETH_STIFF, 0.022)
    row = _stiffness(rng, setting)
    pulse = sampled(course, "sbp", beats.times) - sampled(course, "dbp", beats.times)
    perfusion = np.exp(autocorrelated(rng, len(beats.times), 90, 0.16)) * np.clip(pulse / 40, 0.25, 1.6) ** 0.5
    swing = setting.breaths.swing(beats.times - 1)
    height = 44 * perfusion * (1 + rng.uniform(0.03, 0.09) * swing) * np.where(beats.premature, 0.4, 1.0)
    height = np.clip(height * (1 + 0.02 * rng.standard_normal(len(height))), 3, 72).astype(np.float32)
    foot = 30 - 0.3 * height + 1.2 * swing + autocorrelated(rng, len(height), 25, 0.8)
    noise = np.float32(rng.uniform(0.12, 0.22))
    restless = _movements(rng, setting)
    for seconds in chunks:
        beat, place = cycles.locate(seconds)
        wave = table[row[beat] + place]
        wave *= height[beat]
        wave += _between_feet(foot, beat, place)
        wave += noise * rng.standard_normal(len(wave), dtype=np.float32)
        _add_movement(rng, wave, seconds, restless)
        yield wave


def arterial_pressure(rng: np.random.Generator, setting: WaveSetting, chunks: Iterable[Floats]) -> Iterator[Singles]:
    """Yield arterial pressure in mmHg, shape (n,), for each chunk of seconds (n,): air, flush, patient, samples."""
    course, beats = setting.course, setting.beats
    cycles = _pulse_cycles(beats, _RADIAL_DELAY + rng.uniform(-0.02, 0.02), _ART_NOTCH)
    table = _pulse_tables(_ART_SOFT, _ART_STIFF, 0.009)
    row = _stiffness(rng, setting)
    swing = setting.breaths.swing(beats.times - 0.5)
    # Pulse pressure varies by 5 to 15 % with ventilation (Michard, Anesthesiology 2005; 103: 419-428).
    variation = rng.uniform(0.02, 0.06) * swing + 0.012 * rng.standard_normal(len(swing))
    early = np.where(beats.premature, 0.5, 1.0) * np.where(np.roll(beats.premature, 1), 1.1, 1.0)
    foot = sampled(course, "dbp", beats.times) + 0.7 * swing - 5.0 * np.roll(beats.premature, 1)
    pulse = sampled(course, "sbp", beats.times) - sampled(course, "dbp", beats.times)
    height = (np.maximum(pulse, 4) * early * (1 + variation)).astype(np.float32)
    for seconds in chunks:
        beat, place = cycles.locate(seconds)
        wave = table[row[beat] + place]
        wave *= height[beat]
        wave += _between_feet(foot, beat, place)
        _disturb_line(wave, seconds, setting.attached.blood_samples)
        if seconds[0] < setting.attached.cannula:
            wave = _before_cannula(wave, seconds, setting.attached)
        wave += np.float32(0.35) * rng.standard_normal(len(wave), dtype=np.float32)
        yield wave


def _cardiac_cycles(beats: Beats) -> Cycles:
    """Return the ECG's cycles: QRS has a constant width; P-R and Q-T scale with the rate without overlapping."""
    times, interval = beats.times, 60 / beats.rates
    before, after = np.diff(times, prepend=times[0] - interval[0]), np.diff(times, append=times[-1] + interval[-1])
    start = times - np.minimum(_R_PHASE, _P_SHARE * before)
    gone = times + np.minimum(_T_GONE * np.sqrt(interval), _T_SHARE * after)
    phases = (0, _R_PHASE - _QRS[0], _R_PHASE + _QRS[1], _R_PHASE + _T_GONE)
    return Cycles.through(phases, (start, times - _QRS[0], times + _QRS[1], gone))


def _beat_table(rng: np.random.Generator, parts: _Gaussians) -> Singles:
    """Return a beat in mV by phase, with R at `_R_PHASE` and this patient's amplitudes."""
    phase = np.arange(TABLE_SIZE) / TABLE_SIZE - _R_PHASE
    size = rng.uniform(0.8, 1.25)
    parts = [(height * size * rng.uniform(0.85, 1.15), place, width) for height, place, width in parts]
    beat = sum(height * np.exp(-0.5 * ((phase - place) / width) ** 2) for height, place, width in parts)
    return np.asarray(beat, dtype=np.float32)


def _pulse_cycles(beats: Beats, delay: float, notch: float) -> Cycles:
    """Return pulse cycles from foot to foot; ejection time 0.413 s - 0.0017 s per beat/min (Weissler, 1968)."""
    feet = beats.times + delay
    lasts = np.diff(feet, append=feet[-1] + 60 / beats.rates[-1])
    ejection = np.minimum(0.413 - 0.0017 * beats.rates, 0.55 * lasts)
    return Cycles.through((0, notch), (feet, feet + np.maximum(ejection, 0.3 * lasts) * notch / _ART_NOTCH))


def _pulse_tables(soft: _Points, stiff: _Points, width: float) -> Singles:
    shares = np.linspace(0, 1, _ROWS, dtype=np.float32)[:, np.newaxis]
    rows = (1 - shares) * shape_table(soft, width) + shares * shape_table(stiff, width)
    return np.asarray(rows / rows.max(axis=1, keepdims=True), dtype=np.float32).ravel()


def _stiffness(rng: np.random.Generator, setting: WaveSetting) -> Indices:
    """Return each beat's row in the shape table, (beats,): vessels are stiffer with age and pressure."""
    pressure = sampled(setting.course, "mbp", setting.beats.times)
    own = rng.uniform(0.15, 0.75)
    share = own + (pressure - 80) / 120 + autocorrelated(rng, len(pressure), 120, 0.06)
    return np.rint(np.clip(share, 0, 1) * (_ROWS - 1)).astype(np.intp) * TABLE_SIZE


def _between_feet(foot: Floats, beat: Indices, place: Indices) -> Singles:
    """Interpolate from each pulse's foot to the next one's by phase, (n,)."""
    begin = foot.astype(np.float32)
    climb = np.diff(begin, append=begin[-1:]) / np.float32(TABLE_SIZE)
    return np.asarray(begin[beat] + climb[beat] * place.astype(np.float32), dtype=np.float32)


def _wander(rng: np.random.Generator, setting: WaveSetting) -> Floats:
    """Return the ECG's baseline wander in mV at `_SLOW_RATE`, from breathing and electrode contact."""
    clock = np.arange((len(setting.course.values["hr"]) + 2) * _SLOW_RATE) / _SLOW_RATE
    drift = autocorrelated(rng, len(clock), 3 * _SLOW_RATE, 0.02) + autocorrelated(rng, len(clock), 300, 0.03)
    smooth = np.convolve(drift, np.full(7, 1 / 7), mode="same")
    return np.asarray(rng.uniform(0.015, 0.06) * setting.breaths.swing(clock) + smooth)


def _slowly(slow: Floats, seconds: Floats) -> Singles:
    first = int(seconds[0] * _SLOW_RATE)
    last = int(seconds[-1] * _SLOW_RATE) + 2
    return np.interp(seconds * _SLOW_RATE - first, np.arange(last - first), slow[first:last]).astype(np.float32)


def _add_cautery(
    rng: np.random.Generator, wave: Singles, seconds: Floats, bursts: Sequence[Interval], height: float
) -> None:
    """Add noise and baseline shifts during cautery, in place; `height` is the noise's standard deviation in mV."""
    for start, end in bursts:
        if start < seconds[-1] and end > seconds[0]:
            first, last = np.searchsorted(seconds, (start, end))
            shape = np.float32(height) * rng.gamma(6, 1 / 6, (last - first) // 25 + 1).astype(np.float32)
            noise = np.repeat(shape, 25)[: last - first] * rng.standard_normal(last - first, dtype=np.float32)
            wave[first:last] += noise + np.float32(rng.normal(0, height / 2))


def _movements(rng: np.random.Generator, setting: WaveSetting) -> tuple[Interval, ...]:
    """Return the intervals in which an awake patient moves the finger."""
    phases = setting.course.phases
    spans = ((0.0, phases.induction), (phases.emergence, phases.end))
    found: list[Interval] = []
    for begin, end in spans:
        starts = rng.uniform(begin, max(end, begin), rng.poisson(max(end - begin, 0) / 60))
        found += [(start, start + length) for start, length in zip(starts, rng.gamma(2, 1.5, len(starts)), strict=True)]
    return tuple(found)


def _add_movement(rng: np.random.Generator, wave: Singles, seconds: Floats, spans: Sequence[Interval]) -> None:
    for start, end in spans:
        if start < seconds[-1] and end > seconds[0]:
            first, last = np.searchsorted(seconds, (start, end))
            when = seconds[first:last] - start
            swing = np.sin(2 * np.pi * rng.uniform(0.8, 2.5) * when + rng.uniform(0, 6)) * np.sin(when * np.pi / 2)
            wave[first:last] += (rng.uniform(8, 25) * swing).astype(np.float32)


def _before_cannula(wave: Singles, seconds: Floats, attached: Attached) -> Singles:
    early = np.where(seconds >= attached.flush, np.float32(BAG_PRESSURE), np.float32(0))
    return np.where(seconds < attached.cannula, early, wave)


def _disturb_line(wave: Singles, seconds: Floats, samples: Sequence[BloodSample]) -> None:
    """Apply blood samples in place: trapped pressure, square wave of the flush, then ringing of line and catheter."""
    for sample in samples:
        if sample.start < seconds[-1] and sample.end + 1 > seconds[0]:
            moments = (sample.start, sample.flush, sample.end, sample.end + 1)
            first, second, third, fourth = np.searchsorted(seconds, moments)
            wave[first:second] = shut_in_pressure(seconds[first:second] - sample.start)
            wave[second:third] = BAG_PRESSURE
            after = seconds[third:fourth] - sample.end
            wave[third:fourth] += (90 * np.exp(-after / 0.05) * np.cos(2 * np.pi * 16 * after)).astype(np.float32)
