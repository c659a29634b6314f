"""The waves of a case as devices send them: records of about a second, with 16-bit samples at the real rates.

The beats and breaths in `rhythms` drive all waves. `heart`, `brain` and `airway` generate them in chunks of a minute,
so that complete waves exist in memory only as 16-bit samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from vitalprep.simulate.attached import Attached
from vitalprep.simulate.course import Course
from vitalprep.simulate.noise import Floats
from vitalprep.simulate.signals import dropped_out
from vitalprep.simulate.streams import Purpose, case_rng
from vitalprep.simulate.waves.airway import airway_pressure, capnogram
from vitalprep.simulate.waves.brain import electroencephalogram
from vitalprep.simulate.waves.cycles import Singles
from vitalprep.simulate.waves.forms import WAVE_FORMS, WaveForm
from vitalprep.simulate.waves.heart import arterial_pressure, electrocardiogram, plethysmogram
from vitalprep.simulate.waves.rhythms import WaveSetting, wave_setting

__all__ = ["WaveForm", "WaveTrack", "wave_tracks"]

_DROPOUTS_PER_HOUR: Final = 0.4
_CHUNK_RECORDS: Final = 64  # records generated at a time


@dataclass(frozen=True, kw_only=True)
class WaveTrack:
    """A recorded wave.

    Attributes
    ----------
    form : WaveForm
        The kind of wave and its storage format.
    starts : ndarray of float64, shape (records,)
        Seconds after the recording's start, ascending.
    samples : ndarray of int16, shape (records, form.record_samples)
        Stored samples; value in `form.unit` = sample * gain + offset.
    """

    form: WaveForm
    starts: Floats
    samples: npt.NDArray[np.int16]


_Drawer: TypeAlias = Callable[[np.random.Generator, WaveSetting, Iterable[Floats]], Iterator[Singles]]
_DRAWERS: Final[Mapping[str, _Drawer]] = {
    "SNUADC/ECG_II": partial(electrocardiogram, lead="ECG_II"),
    "SNUADC/ECG_V5": partial(electrocardiogram, lead="ECG_V5"),
    "SNUADC/PLETH": plethysmogram,
    "SNUADC/ART": arterial_pressure,
    "Primus/CO2": capnogram,
    "Primus/AWP": airway_pressure,
    "BIS/EEG1_WAV": electroencephalogram,
    "BIS/EEG2_WAV": electroencephalogram,
}


def wave_tracks(seed: int, case_id: int, course: Course, attached: Attached) -> Iterator[WaveTrack]:
    """Yield the attached waves one by one, with drop-outs of some minutes. Waves shorter than a record are omitted."""
    setting = wave_setting(seed, case_id, course, attached)
    for form in WAVE_FORMS:
        count = int(course.phases.end * form.sample_rate) // form.record_samples
        if form.track not in attached.feeds or not count:
            continue
        rng = case_rng(seed, case_id, Purpose.WAVE, form.track)
        starts = np.arange(count, dtype=np.float64) * (form.record_samples / form.sample_rate)
        # All waves of a device drop out together, as when it is unplugged.
        unplugged = case_rng(seed, case_id, Purpose.WAVE, f"{form.device} drop-outs")
        kept = ~dropped_out(unplugged, starts, _DROPOUTS_PER_HOUR, course.phases.end)
        samples = np.empty((count, form.record_samples), dtype=np.int16)
        drawn = _DRAWERS[form.track](rng, setting, _chunks(form, count))
        for first, piece in zip(range(0, count, _CHUNK_RECORDS), drawn, strict=True):
            samples[first : first + _CHUNK_RECORDS] = _stored(piece, form).reshape(-1, form.record_samples)
        if kept.any():
            yield WaveTrack(form=form, starts=starts[kept], samples=samples if kept.all() else samples[kept])


def _chunks(form: WaveForm, count: int) -> Iterator[Floats]:
    """Yield the times in s of the samples of `count` records, `_CHUNK_RECORDS` records at a time."""
    for first in range(0, count, _CHUNK_RECORDS):
        last = min(first + _CHUNK_RECORDS, count)
        yield np.arange(first * form.record_samples, last * form.record_samples) / form.sample_rate


def _stored(values: Singles, form: WaveForm) -> npt.NDArray[np.int16]:
    """Quantize values in the wave's unit, of any shape, to stored samples within the device's range."""
    limited = np.clip(values, np.float32(form.lowest), np.float32(form.highest))
    limited -= np.float32(form.offset)
    limited *= np.float32(1 / form.gain)
    return np.rint(limited, out=limited).astype(np.int16)
