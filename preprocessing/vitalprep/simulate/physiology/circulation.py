"""Heart rate and pressures under drugs, stimuli and reflexes. Parameters and papers: `models.yaml`, `circulation`."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from vitalprep.simulate.physiology.effects import sigmoid
from vitalprep.simulate.physiology.models import parameters

__all__ = ["Circulation", "Resting"]


@dataclass(frozen=True, kw_only=True)
class Resting:
    """A patient awake and at rest: beats/min, mmHg (mean and pulse pressure), and stroke volume in mL."""

    rate: float
    pressure: float
    pulse: float
    stroke: float
    reflex: float  # beats/min for each mmHg


class Circulation:
    """One patient's circulation, second by second: `pressure` (mean arterial, mmHg), `rate` (beats/min)."""

    def __init__(self, resting: Resting) -> None:
        self.resting = resting
        self.pressure = resting.pressure
        self.rate = resting.rate
        self._propofol = 0.0  # at its vascular effect site, which follows plasma more slowly than the hypnotic one
        self._ephedrine = 0.0
        self._ephedrine_to_come = 0.0

    @property
    def stroke(self) -> float:
        """Stroke volume in mL. It falls at low pressure and at high heart rate."""
        filling: float = (self.resting.rate / max(self.rate, 20.0)) ** 0.4
        return self.resting.stroke * filling * (0.6 + 0.4 * self.pressure / self.resting.pressure)

    @property
    def output(self) -> float:
        """Cardiac output in L/min."""
        return self.rate * self.stroke / 1000

    @property
    def pulse(self) -> float:
        """Pulse pressure in mmHg."""
        stretch: float = (self.pressure / self.resting.pressure) ** 0.5
        return self.resting.pulse * self.stroke / self.resting.stroke * stretch

    def give_ephedrine(self) -> None:
        """Give a usual bolus of ephedrine."""
        self._ephedrine_to_come += 1.0

    def pass_second(
        self, *, propofol: float, remifentanil: float, vapour: float, pressor: float, stimulus: float, noise: float
    ) -> None:
        """Advance by one second.

        Parameters
        ----------
        propofol, remifentanil : float
            Plasma concentration in ug/mL; effect-site concentration in ng/mL.
        vapour : float
            Alveolar sevoflurane in MAC.
        pressor : float
            Pressure effect of noradrenaline in mmHg.
        stimulus : float
            Noxious stimulus that remains after opioid effects, 0 to 1.
        noise : float
            Other pressure changes in mmHg.
        """
        p = parameters("circulation")
        self._propofol += (propofol - self._propofol) * (1 - exp(-p["propofol_ke0"] / 60))
        vessels = p["propofol_fall"] * sigmoid(self._propofol, p["propofol_c50"], p["propofol_gamma"] / 2)
        opioid = sigmoid(remifentanil, p["remifentanil_c50"], 1.5)
        tone = (1 - vessels) * max(1 - p["sevoflurane_fall"] * vapour, 0.3) * (1 - p["remifentanil_fall"] * opioid)
        e = self._pass_ephedrine()
        aim = self.resting.pressure * tone * (1 + p["stimulus_pressure"] * stimulus) + pressor
        aim += e * parameters("ephedrine")["pressure"] + noise
        self.pressure += (max(aim, 25.0) - self.pressure) / 14

        depth = min(1.0, vapour + sigmoid(self._propofol, p["propofol_c50"], 2))
        gain = self.resting.reflex * (1 - p["reflex_depression"] * depth)
        rate = self.resting.rate * (1 - p["remifentanil_slowing"] * opioid) * (1 + p["stimulus_rate"] * stimulus)
        rate += gain * (self.resting.pressure - self.pressure) + e * parameters("ephedrine")["rate"]
        self.rate += (min(max(rate, 32.0), 190.0) - self.rate) / 7

    def _pass_ephedrine(self) -> float:
        p = parameters("ephedrine")
        arriving = self._ephedrine_to_come / p["rise"]
        self._ephedrine_to_come -= arriving
        self._ephedrine += arriving - self._ephedrine / p["decay"]
        return self._ephedrine
