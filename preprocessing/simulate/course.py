"""What happens to the patient: one value per second of every quantity that a device could measure.

Hand-drawn time courses, not pharmacology: phases, ramps, first-order lags and autocorrelated noise, with numbers of the
size that anaesthesia textbooks give (Miller's Anesthesia is meant wherever "textbook" is said). A physiologic model
replaces this module and nothing else: the devices in `signals` and `waves` only see a `Course`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from preprocessing.simulate.patients import ClinicalTimes, Patient
from preprocessing.simulate.streams import Purpose, case_rng

__all__ = ["Course", "Floats", "Phases", "Quantity", "autocorrelated", "case_course", "lagged"]

Floats: TypeAlias = npt.NDArray[np.float64]
Quantity = Literal[
    "hr", "sbp", "dbp", "mbp", "spo2", "bt",  # /min, mmHg, mmHg, mmHg, %, degrees C
    "etco2", "rr", "tv", "peep", "pip", "fio2",  # mmHg, /min, mL, mbar, mbar, %
    "insp_sevo", "exp_sevo", "bis",  # kPa, kPa, 1
    "propofol", "remifentanil", "noradrenaline",  # pump rates in mL/h
]  # fmt: skip
Technique = Literal["tiva", "mixed", "sevoflurane"]
_TECHNIQUES: Final[tuple[Technique, ...]] = ("tiva", "mixed", "sevoflurane")

_PROPOFOL_MG_PER_ML: Final = 20.0
_NORADRENALINE_UG_PER_ML: Final = 20.0
_BOLUS_RATE: Final = 1200.0  # mL/h; what pumps in VitalDB's recordings show during a bolus
_PUMP_STEP: Final = 10  # s between a target-controlled pump's changes of rate


@dataclass(frozen=True, kw_only=True)
class Phases:
    """When what happens, in seconds after the recording's start, in this order; `end` is its last second."""

    induction: float
    intubation: float
    incision: float
    closure: float
    emergence: float
    extubation: float
    end: float

    def clinical_times(self, rng: np.random.Generator) -> ClinicalTimes:
        """The times as a clinical table notes them; the record of anaesthesia begins before the recording's."""
        return ClinicalTimes(
            case_end=round(self.end),
            anaesthesia_start=-int(rng.integers(60, 1200)),
            anaesthesia_end=round(self.end) + int(rng.integers(-300, 600)),
            operation_start=round(self.incision),
            operation_end=round(self.closure),
        )


@dataclass(frozen=True, kw_only=True)
class Course:
    """One case's truth: each quantity as float64 of shape (n,) at seconds 0 to n - 1, NaN while there is none."""

    phases: Phases
    technique: Technique
    remifentanil_ug_per_ml: int | None
    has_noradrenaline: bool
    values: Mapping[Quantity, Floats]


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """What the parts of a course share: the clock in seconds, shape (n,), the phases, the patient and the chance."""

    clock: Floats
    phases: Phases
    patient: Patient
    technique: Technique
    rng: np.random.Generator


def case_course(seed: int, patient: Patient, hours: float) -> Course:
    """The course of a case of the given length."""
    rng = case_rng(seed, patient.case_id, Purpose.COURSE)
    phases = _phases(rng, hours * 3600)
    # VitalDB's shares: propofol in 55 % of the cases, remifentanil 75 %, sevoflurane 58 %.
    technique = _TECHNIQUES[int(rng.choice(3, p=(0.42, 0.13, 0.45)))]
    clock = np.arange(int(phases.end) + 1, dtype=np.float64)
    setting = _Setting(clock=clock, phases=phases, patient=patient, technique=technique, rng=rng)
    has_remifentanil = technique != "sevoflurane" or rng.random() < 0.44
    strength = (50 if rng.random() < 0.08 else 20) if has_remifentanil else None
    has_noradrenaline = bool(rng.random() < 0.08)  # 1.4 % in VitalDB; a set of 24 shall have one

    depth = _depth(setting)
    pumps = _pumps(setting, strength, has_noradrenaline)
    ventilation = _ventilation(setting)
    values: dict[Quantity, Floats] = {**pumps, **ventilation, **_circulation(setting, depth, pumps)}
    # Textbook: 93 to 98 awake, 40 to 60 is surgical anaesthesia.
    values["bis"] = np.clip(97 - (97 - rng.uniform(36, 50)) * depth + autocorrelated(rng, len(clock), 25, 3.0), 1, 98)
    return Course(
        phases=phases,
        technique=technique,
        remifentanil_ug_per_ml=strength,
        has_noradrenaline=has_noradrenaline,
        values=values,
    )


def lagged(target: Floats, seconds: float) -> Floats:
    """A first-order response, shape (n,) at 1 Hz: starts at the first target, nears each with the time constant."""
    gain = -np.expm1(-1 / seconds)
    return np.fromiter(accumulate(target.tolist(), lambda state, aim: state + gain * (aim - state)), np.float64)


