"""What is attached to a patient, and when: decided once per case, so that a device's numbers and waves agree."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Attached"]


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
    sensor_on, sensor_off : float
        While the BIS sensor sticks to the forehead.
    """

    feeds: frozenset[str]
    flush: float
    cannula: float
    sensor_on: float
    sensor_off: float
