"""Target-controlled infusion: the rate that brings the effect site to its target fastest without overshoot.

Algorithm: Shafer & Gregg, J Pharmacokinet Biopharm 1992;20:147-69. The pump knows only its own model, not the patient's
actual kinetics.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vitalprep.simulate.physiology.pharmacokinetics import Kinetics, Pool, propagator

__all__ = ["STEP", "TargetPump"]

STEP: Final = 10  # s between two decisions, as the rates of VitalDB's pumps change
_HORIZON: Final = 60  # steps; every peak occurs within ten minutes
_NEAR: Final = 0.95  # from this share of the target on, plasma is held at the target


class TargetPump:
    """A pump for one drug, with the concentrations that it displays. Amounts are in mg or ug, as in its model.

    Parameters
    ----------
    kinetics : Kinetics
        The pump's model of the patient.
    fastest : float
        Maximum rate in amount per minute.
    """

    def __init__(self, kinetics: Kinetics, *, fastest: float) -> None:
        self.pool = Pool(kinetics)
        self.target = 0.0
        self.rate = 0.0
        self._fastest = fastest
        step = propagator(kinetics, float(STEP))
        self._plasma_free, self._plasma_gain = step[0, :4], float(step[0, 4])
        # Row k: effect site k + 1 steps ahead, for the current state and for a unit rate during the first step.
        power, given = step[:, :4], step[:, 4]
        free, gains = [], []
        for _ in range(_HORIZON):
            free.append(power[3])
            gains.append(given[3])
            power, given = step[:, :4] @ power, step[:, :4] @ given
        self._free, self._gains = np.array(free), np.array(gains)

    def decide(self) -> float:
        """Return the rate for the next ten seconds in amount per minute."""
        state = np.array(self.pool.state)
        if self.target <= 0 or self.pool.effect > 1.02 * self.target:
            self.rate = 0.0
        elif self.pool.effect < _NEAR * self.target:
            self.rate = float(((self.target - self._free @ state) / self._gains).min())
        else:
            self.rate = (self.target - float(self._plasma_free @ state)) / self._plasma_gain
        self.rate = min(max(self.rate, 0.0), self._fastest)
        return self.rate

    def pass_second(self) -> None:
        """Advance by one second at the current rate."""
        self.pool.pass_second(self.rate)
