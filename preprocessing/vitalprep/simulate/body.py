"""One simulated patient: drugs, brain, circulation and lungs, advanced together in steps of one second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log

import numpy as np

from vitalprep.simulate.anaesthesia.anaesthetic import Anaesthetic
from vitalprep.simulate.anaesthesia.anaesthetist import Anaesthetist, noradrenaline_ug_per_ml, predicted_weight
from vitalprep.simulate.patients import Patient
from vitalprep.simulate.physiology.breathing import Breath, Lungs, own_drive
from vitalprep.simulate.physiology.circulation import Circulation, Resting
from vitalprep.simulate.physiology.effects import (
    Sensitivity,
    bispectral_index,
    blunting,
    hypnosis,
    minimum_alveolar_concentration,
    sigmoid,
)
from vitalprep.simulate.physiology.models import parameters
from vitalprep.simulate.physiology.pharmacokinetics import Kinetics, Pool, beloeil, eleveld, minto
from vitalprep.simulate.physiology.vapour import Vapour

__all__ = ["Body", "Disturbance", "resting_circulation"]

_LARYNGOSCOPY = 35  # s without a breath


@dataclass(frozen=True)
class Disturbance:
    """Random and surgical influences in one second: stimulus (0 to 1), mmHg, beats/min, factors on own breaths."""

    stimulus: float
    pressure: float
    rate: float
    breath_rate: float
    breath_volume: float


def resting_circulation(rng: np.random.Generator, patient: Patient) -> Resting:
    """Return awake pressures and heart rate: textbook values by age, with the usual variation between people."""
    age = patient.age
    pressure = rng.normal(92, 9) + 0.15 * (age - 50) if age >= 18 else rng.normal(55 + 1.7 * age, 5)
    rate = rng.normal(73, 9) + 60 * exp(-age / 5)
    surface = 0.007184 * patient.weight**0.425 * patient.height**0.725  # m2, DuBois (1916)
    stiff = rng.uniform(40, 52) + 0.35 * max(age - 45, 0)
    return Resting(
        rate=max(float(rate), 48.0),
        pressure=float(max(pressure, 48.0)),
        pulse=stiff if age >= 18 else 26 + 0.9 * age,
        stroke=41.0 * surface if age >= 12 else 38.0 * surface,
        reflex=parameters("circulation")["reflex"] * max(1.3 - 0.012 * age, 0.3),
    )


class Body:
    """A patient under anaesthesia. `rng` draws the individual parameters.

    Attributes
    ----------
    hypnosis : float
        Summed effect of the hypnotics; 1 halves the BIS.
    bis : float
        The value that a noise-free monitor would show.
    breath : Breath
        The breath that a spirometer at the mouth would measure; `connected` says whether one is attached.
    extubated : float
        Second of the extubation; infinite before it.
    """

    def __init__(self, rng: np.random.Generator, patient: Patient, plan: Anaesthetic, resting: Resting) -> None:
        p = parameters("hypnosis")
        self._patient, self._plan, self._phases = patient, plan, plan.phases
        self._mask_on = max(plan.phases.induction - rng.uniform(70, 160), 0.0)
        older = exp(parameters("eleveld")["ce50_ageing"] * (patient.age - 35))
        self._sensitivity = Sensitivity(
            propofol=older * float(rng.lognormal(0, p["cv_c50_propofol"])),
            sevoflurane=minimum_alveolar_concentration(patient.age)
            / parameters("mac")["mac40"]
            * float(rng.lognormal(0, p["cv_c50_sevoflurane"])),
        )
        self.propofol = Pool(_individual(rng, eleveld(patient), "eleveld"))
        self.remifentanil = Pool(_individual(rng, minto(patient), "minto"))
        self.noradrenaline = Pool(beloeil(patient))
        self.vapour = Vapour(patient.weight)
        self.lungs = Lungs(patient.weight)
        self.circulation = Circulation(resting)
        self._mac = minimum_alveolar_concentration(patient.age)
        self._size = predicted_weight(patient)
        lung = parameters("gas_exchange")
        self._compliance = float(rng.uniform(lung["compliance_low"], lung["compliance_high"])) * self._size  # mL/mbar
        self._resistance = float(rng.uniform(3.0, 6.0))  # mbar between peak and plateau
        self._gradient = max(float(rng.normal(lung["gradient"], 1.5)), 1.0)
        self._shunt = float(rng.lognormal(0, 0.35))
        self._bis_keep = exp(-1 / p["monitor_lag"])
        self.circuit_oxygen = 0.95
        self.hypnosis = 0.0
        self.bis = bispectral_index(0.0)
        self.breath = Breath(lung["own_rate"], lung["own_volume"] * self._size)
        self.connected = self.ventilated = False
        self.stimulus = 0.0
        self._opened = False
        self.extubated = np.inf
        self._breathing_since = np.inf

    def pass_second(self, second: int, doctor: Anaesthetist, happening: Disturbance) -> None:
        """Advance by one second under the anaesthetist's settings."""
        self._take_drugs(doctor)
        self._breathe(second, doctor, happening)
        self.stimulus = happening.stimulus * (1 - blunting(self.remifentanil.effect)) * (1 - 0.35 * self.asleep)
        effect = self.noradrenaline.effect
        p = parameters("beloeil")
        self.circulation.pass_second(
            propofol=self.propofol.plasma,
            remifentanil=self.remifentanil.effect,
            vapour=self.vapour.alveolar / self._mac,
            pressor=p["emax"] * sigmoid(effect, p["c50"], p["gamma"])
            + parameters("circulation")["insufflation"] * self._insufflation(second),
            stimulus=self.stimulus,
            noise=happening.pressure,
        )
        self._think(happening.stimulus)

    @property
    def asleep(self) -> float:
        """Depth from 0 (awake) to 1 (surgical anaesthesia)."""
        return min(self.hypnosis / 0.8, 1.0)

    @property
    def shunt(self) -> float:
        """Pulmonary shunt fraction, 0 to 1."""
        p = parameters("gas_exchange")
        base = p["shunt_awake"] + (p["shunt_asleep"] - p["shunt_awake"]) * self.asleep
        surgery = self.ventilated and self._plan.one_lung
        return min(base * self._shunt + (p["shunt_one_lung"] if surgery and self._opened else 0.0), 0.4)

    @property
    def etco2(self) -> float:
        """End-tidal CO2 in mmHg. Small breaths deliver less than the alveolar concentration."""
        share = min(1.0, self.breath.volume / (4.0 * self._size)) ** 0.5
        return max(self.lungs.paco2 - self._gradient, 0.0) * share if self.breath.rate > 0 else 0.0

    @property
    def peak_pressure(self) -> float:
        """Peak airway pressure in mbar above PEEP of a ventilator's breath; 2 for spontaneous breaths."""
        if not self.ventilated:
            return 2.0
        p = parameters("gas_exchange")
        stiffer = 1.0 + p["insufflated_stiffness"] * self.lungs.insufflation
        stiffer += p["one_lung_stiffness"] * (self._opened and self._plan.one_lung)
        return self.breath.volume / self._compliance * stiffer + self._resistance

    @property
    def compliance(self) -> float:
        """Compliance of lung and chest wall in mL/mbar."""
        return self._compliance / (1.0 + parameters("gas_exchange")["insufflated_stiffness"] * self.lungs.insufflation)

    def _take_drugs(self, doctor: Anaesthetist) -> None:
        self.propofol.pass_second(doctor.propofol.rate if doctor.propofol is not None else 0.0)
        self.remifentanil.pass_second(doctor.remifentanil.rate if doctor.remifentanil is not None else 0.0)
        self.noradrenaline.pass_second(doctor.noradrenaline * noradrenaline_ug_per_ml() / 60)

    def _think(self, stimulus: float) -> None:
        self.hypnosis = hypnosis(self.propofol.effect, self.remifentanil.effect, self.vapour.effect, self._sensitivity)
        arousal = parameters("hypnosis")["arousal"] * self.stimulus * (self.hypnosis > 0.3) * (stimulus > 0.2)
        aim = min(bispectral_index(self.hypnosis) + arousal, 98.0)
        self.bis = aim + (self.bis - aim) * self._bis_keep

    def _breathe(self, second: int, doctor: Anaesthetist, happening: Disturbance) -> None:
        self.lungs.asleep = self.asleep
        self.lungs.insufflation = self._insufflation(second)
        self._opened = self._phases.incision <= second < self._phases.closure
        drive = own_drive(
            self.lungs.paco2,
            propofol=self.propofol.effect,
            remifentanil=self.remifentanil.effect,
            sevoflurane=self.vapour.effect,
        )
        p = parameters("gas_exchange")
        own = Breath(
            p["own_rate"] * max(drive, 0.0) ** 0.6 * happening.breath_rate
            + max(0.0, 12 - self._patient.age) * min(drive, 1.0),
            p["own_volume"] * self._size * max(drive, 0.0) ** 0.4 * happening.breath_volume,
        )
        self._choose_breath(second, doctor, own, drive)
        mixing = doctor.fresh_flow / 60 / parameters("sevoflurane")["circuit_volume"]
        self.circuit_oxygen += mixing * (doctor.fio2 / 100 - self.circuit_oxygen)
        ventilation = self.breath.alveolar(p["dead_space"] * self._size)
        self.lungs.pass_second(ventilation=ventilation, inspired_oxygen=self.circuit_oxygen if self.connected else 0.21)
        self.vapour.pass_second(
            dial=doctor.dial,
            fresh_flow=doctor.fresh_flow,
            ventilation=ventilation if self.connected else 0.0,
            output=self.circulation.output,
        )

    def _choose_breath(self, second: int, doctor: Anaesthetist, own: Breath, drive: float) -> None:
        """Select ventilator, mask or spontaneous breathing, and whether a circuit is connected."""
        phases = self._phases
        sleeping = self.hypnosis > parameters("hypnosis")["asleep"]
        self.ventilated = False
        if second < self._mask_on or second >= self.extubated:
            self.connected, self.breath = False, own
        elif second < phases.intubation - _LARYNGOSCOPY:
            # Face mask: spontaneous breaths, then manual ventilation.
            self.connected = True
            self.breath = Breath(12.0, 1.05 * doctor.volume) if sleeping else own
        elif second < phases.intubation:
            self.connected, self.breath = False, Breath(0.0, 0.0)
        else:
            self._breathe_by_tube(second, doctor, own, drive)

    def _breathe_by_tube(self, second: int, doctor: Anaesthetist, own: Breath, drive: float) -> None:
        self.connected = True
        if second < self._phases.emergence + 60 or drive < 0.45:
            self.ventilated, self.breath = True, Breath(doctor.rate, doctor.volume)
            self._breathing_since = np.inf
        else:
            self.breath = own
            self._breathing_since = min(self._breathing_since, float(second))
        awake = self.hypnosis < parameters("hypnosis")["asleep"] and second > self._breathing_since + 45
        if awake or second >= self._phases.extubation:
            self.extubated = float(second)

    def _insufflation(self, second: int) -> float:
        """Return the degree of pneumoperitoneum, 0 to 1: from minutes after the incision until before the closure."""
        phases = self._phases
        inside = phases.incision + 240 <= second < phases.closure - 600
        return 1.0 if self._plan.laparoscopy and inside else 0.0


def _individual(rng: np.random.Generator, average: Kinetics, model: str) -> Kinetics:
    """Return the average model with this patient's individual volume, clearance and onset."""
    p = parameters(model)

    def factor(name: str) -> float:
        deviation = (log(1 + p.get(name, 0.0) ** 2)) ** 0.5
        return float(rng.lognormal(0, deviation))

    return replace(
        average,
        v1=average.v1 * factor("cv_v1"),
        cl1=average.cl1 * factor("cv_cl1"),
        ke0=average.ke0 * factor("cv_ke0"),
    )
