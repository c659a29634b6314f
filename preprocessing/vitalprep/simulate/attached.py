"""What is attached to a patient, and when: decided once per case, so that a device's numbers and waves agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BAG_PRESSURE", "Attached", "BloodSample", "shut_in_pressure"]

BAG_PRESSURE = 305.0  # mmHg; bags are pumped up to 300, and transducers saturate a little above


@dataclass(frozen=True)
class BloodSample:
    """Seconds: at `start` the stopcock shuts the transducer off, from `flush` to `end` the bag rinses the line."""

    start: float
    flush: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Attached:
    """The devices that a case has. Times in seconds after the recording's start.

    Attributes
    ----------
    feeds : frozenset of str
        What is recorded: names of feeds, and of waves as `Device/NAME`.
    flush, cannula : float
        The arterial line shows about zero before `flush`, the pressure bag's 300 mmHg and more until `cannula`, and
        the patient from then on.
    blood_samples : tuple of BloodSample
        When it does not show the patient, later.
    sensor_on, sensor_off : float
        While the BIS sensor sticks to the forehead.
    """

    feeds: frozenset[str]
    flush: float
    cannula: float
    blood_samples: tuple[BloodSample, ...] = ()
    sensor_on: float
    sensor_off: float


def shut_in_pressure(seconds: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """What a closed-off transducer shows in mmHg, shape (n,), so many seconds after it was closed: a slow drift."""
    pressure: npt.NDArray[np.floating] = 70 + 25 * np.exp(-seconds / 3) + 1.5 * seconds
    return pressure
