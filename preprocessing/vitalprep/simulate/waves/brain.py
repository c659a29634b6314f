"""The EEG of a frontal BIS sensor at 128 Hz. Its spectrum follows the depth of anaesthesia."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from vitalprep.simulate.attached import Attached
from vitalprep.simulate.noise import Floats
from vitalprep.simulate.streams import Purpose, case_rng
from vitalprep.simulate.waves.cycles import Singles
from vitalprep.simulate.waves.rhythms import WaveSetting, sampled

__all__ = ["electroencephalogram"]

_RATE: Final = 128  # Hz
_BLOCK, _HOP = 512, 256  # samples: blocks of four seconds that overlap by half

# Root mean square in uV of each band at these values of BIS. Deeper anaesthesia shifts power from beta and EMG to
# alpha and delta (Rampil, Anesthesiology 1998; 89: 980-1002; Purdon et al., Anesthesiology 2015; 123: 937-960).
_BIS: Final = (10, 30, 42, 55, 68, 80, 97)
_BANDS: Final[dict[tuple[float, float], Sequence[float]]] = {  # peak in Hz, width in octaves
    (1.1, 0.9): (32, 22, 15, 11, 8, 6, 5),
    (5.5, 0.5): (12, 8, 6, 5, 4, 4, 4),
    (10.3, 0.22): (10, 9, 13, 11, 6, 3, 5),
    (19.0, 0.4): (1.0, 1.5, 2.5, 4, 6, 7, 6),
    (42.0, 0.45): (0.4, 0.4, 0.6, 0.8, 2, 5, 9),  # mostly EMG of the forehead
}
_HIGHEST: Final = 58.0  # Hz of the device's filter

# BIS = 44.1 - SR / 2.25 when more than 40 % of the EEG are suppressed (Bruhn et al., J Clin Monit 2000; 16: 593-596);
# below BIS 35 the ratio grows into that.
_SUPPRESSION_BIS: Final = (0, 26.3, 35)
_SUPPRESSION_SHARE: Final = (0.99, 0.40, 0.0)
_SUPPRESSED: Final = 0.03  # remaining share of the amplitude
_ENVELOPE_RATE: Final = 8  # Hz


@dataclass(frozen=True, kw_only=True)
class _Bursts:
    """Burst suppression: the EEG is suppressed while a slow random `walk` (at `_ENVELOPE_RATE`) is below a level."""

    walk: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, seconds: int) -> _Bursts:
        kernel = np.hanning(5 * _ENVELOPE_RATE)  # bursts and suppressions of a few seconds
        steps = rng.standard_normal(seconds * _ENVELOPE_RATE + len(kernel))
        return cls(walk=np.convolve(steps, kernel / np.sqrt((kernel**2).sum()), mode="valid"))

    def height(self, seconds: Floats, bis: Floats) -> Floats:
        """Return the remaining share of the EEG amplitude, 0 to 1, at each of the ascending seconds (n,)."""
        share = np.interp(bis, _SUPPRESSION_BIS, _SUPPRESSION_SHARE)
        if not share.any():
            return np.ones(len(seconds))
        levels = np.array([NormalDist().inv_cdf(each) for each in np.linspace(0.001, 0.999, 200)])
        level = np.where(share > 0, np.interp(share, np.linspace(0.001, 0.999, 200), levels), -9)
        excess = np.interp(seconds * _ENVELOPE_RATE, np.arange(len(self.walk)), self.walk) - level
        open_share = np.clip(0.5 + excess / 0.2, 0, 1)
        return np.asarray(_SUPPRESSED + (1 - _SUPPRESSED) * open_share)


def electroencephalogram(rng: np.random.Generator, setting: WaveSetting, chunks: Iterable[Floats]) -> Iterator[Singles]:
    """Yield one channel in uV, shape (n,), for each chunk of seconds (n,).

    `rng` belongs to this channel. The component common to both channels of the sensor has its own stream.
    """
    course = setting.course
    shared = case_rng(setting.seed, setting.case_id, Purpose.WAVE, "EEG")
    size = shared.lognormal(0, 0.25)
    bursts = _Bursts.draw(shared, len(course.values["bis"]) + 1)
    blinks = _blinks(shared, setting)
    weights = _weights()
    common, single = _Overlap(shared), _Overlap(rng)
    impedance = rng.uniform(0.25, 0.5)
    for seconds in chunks:
        bis = np.nan_to_num(sampled(course, "bis", seconds[::_HOP]), nan=97.0)
        spectra = size * _amplitudes(bis, weights)
        wave = np.float32(0.93) * common.extend(spectra, len(seconds))
        wave += np.float32(0.37) * single.extend(spectra, len(seconds))
        wave *= bursts.height(seconds, sampled(course, "bis", seconds)).astype(np.float32)
        _add_blinks(wave, seconds, blinks)
        _add_cautery(rng, wave, seconds, setting)
        noise = rng.standard_normal(len(seconds), dtype=np.float32)
        yield _with_sensor(wave + np.float32(impedance) * noise, noise, seconds, setting.attached)


class _Overlap:
    """Noise with a changing spectrum: overlapping blocks, cross-faded at constant power (sine window)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._tail = np.zeros(_HOP, dtype=np.float32)
        self._window = np.sin(np.pi * (np.arange(_BLOCK) + 0.5) / _BLOCK).astype(np.float32)

    def extend(self, spectra: npt.NDArray[np.floating], count: int) -> Singles:
        """Return the next `count` samples; `spectra` (blocks, frequencies) has one block per started `_HOP` samples."""
        shape = spectra.shape
        parts = self._rng.standard_normal((2, *shape), dtype=np.float32)
        pieces = np.fft.irfft((parts[0] + 1j * parts[1]) * spectra, _BLOCK, axis=1).astype(np.float32) * self._window
        made = np.zeros((shape[0] + 1, _HOP), dtype=np.float32)
        made[:-1] += pieces[:, :_HOP]
        made[1:] += pieces[:, _HOP:]
        made[0] += self._tail
        self._tail = made[-1]
        return made[:-1].ravel()[:count]


