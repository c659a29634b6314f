"""Uptake and elimination of sevoflurane: circle system, lung, vessel-rich group, muscle and fat.

Eger's uptake model. All concentrations are in vol% of one atmosphere; in a tissue, the vol% in equilibrium with it.
"""

from __future__ import annotations

from math import exp, log

from vitalprep.simulate.physiology.models import parameters

__all__ = ["Vapour"]


class Vapour:
    """The agent in one patient and in the breathing circuit.

    Parameters
    ----------
    weight : float
        Body weight in kg; tissue volumes scale with it.
    """

    def __init__(self, weight: float) -> None:
        p = parameters("sevoflurane")
        size = weight / parameters("allometry")["adult_weight"]
        solubility = p["blood_gas"]
        # Each tissue: its capacity for the agent in litres of gas, and its share of the cardiac output.
        self._tissues = tuple(
            (p[f"{name}_volume"] * size * solubility * p[coefficient], p[f"{name}_flow"])
            for name, coefficient in (("rich", "brain_blood"), ("muscle", "muscle_blood"), ("fat", "fat_blood"))
        )
        self._lung = p["lung_volume"] * size
        self._circuit = p["circuit_volume"]
        self._solubility = solubility
        self._keep = exp(-log(2) / (60 * parameters("hypnosis")["sevoflurane_half_time"]))
        self._held = [0.0, 0.0, 0.0]
        self.inspired = 0.0
        self.alveolar = 0.0
        self.effect = 0.0

    def pass_second(self, *, dial: float, fresh_flow: float, ventilation: float, output: float) -> None:
        """Advance by one second.

        Parameters
        ----------
        dial : float
            Vaporizer setting in vol%.
        fresh_flow, ventilation, output : float
            Fresh gas flow, alveolar ventilation through the circuit (0 if disconnected) and cardiac output, in L/min.
        """
        minute = 1 / 60
        breathed, fresh = ventilation * minute, fresh_flow * minute
        # The circuit exchanges with fresh gas, and with what the patient breathes out.
        self.inspired += (fresh * (dial - self.inspired) + breathed * (self.alveolar - self.inspired)) / self._circuit
        blood = output * minute * self._solubility
        taken = 0.0
        for index, (room, share) in enumerate(self._tissues):
            moved = blood * share * (self.alveolar - self._held[index])
            self._held[index] += moved / room
            taken += moved
        # A patient off the circuit breathes air.
        arriving = breathed * (self.inspired - self.alveolar) if ventilation > 0 else -0.04 * self.alveolar
        self.alveolar = max(self.alveolar + (arriving - taken) / self._lung, 0.0)
        self.effect += (1 - self._keep) * (self.alveolar - self.effect)
