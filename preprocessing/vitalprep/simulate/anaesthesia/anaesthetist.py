"""The anaesthetist as a controller: reads the monitors and sets pumps, vaporizer and ventilator.

Habits and limits are in `practice.yaml`. The controller sees only the monitors, not the patient's true state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from vitalprep.contract.config_file import load_config
from vitalprep.simulate.anaesthesia.anaesthetic import Anaesthetic, practice
from vitalprep.simulate.anaesthesia.target_control import STEP, TargetPump
from vitalprep.simulate.patients import Patient
from vitalprep.simulate.physiology.effects import minimum_alveolar_concentration
from vitalprep.simulate.physiology.pharmacokinetics import eleveld, minto, schnider

__all__ = ["Anaesthetist", "Seen", "noradrenaline_ug_per_ml", "predicted_weight"]

PROPOFOL_MG_PER_ML = 20.0
NORADRENALINE_TRACK = "Orchestra/NEPI_RATE"
_STOPPED = 5  # number of phases begun when the drugs are off


@dataclass(frozen=True)
class Seen:
    """Monitor readings: BIS, mean pressure (mmHg), EtCO2 (mmHg), SpO2 (%), expired sevoflurane (vol%)."""

    bis: float
    pressure: float
    etco2: float
    spo2: float
    vapour: float


@cache
def noradrenaline_ug_per_ml() -> float:
    """Return the concentration in the noradrenaline pump: the one by which the registry converts its track."""
    sources = (source for item in load_config().inputs for source in item.sources)
    conversion = next(source.conversion for source in sources if source.track == NORADRENALINE_TRACK)
    assert conversion is not None
    assert conversion.per_kg_min is not None
    return conversion.per_kg_min.concentration


def predicted_weight(patient: Patient) -> float:
    """Return the weight in kg for tidal volumes: that of a body mass index of 22; for a child, its actual weight."""
    slim = 22 * (patient.height / 100) ** 2
    return min(slim, patient.weight) if patient.age < 14 else slim


class Anaesthetist:
    """One case's anaesthetist. The public attributes are the current settings.

    Attributes
    ----------
    propofol, remifentanil : TargetPump or None
        The pumps; None if the drug is not given by pump. Amounts in mg and ug.
    noradrenaline : float
        Rate in mL/h; 0 while stopped.
    dial, fresh_flow : float
        Vaporizer in vol%, fresh gas flow in L/min.
    fio2, volume, rate, peep : float
        Oxygen in %, tidal volume in mL, breaths per minute, PEEP in cmH2O.
    """

    def __init__(self, rng: np.random.Generator, patient: Patient, plan: Anaesthetic, resting_pressure: float) -> None:
        self._rng, self._patient, self._plan = rng, patient, plan
        self._phases = plan.phases
        self._resting_pressure = resting_pressure
        self.propofol = self._propofol_pump() if plan.technique != "sevoflurane" else None
        self.remifentanil = self._remifentanil_pump(plan.remifentanil_ug_per_ml)
        self.noradrenaline = 0.0
        self.dial, self.fresh_flow = 0.0, 6.0
        self.fio2, self.peep = 100.0, 0.0
        habits = practice("ventilation")
        size = predicted_weight(patient)
        per_kg = rng.uniform(*habits["volume"])
        self.volume = per_kg * size
        self._one_lung_volume = rng.uniform(*habits["one_lung_volume"]) * size
        self.rate = float(round(rng.uniform(*habits["rate"]) + max(0.0, 12 - patient.age)))
        self._habitual_peep = float(rng.choice(habits["peep"]))
        self._habitual_fio2 = float(rng.choice(habits["fio2"]))
        self._habitual_flow = float(rng.uniform(*habits["fresh_flow"]))
        self._etco2_aim = float(rng.uniform(*habits["etco2"]))
        self._bis_aim = float(rng.uniform(*practice("bis")["aim"]))
        self._vapour_aim = self._usual_vapour()
        self._next_look = self._phases.intubation + rng.uniform(60, 180)
        self._low_since = np.inf
        self._begun = 0  # phases

    @property
    def hand_bolus(self) -> float:
        """Manual propofol bolus at induction in mg."""
        if self.propofol is not None:
            return 0.0
        per_kg = self._rng.uniform(*practice("propofol")["bolus"]) * (1 - 0.006 * max(self._patient.age - 40, 0))
        return float(per_kg * self._patient.weight)

    def act(self, second: int, seen: Seen) -> bool:
        """Adjust the settings, every ten seconds. Return True if a bolus of ephedrine is given."""
        if second % STEP:
            return False
        self._follow_phases(second)
        if second >= self._next_look and self._begun < _STOPPED:
            self._next_look = second + self._rng.uniform(60, 240)
            self._adjust_hypnotic(seen)
            self._adjust_opioid(seen)
            self._adjust_breathing(seen)
            self._adjust_noradrenaline(seen)
        for pump in (self.propofol, self.remifentanil):
            if pump is not None:
                pump.decide()
                # Syringe pumps move in discrete steps: real rates vary by one or two percent.
                pump.rate *= float(np.exp(self._rng.normal(0, 0.015)))
        return self._treats_low_pressure(second, seen)

    def _propofol_pump(self) -> TargetPump:
        model = schnider(self._patient) if self._patient.age >= 18 else eleveld(self._patient)
        return TargetPump(model, fastest=practice("propofol")["fastest"] * PROPOFOL_MG_PER_ML / 60)

    def _remifentanil_pump(self, strength: int | None) -> TargetPump | None:
        if strength is None:
            return None
        return TargetPump(minto(self._patient), fastest=practice("propofol")["fastest"] * strength / 60)

    def _usual_vapour(self) -> float:
        habits = practice("sevoflurane")
        share = habits["opioid_share"] if self._plan.remifentanil_ug_per_ml else 1.0
        share *= 0.35 if self._plan.technique == "mixed" else 1.0
        return float(self._rng.uniform(*habits["mac"]) * share * minimum_alveolar_concentration(self._patient.age))

    def _follow_phases(self, second: int) -> None:
        """Perform the actions of each phase when it begins, in order."""
        phases = self._phases
        begins = (
            (phases.induction, self._induce),
            (phases.intubation, self._connect_ventilator),
            (phases.incision - 120, self._prepare_incision),
            (phases.closure, self._lighten),
            (phases.emergence, self._stop),
        )
        while self._begun < len(begins) and second >= begins[self._begun][0]:
            begins[self._begun][1]()
            self._begun += 1

    def _induce(self) -> None:
        rng = self._rng
        younger = 1 + practice("propofol")["target_per_year"] * max(self._patient.age - 40, 0)
        if self.propofol is not None:
            self.propofol.target = round(rng.uniform(*practice("propofol")["target"]) * younger, 1)
        if self.remifentanil is not None:
            self.remifentanil.target = round(rng.uniform(*practice("remifentanil")["target"]) * younger, 1)

    def _connect_ventilator(self) -> None:
        self.peep, self.fio2, self.fresh_flow = self._habitual_peep, self._habitual_fio2, self._habitual_flow
        if self._plan.technique != "tiva":
            self.dial = self._rng.uniform(*practice("sevoflurane")["start"]) * min(1.0, self._vapour_aim / 1.2)

    def _prepare_incision(self) -> None:
        if self.remifentanil is not None:
            wanted = self._rng.uniform(*practice("remifentanil")["surgical"])
            self.remifentanil.target = round(max(self.remifentanil.target, wanted), 1)
        if self._plan.one_lung:
            self.volume, self.fio2 = self._one_lung_volume, max(self.fio2, 80.0)
            self.rate += 3

    def _lighten(self) -> None:
        """Reduce the depth of anaesthesia for skin closure."""
        self._bis_aim += 12
        self._vapour_aim *= 0.7
        self.dial = round(0.6 * self.dial, 1)
        for pump in (self.propofol, self.remifentanil):
            if pump is not None:
                pump.target = round(0.75 * pump.target, 1)

    def _stop(self) -> None:
        self.dial, self.fresh_flow, self.fio2 = 0.0, 8.0, 100.0
        self.noradrenaline = 0.0
        self.rate = max(round(0.6 * self.rate), 5.0)  # lets carbon dioxide rise, so that spontaneous breathing returns
        for pump in (self.propofol, self.remifentanil):
            if pump is not None:
                pump.target = 0.0

    def _adjust_hypnotic(self, seen: Seen) -> None:
        """Adjust propofol by BIS, and vapour by its target and BIS."""
        habits = practice("bis")
        away = seen.bis - self._bis_aim
        if self._plan.technique == "tiva" or (self._plan.technique == "mixed" and self._rng.random() < 0.5):
            limits = practice("propofol")
            if self.propofol is not None and abs(away) > habits["window"]:
                step = 0.2 if abs(away) < 2 * habits["window"] else 0.4
                target = self.propofol.target + step * np.sign(away)
                self.propofol.target = round(float(np.clip(target, limits["lowest"], limits["highest"])), 1)
        if self._plan.technique != "tiva":
            if abs(away) > habits["window"]:
                highest = 1.5 * minimum_alveolar_concentration(self._patient.age)
                self._vapour_aim = float(np.clip(self._vapour_aim * (1 + 0.08 * np.sign(away)), 0.3, highest))
            miss = self._vapour_aim - seen.vapour
            dial = self._vapour_aim * 1.2 + 2.0 * miss
            self.dial = round(float(np.clip(dial, 0, practice("sevoflurane")["highest"])), 1)

    def _adjust_opioid(self, seen: Seen) -> None:
        if self.remifentanil is None:
            return
        limits, pressures = practice("remifentanil"), practice("pressure")
        share, target = seen.pressure / self._resting_pressure, self.remifentanil.target
        if share > pressures["high"]:
            target += 1.0
        elif share > 0.98:
            target += 0.5
        elif share < pressures["low"] or (share < 0.8 and self._rng.random() < 0.3):
            target -= 0.5
        self.remifentanil.target = round(float(np.clip(target, limits["lowest"], limits["highest"])), 1)

    def _adjust_breathing(self, seen: Seen) -> None:
        """Change the rate by one breath per minute when EtCO2 leaves its target; raise FiO2 when SpO2 falls."""
        away = seen.etco2 - self._etco2_aim
        if abs(away) > 2.5 and seen.etco2 > 15:
            self.rate = float(np.clip(self.rate + np.sign(away), 8, 35))
        if seen.spo2 < 95:
            self.fio2 = min(self.fio2 + 20, 100.0)
            self.peep = min(self.peep + 1, 10.0)
        elif seen.spo2 > 98 and self.fio2 > self._habitual_fio2 and not self._plan.one_lung:
            self.fio2 -= 10

    def _adjust_noradrenaline(self, seen: Seen) -> None:
        if not self._plan.noradrenaline:
            return
        habits = practice("pressure")
        low = habits["noradrenaline_aim"] - seen.pressure
        if self.noradrenaline == 0:
            if low > 5:
                self.noradrenaline = float(round(self._rng.uniform(*habits["noradrenaline_start"])))
        elif abs(low) > 4:
            step = 1 if abs(low) < 12 else 3
            rate = self.noradrenaline + np.sign(low) * step
            self.noradrenaline = float(np.clip(rate, 0, habits["noradrenaline_highest"]))

    def _treats_low_pressure(self, second: int, seen: Seen) -> bool:
        limit = min(practice("pressure")["ephedrine"], 0.72 * self._resting_pressure)
        if seen.pressure > limit or not self._begun:
            self._low_since = np.inf
        elif np.isinf(self._low_since):
            self._low_since = float(second)
        elif second - self._low_since > 120:
            self._low_since = float(second + 180)  # wait for its effect
            return True
        return False