def _weights() -> npt.NDArray[np.float64]:
    """Return each band's amplitude per frequency of a block, (bands, frequencies), for noise of 1 uV."""
    frequencies = np.fft.rfftfreq(_BLOCK, 1 / _RATE)
    rows = []
    for peak, octaves in _BANDS:
        power = np.exp(-0.5 * (np.log2(np.maximum(frequencies, 0.05) / peak) / octaves) ** 2)
        power *= 1 / (1 + (frequencies / _HIGHEST) ** 16)
        rows.append(np.sqrt(power / power.sum() / 4) * _BLOCK)
    return np.stack(rows)


def _amplitudes(bis: Floats, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the amplitude per frequency, (times, frequencies), at values of BIS (times,)."""
    heights = np.stack([np.interp(bis, _BIS, values) for values in _BANDS.values()], axis=1)
    return np.sqrt(heights**2 @ weights**2).astype(np.float32)


def _blinks(rng: np.random.Generator, setting: WaveSetting) -> Floats:
    """Return the times in s at which an awake patient blinks, about every four seconds."""
    course, end = setting.course, setting.course.phases.end
    times = np.sort(rng.uniform(0, end, rng.poisson(end / 4)))
    awake: Floats = times[np.nan_to_num(sampled(course, "bis", times), nan=0.0) > 82]
    return awake


def _add_blinks(wave: Singles, seconds: Floats, blinks: Floats) -> None:
    for blink in blinks[(blinks > seconds[0] - 1) & (blinks < seconds[-1])]:
        first, last = np.searchsorted(seconds, (blink, blink + 1))
        age = (seconds[first:last] - blink) / 0.09
        lid = np.exp(-0.5 * (age - 2) ** 2) - 0.3 * np.exp(-0.5 * ((age - 5) / 2) ** 2)
        wave[first:last] += (130 * lid).astype(np.float32)


def _add_cautery(rng: np.random.Generator, wave: Singles, seconds: Floats, setting: WaveSetting) -> None:
    for start, end in setting.cautery:
        if start < seconds[-1] and end > seconds[0]:
            first, last = np.searchsorted(seconds, (start, end))
            wave[first:last] += np.float32(rng.uniform(15, 90)) * rng.standard_normal(last - first, dtype=np.float32)


def _with_sensor(wave: Singles, noise: Singles, seconds: Floats, attached: Attached) -> Singles:
    """Return the EEG while the sensor is attached, and the noise of open leads before and after."""
    if seconds[0] >= attached.sensor_on and seconds[-1] <= attached.sensor_off:
        return wave
    hum = 35 * np.sin(2 * np.pi * 60 * seconds) + 14 * np.sin(2 * np.pi * 0.31 * seconds)
    stuck = (seconds >= attached.sensor_on) & (seconds <= attached.sensor_off)
    return np.where(stuck, wave, 28 * noise + hum.astype(np.float32))