def autocorrelated(rng: np.random.Generator, count: int, seconds: float, deviation: float) -> Floats:
    """Gaussian noise, shape (count,) at 1 Hz, of a standard deviation that forgets with the time constant (AR(1))."""
    keep = float(np.exp(-1 / seconds))
    steps = rng.normal(0.0, deviation * np.sqrt(1 - keep**2), count)
    steps[:1] = rng.normal(0.0, deviation, min(count, 1))  # begin in the stationary state

    states = accumulate(steps.tolist(), lambda state, step: keep * state + step)
    return np.fromiter(states, np.float64)


def _phases(rng: np.random.Generator, duration: float) -> Phases:
    """Usual durations, each bounded by a share of the case so that short cases have all phases too."""

    def lasting(low: float, high: float, share: float) -> float:
        return float(min(rng.uniform(low, high), share * duration))

    induction = lasting(180, 700, 0.10)
    intubation = induction + lasting(150, 300, 0.06)
    emergence = duration - lasting(480, 900, 0.18)
    return Phases(
        induction=induction,
        intubation=intubation,
        incision=intubation + lasting(700, 2000, 0.15),
        closure=emergence - lasting(60, 300, 0.03),
        emergence=emergence,
        extubation=duration - lasting(120, 300, 0.06),
        end=duration,
    )


def _between(setting: _Setting, start: float, end: float) -> Floats:
    return ((setting.clock >= start) & (setting.clock < end)).astype(np.float64)


def _response(setting: _Setting, start: float, rise: float, decay: float) -> Floats:
    """A stimulus' answer, shape (n,), 0 to 1: up within `rise` seconds, gone with the time constant `decay`."""
    age = np.maximum(setting.clock - start, 0)
    return np.minimum(age / rise, 1) * np.exp(-np.maximum(age - rise, 0) / decay)


