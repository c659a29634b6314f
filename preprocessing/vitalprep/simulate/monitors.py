"""VitalDB's devices (`monitors.yaml`), and the selection of a case's devices."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict

from vitalprep.simulate.attached import Attached, BloodSample
from vitalprep.simulate.course import Course
from vitalprep.simulate.streams import Purpose, case_rng

__all__ = ["Faults", "Feed", "Monitors", "Pump", "attach", "monitors"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Feed(_Data):
    """Tracks that one device sends together, with common drop-outs.

    `interval` is in seconds; `cases` is the number of VitalDB's cases with this feed. A track is (name, unit, quantity,
    step, error). `needs` names a feed that this one requires.
    """

    name: str
    device: str
    interval: float
    cases: int
    tracks: tuple[tuple[str, str, str, float, float], ...]
    counted: bool = False
    needs: str | None = None
    vapour: bool = False


class Pump(_Data):
    """A syringe pump's tracks: (name after the prefix, unit, quantity, step)."""

    prefix: str
    drug: str
    tracks: tuple[tuple[str, str, str, float], ...]


class Wave(_Data):
    """The number of cases with a wave, and the feed that it belongs to."""

    cases: int
    of: str


class Faults(_Data):
    """Rates of recording faults; units in `monitors.yaml`."""

    jitter: float
    dropouts_per_hour: float
    track_dropouts_per_hour: float
    late_share: float
    repeated_share: float
    vapour_zero_share: float
    pump_minus_one_share: float
    blood_samples_per_hour: float


class Monitors(_Data):
    """The content of `monitors.yaml`."""

    total: int
    feeds: tuple[Feed, ...]
    pumps: tuple[Pump, ...]
    waves: dict[str, Wave]
    faults: Faults


@cache
def monitors() -> Monitors:
    """Return VitalDB's devices."""
    text = files("vitalprep.simulate").joinpath("monitors.yaml").read_text("utf-8")
    return Monitors.model_validate(yaml.safe_load(text))


def attach(seed: int, case_id: int, course: Course) -> Attached:
    """Draw which devices are attached in a case, and when."""
    rng = case_rng(seed, case_id, Purpose.ATTACHED)
    data, phases = monitors(), course.phases
    feeds: set[str] = set()
    for feed in data.feeds:
        if rng.random() < _chance(feed, feeds, course):
            feeds.add(feed.name)
    shares = {feed.name: feed.cases for feed in data.feeds}
    for name, wave in data.waves.items():
        if rng.random() < wave.cases / max(shares[wave.of], wave.cases) and wave.of in feeds:
            feeds.add(name)
    cannula = rng.uniform(phases.induction, phases.incision)
    span = max(phases.end - cannula, 0.0)
    samples = []
    for start in np.sort(
        rng.uniform(cannula, phases.end, rng.poisson(data.faults.blood_samples_per_hour * span / 3600))
    ):
        flush = float(start + rng.uniform(15, 45))
        samples.append(BloodSample(float(start), flush, flush + float(rng.uniform(1.5, 6))))
    return Attached(
        feeds=frozenset(feeds),
        flush=cannula - rng.uniform(6, 15),
        cannula=cannula,
        blood_samples=tuple(samples),
        sensor_on=max(phases.induction - rng.uniform(20, 150), 0.0),
        sensor_off=float(rng.uniform(phases.extubation, phases.end)) if phases.end > 0 else 0.0,
    )


def _chance(feed: Feed, feeds: set[str], course: Course) -> float:
    data = monitors()
    share = feed.cases / data.total
    if feed.vapour and course.technique == "tiva":
        return share * data.faults.vapour_zero_share
    if feed.needs is not None:
        needed = next(other.cases for other in data.feeds if other.name == feed.needs)
        return feed.cases / needed if feed.needs in feeds else 0.0
    return share
