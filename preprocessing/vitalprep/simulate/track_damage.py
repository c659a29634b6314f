"""Damage of tracks: what was recorded by other devices, in other units, twice, or with days between."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from vitalprep.simulate.case import Pause, SimulatedCase
from vitalprep.simulate.noise import Floats
from vitalprep.simulate.other_monitors import feeds_in_own_unit
from vitalprep.simulate.signals import NumericTrack

__all__ = ["on_unknown_devices", "paused_for_days", "with_foreign_unit", "with_second_device", "without_signal"]

_DAY: Final = 86_400  # s
# Tracks that are the only source of their signal, and a unit that does not belong to them.
_FOREIGN_UNITS: Final = {
    ("Primus", "EXP_SEVO"): "%",
    ("Orchestra", "PPF20_RATE"): "mL/min",
    ("BIS", "BIS"): "dB",
    ("Solar8000", "PLETH_SPO2"): "mmHg",
}
_WITHOUT_SIGNAL: Final = ("ST_", "BT", "PAMB_MBAR", "SET_AGE")  # tracks that are no source of any input


def with_foreign_unit(case: SimulatedCase, profile: str | None) -> SimulatedCase:
    """Return a case in which the only source of a signal has a unit that does not belong to it."""
    present = {(track.device, track.name) for track in case.numerics}
    spoilt = next(key for key in _FOREIGN_UNITS if key in present and feeds_in_own_unit(*key, profile))
    return _with_numerics(
        case,
        *(
            replace(track, unit=_FOREIGN_UNITS[spoilt]) if (track.device, track.name) == spoilt else track
            for track in case.numerics
        ),
    )


def without_signal(case: SimulatedCase) -> SimulatedCase:
    """Return a case that has only tracks that feed no input."""
    return _with_numerics(case, *(track for track in case.numerics if track.name.startswith(_WITHOUT_SIGNAL)))


def on_unknown_devices(case: SimulatedCase) -> SimulatedCase:
    """Return a case whose devices have names that no configuration knows."""
    numerics = (replace(track, device=f"Ward {track.device}") for track in case.numerics)
    waves = (replace(wave, form=replace(wave.form, device=f"Ward {wave.form.device}")) for wave in case.waves)
    return replace(case, numerics=tuple(numerics), waves=tuple(waves))


def with_second_device(case: SimulatedCase) -> SimulatedCase:
    """Return a case with a second device of the monitor's name, which shows a tenth less of everything."""
    monitor = case.numerics[0].device
    second = (
        replace(track, device_number=2, values=0.9 * track.values) for track in case.numerics if track.device == monitor
    )
    return _with_numerics(case, *case.numerics, *second)


def paused_for_days(rng: np.random.Generator, case: SimulatedCase) -> SimulatedCase:
    """Return a case whose recording pauses for one to five days, halfway through."""
    pause = Pause(at=int(case.course.phases.end / 2), seconds=int(rng.uniform(1, 5) * _DAY))

    def later(times: Floats) -> Floats:
        return np.where(times < pause.at, times, times + pause.seconds)

    numerics = (replace(track, times=later(track.times)) for track in case.numerics)
    waves = (replace(wave, starts=later(wave.starts)) for wave in case.waves)
    return replace(case, numerics=tuple(numerics), waves=tuple(waves), pause=pause)


def _with_numerics(case: SimulatedCase, *numerics: NumericTrack) -> SimulatedCase:
    return replace(case, numerics=numerics)