def _adjusted(setting: _Setting, spread: float) -> Floats:
    """A factor around 1, shape (n,), changed by hand every 5 to 15 minutes."""
    rng, count = setting.rng, len(setting.clock)
    times = np.cumsum(rng.uniform(300, 900, count // 300 + 2))
    levels = np.exp(rng.normal(0, spread, len(times) + 1))
    factor: Floats = levels[np.searchsorted(times, setting.clock, side="right")]
    return factor


def _depth(setting: _Setting) -> Floats:
    """Depth of anaesthesia, 0 awake to 1: down within two minutes of induction, back in the minutes of emergence."""
    phases, rng = setting.phases, setting.rng
    asleep = lagged(_between(setting, phases.induction + 20, phases.extubation), rng.uniform(35, 60))
    waking = np.clip((setting.clock - phases.emergence) / max(phases.extubation - phases.emergence, 1), 0, 1)
    return np.asarray(asleep * (1 - 0.6 * waking))


def _pumps(setting: _Setting, strength: int | None, has_noradrenaline: bool) -> dict[Quantity, Floats]:
    """Pump rates in mL/h, NaN where no such pump is used."""
    rng, phases, weight, clock = setting.rng, setting.phases, setting.patient.weight, setting.clock
    none = np.full(len(clock), np.nan)
    since = np.maximum(clock - phases.induction, 0)
    propofol, remifentanil, noradrenaline = none, none, none
    if setting.technique != "sevoflurane":
        # Textbook: induction 1.5 to 2.5 mg/kg, maintenance 4 to 8 mg/kg/h, falling while the tissues fill.
        bolus = rng.uniform(1.5, 2.2) * weight / _PROPOFOL_MG_PER_ML / _BOLUS_RATE * 3600
        off = phases.emergence if setting.technique == "tiva" else phases.incision
        steady = rng.uniform(4, 7) * weight / _PROPOFOL_MG_PER_ML * (1 + 0.8 * np.exp(-since / 900))
        propofol = _stepwise(steady * _adjusted(setting, 0.12)) * _between(setting, phases.induction + bolus, off)
        propofol += _BOLUS_RATE * _between(setting, phases.induction, phases.induction + bolus)
    if strength is not None:
        # Textbook: 0.05 to 0.25 ug/kg/min.
        steady = rng.uniform(0.06, 0.18) * weight * 60 / strength * (1 + np.exp(-since / 300))
        off = phases.emergence + rng.uniform(0, 0.5) * (phases.extubation - phases.emergence)
        remifentanil = _stepwise(steady * _adjusted(setting, 0.25)) * _between(setting, phases.induction, off)
    if has_noradrenaline:
        # Textbook: 0.02 to 0.2 ug/kg/min, by hand, so in whole mL/h.
        steady = rng.uniform(0.03, 0.15) * weight * 60 / _NORADRENALINE_UG_PER_ML * _adjusted(setting, 0.4)
        noradrenaline = np.maximum(np.rint(steady), 1) * _between(setting, phases.incision, phases.closure)
    return {"propofol": propofol, "remifentanil": remifentanil, "noradrenaline": noradrenaline}


def _stepwise(rate: Floats) -> Floats:
    """A rate held for the pump's step, shape (n,)."""
    return rate[np.arange(len(rate)) // _PUMP_STEP * _PUMP_STEP]


def _ventilation(setting: _Setting) -> dict[Quantity, Floats]:
    """Breathing from the mask to the extubation; before and after there is nothing in the circuit to measure."""
    rng, phases, clock, count = setting.rng, setting.phases, setting.clock, len(setting.clock)
    mask = max(phases.induction - 120, 0.0)
    in_circuit = _between(setting, mask, phases.extubation) > 0
    ventilated = _between(setting, phases.intubation, phases.emergence) > 0
    size = 22 * (setting.patient.height / 100) ** 2  # kg, what somebody of this height weighs at a BMI of 22
    child = max(0.0, 12 - setting.patient.age)

    # Textbook: 6 to 8 mL/kg, 10 to 14 breaths in adults, more in children, PEEP 0 to 8, FiO2 40 to 60 %.
    set_rr = np.rint(rng.uniform(10, 14) * _adjusted(setting, 0.08) + child)
    own_rr = np.clip(16 + child + autocorrelated(rng, count, 40, 4), 3, 45)
    set_tv = rng.uniform(6, 9) * size * _adjusted(setting, 0.04) + autocorrelated(rng, count, 30, 0.02 * 7 * size)
    own_tv = np.clip(6 * size * (1 + autocorrelated(rng, count, 20, 0.35)), 0.5 * size, 20 * size)
    peep = float(rng.choice((0, 4, 5, 6, 8)))
    fio2 = np.where(ventilated, rng.choice((40, 45, 50, 60)) * _adjusted(setting, 0.03), 96.0)
    etco2 = rng.uniform(32, 38) + autocorrelated(rng, count, 400, 1.5) + 8 * (clock >= phases.emergence)
    carrier = setting.technique != "tiva"
    vapour = rng.uniform(1.8, 2.6) * _adjusted(setting, 0.1)  # kPa; textbook: 1 MAC is about 2 % at forty
    inspired = lagged(vapour * _between(setting, phases.intubation, phases.emergence) * carrier, 45)
    expired = lagged(0.9 * inspired, 180)  # wash-in of minutes
    return {
        "rr": np.where(in_circuit, np.where(ventilated, set_rr, own_rr), np.nan),
        "tv": np.where(in_circuit, np.where(ventilated, set_tv, own_tv), np.nan),
        "peep": np.where(in_circuit, np.where(ventilated, peep, 0.0), np.nan),
        "pip": np.where(in_circuit, np.where(ventilated, peep + 5 + set_tv / (0.75 * size), 2.0), np.nan),
        "fio2": lagged(np.where(in_circuit, np.clip(fio2, 21, 100), 21.0), 30),
        "etco2": np.where(in_circuit, etco2 * (1 - 0.2 * rng.random(count) * ~ventilated), 0.0),
        "insp_sevo": inspired,
        "exp_sevo": expired,
    }


def _circulation(setting: _Setting, depth: Floats, pumps: Mapping[Quantity, Floats]) -> dict[Quantity, Floats]:
    """Heart and pressures: down with induction, up with tube, knife and noradrenaline; saturation and temperature."""
    rng, phases, count, age = setting.rng, setting.phases, len(setting.clock), setting.patient.age
    stimulus = _response(setting, phases.intubation, 30, 200) + 0.7 * _response(setting, phases.incision, 60, 500)
    stimulus = stimulus + 0.9 * _response(setting, phases.extubation - 60, 60, 600)
    pressor = 12 * (np.nan_to_num(pumps["noradrenaline"]) > 0)

    # Textbook: pressure falls by 20 to 30 % at induction; children have faster hearts and lower pressures.
    resting_hr = rng.normal(74, 9) + 55 * np.exp(-age / 5)
    resting_mbp = min(rng.normal(96, 10), 55 + 4 * age)
    hr = resting_hr * (1 - rng.uniform(0.05, 0.2) * depth + 0.22 * stimulus)
    mbp = resting_mbp * (1 - rng.uniform(0.15, 0.32) * depth + 0.25 * stimulus) + lagged(pressor * depth, 60)
    hr = hr + autocorrelated(rng, count, 240, 4.0) + autocorrelated(rng, count, 15, 1.2)
    mbp = np.clip(mbp + autocorrelated(rng, count, 300, 5.0) + autocorrelated(rng, count, 20, 2.0), 35, 170)
    pulse = (rng.uniform(34, 46) + 0.25 * max(age - 50, 0)) * mbp / 85
    dip = _response(setting, phases.induction + 90, 40, 60) * rng.exponential(2.5)  # apnoea while intubating
    spo2 = rng.uniform(97.5, 99.8) - dip + autocorrelated(rng, count, 120, 0.5)
    return {
        "hr": np.clip(hr, 32, 190),
        "sbp": mbp + 2 / 3 * pulse,
        "dbp": mbp - 1 / 3 * pulse,  # mean = diastole + a third of the pulse pressure
        "mbp": mbp,
        "spo2": np.clip(spo2, 60, 100),
        "bt": 36.4 - 0.8 * (1 - np.exp(-setting.clock / 3600)) + autocorrelated(rng, count, 900, 0.05),
    }
