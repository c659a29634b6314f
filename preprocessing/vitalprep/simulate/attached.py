"""Which devices are attached to a patient, and when. Decided once per case, so that numerics and waves agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BAG_PRESSURE", "Attached", "BloodSample", "shut_in_pressure"]

BAG_PRESSURE = 305.0  # mmHg; pressure bags are inflated to 300, and transducers saturate slightly above


@dataclass(frozen=True)
class BloodSample:
    """Times in s: the stopcock closes the transducer off at `start`; the line is flushed from `flush` to `end`."""

    start: float
    flush: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Attached:
    """The devices of a case. Times are in seconds after the recording's start.

    Attributes
    ----------
    feeds : frozenset of str
        Names of the recorded feeds, and of waves as `Device/NAME`.
    flush, cannula : float
        The arterial line shows about zero before `flush`, the pressure bag (300 mmHg and more) until `cannula`, and
        the patient afterwards.
    blood_samples : tuple of BloodSample
        Later interruptions of the arterial pressure.
    sensor_on, sensor_off : float
        When the BIS sensor is attached and removed.
    """

    feeds: frozenset[str]
    flush: float
    cannula: float
    blood_samples: tuple[BloodSample, ...] = ()
    sensor_on: float
    sensor_off: float


def shut_in_pressure(seconds: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the slow drift in mmHg, shape (n,), of a closed-off transducer, given the seconds since it was closed."""
    pressure: npt.NDArray[np.floating] = 70 + 25 * np.exp(-seconds / 3) + 1.5 * seconds
    return pressure
