"""Lungs and blood gases: EtCO2 and SpO2 from ventilator settings or spontaneous breathing.

Parameters and papers: `models.yaml`, `gas_exchange`. Pressures in mmHg, ventilation in L/min, fractions 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vitalprep.simulate.physiology.effects import sigmoid
from vitalprep.simulate.physiology.models import parameters

__all__ = ["Breath", "Lungs", "own_drive", "saturation"]

_ARTERIAL_GAP: Final = 8.0  # mmHg between alveoli and capillaries


@dataclass(frozen=True)
class Breath:
    """Current breathing: rate in breaths per minute and tidal volume in mL, measured at the mouth."""

    rate: float
    volume: float

    def alveolar(self, dead_space: float) -> float:
        """Return the alveolar ventilation in L/min; `dead_space` in mL."""
        return max(self.volume - dead_space, 0.0) * self.rate / 1000


def saturation(oxygen: float) -> float:
    """Return the haemoglobin saturation, 0 to 1, at an oxygen pressure in mmHg (Severinghaus 1979)."""
    if oxygen <= 0:
        return 0.0
    return 1 / (23400 / (oxygen**3 + 150 * oxygen) + 1)


def own_drive(carbon_dioxide: float, *, propofol: float, remifentanil: float, sevoflurane: float) -> float:
    """Return spontaneous minute ventilation as a share of the resting ventilation, 0 to 3.

    The response to carbon dioxide is linear, 1 at rest and 0 at 5 mmHg below it. Each drug reduces it by a share.
    """
    p = parameters("gas_exchange")
    wanted = 1 + 0.2 * (carbon_dioxide - p["resting_paco2"])
    left = 1 - sigmoid(remifentanil, p["depression_c50"], p["depression_gamma"])
    left *= 1 - sigmoid(propofol, p["propofol_depression_c50"], 2)
    left *= 1 - sigmoid(sevoflurane, p["sevoflurane_depression_c50"], 2)
    return min(max(wanted, 0.0), 3.0) * left


class Lungs:
    """Carbon dioxide and oxygen of one patient of `weight` kg; `paco2` in mmHg, `alveolar_oxygen` as a fraction."""

    def __init__(self, weight: float) -> None:
        p = parameters("gas_exchange")
        scale = parameters("allometry")
        metabolic: float = scale["adult_weight"] * (weight / scale["adult_weight"]) ** scale["clearance_exponent"]  # kg
        self.oxygen_uptake = p["oxygen_uptake"] * metabolic / 1000  # L/min
        self._production = p["carbon_dioxide_output"] * metabolic
        self._store = 0.863 * self._production / p["apnoea_rise"]
        self._dry = p["barometer"] - p["water"]
        self._volume = 0.032 * weight  # L of functional residual capacity
        self.paco2 = p["resting_paco2"]
        self.alveolar_oxygen = 0.21 - self.oxygen_uptake / (0.06 * metabolic)
        self.asleep = 0.0
        self.insufflation = 0.0

    def pass_second(self, *, ventilation: float, inspired_oxygen: float) -> None:
        """Advance by one second of alveolar `ventilation` in L/min with `inspired_oxygen` (0 to 1)."""
        burning = 1 - (1 - parameters("gas_exchange")["asleep_share"]) * self.asleep
        production = (
            self._production * burning * (1 + parameters("gas_exchange")["insufflated_output"] * self.insufflation)
        )
        self.paco2 += (0.863 * production - ventilation * self.paco2) / self._store / 60
        change = ventilation * (inspired_oxygen - self.alveolar_oxygen) - self.oxygen_uptake * burning
        self.alveolar_oxygen = min(max(self.alveolar_oxygen + change / self._volume / 60, 0.0), 1.0)

    def arterial_saturation(self, *, shunt: float, output: float) -> float:
        """Return the arterial saturation in percent, given a `shunt` (0 to 1) of the cardiac `output` in L/min.

        Shunted venous blood mixes with the rest. Oxygen contents include dissolved oxygen and assume 13 g/dL of
        haemoglobin.
        """
        oxygen, bound = self.alveolar_oxygen * self._dry - _ARTERIAL_GAP, 1.34 * 13
        content = bound * saturation(oxygen) + 0.0031 * max(oxygen, 0.0)
        venous_gap = self.oxygen_uptake * 100 / max(output, 0.3)
        mixed = content - shunt / (1 - shunt) * venous_gap
        return 100 * min(max(mixed / bound - 0.0031 * 100 / bound, 0.3), 1.0)
