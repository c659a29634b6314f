"""Noxious stimuli: laryngoscopy, incision, traction, extubation; 0 to about 3 per second, before opioid effects."""

from __future__ import annotations

import numpy as np

from vitalprep.simulate.anaesthesia.anaesthetic import Phases
from vitalprep.simulate.noise import Floats, autocorrelated

__all__ = ["noxious_stimulus"]


def noxious_stimulus(rng: np.random.Generator, phases: Phases, count: int) -> Floats:
    """Return the strength per second, shape (count,). Surgery is about 0.4, laryngoscopy five times that."""
    clock = np.arange(count, dtype=np.float64)
    surgery = (clock >= phases.incision) & (clock < phases.closure)
    level = np.clip(rng.uniform(0.3, 0.5) + autocorrelated(rng, count, 600, 0.12), 0.05, 1)
    total = 0.12 * (clock < phases.induction)  # anxiety before induction
    total = total + np.where(surgery, level, 0.0)
    total += _response(clock, phases.intubation - 30, 40, rng.uniform(120, 220), rng.uniform(1.6, 2.8))
    total += _response(clock, phases.incision, 30, rng.uniform(180, 400), rng.uniform(0.5, 1.0))
    total += 0.25 * ((clock >= phases.closure) & (clock < phases.emergence))  # sutures
    total += _response(clock, phases.emergence + 0.6 * (phases.extubation - phases.emergence), 120, 400, 0.7)
    tractions = rng.poisson(max(phases.closure - phases.incision, 0) / 1200)
    for start in rng.uniform(phases.incision, phases.closure, tractions):
        total += _response(clock, start, 20, rng.uniform(40, 300), rng.uniform(0.3, 1.0))
    return np.asarray(total)


def _response(clock: Floats, start: float, rise: float, decay: float, height: float) -> Floats:
    """Return a response that rises within `rise` s from `start` on and decays with the time constant `decay` (s)."""
    age = np.maximum(clock - start, 0)
    return np.asarray(height * np.minimum(age / rise, 1) * np.exp(-np.maximum(age - rise, 0) / decay))
