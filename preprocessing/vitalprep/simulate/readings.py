"""Quantities that devices derive from the patient's values: minute volumes, indices, infused volumes, EEG summaries.

They do not affect the patient. Formulas are definitions unless a source is named.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vitalprep.simulate.course import Course
from vitalprep.simulate.noise import Floats, autocorrelated
from vitalprep.simulate.patients import Patient
from vitalprep.simulate.physiology.effects import minimum_alveolar_concentration
from vitalprep.simulate.streams import Purpose, case_rng

__all__ = ["readings"]


def readings(seed: int, patient: Patient, course: Course) -> Mapping[str, Floats]:
    """Return all quantities that devices show, including those of the course, as float64 of shape (n,) at 1 Hz."""
    rng = case_rng(seed, patient.case_id, Purpose.MONITOR, "readings")
    values: dict[str, Floats] = {str(name): series for name, series in course.values.items()}
    count = len(values["hr"])
    values["none"] = np.zeros(count)
    values["age"] = np.full(count, patient.age)
    values["barometer"] = np.full(count, float(np.round(rng.normal(1015, 5))))
    _add_ventilation(rng, values)
    _add_vapour(values, patient)
    _add_brain(rng, values)
    _add_heart(rng, values, patient)
    for drug in ("propofol", "remifentanil", "noradrenaline"):
        values[f"{drug}_vol"] = np.cumsum(values[drug]) / 3600
    return values


def _add_ventilation(rng: np.random.Generator, values: dict[str, Floats]) -> None:
    count = len(values["hr"])
    ratio = rng.choice((0.33, 0.33, 0.40, 0.5))  # inspiratory share of the breathing cycle
    values["mv"] = values["tv"] * values["rr"] / 1000
    values["insp_time"] = ratio * 60 / values["set_rr"]
    values["insp_pause"] = np.full(count, float(rng.choice((0, 10, 10, 20, 30))))
    values["pplat"] = values["pip"] - np.minimum(rng.uniform(1.5, 4), 0.3 * values["pip"])
    values["mawp"] = values["peep"] + ratio * (values["pip"] - values["peep"])
    values["set_tv_l"] = values["set_tv"] / 1000
    values["fresh_flow_ml"] = values["fresh_flow"] * 1000
    oxygen = np.clip((values["set_fio2"] / 100 - 0.21) / 0.79, 0.02, 1)
    values["flow_o2"] = values["fresh_flow_ml"] * oxygen
    values["flow_air"] = values["fresh_flow_ml"] * (1 - oxygen)
    values["leak"] = np.maximum(rng.uniform(0, 120) + autocorrelated(rng, count, 200, 20), 0)
    values["impedance_rr"] = np.where(np.isfinite(values["rr"]), values["rr"], 15.0)


def _add_vapour(values: dict[str, Floats], patient: Patient) -> None:
    values["insp_gas"] = values["insp_sevo"] / 1.01325
    values["exp_gas"] = values["exp_sevo"] / 1.01325
    values["mac"] = values["exp_gas"] / minimum_alveolar_concentration(patient.age)


def _add_brain(rng: np.random.Generator, values: dict[str, Floats]) -> None:
    """Add EEG summaries of realistic size: EMG falls and power rises with depth; burst suppression below BIS 30."""
    count, bis = len(values["hr"]), values["bis"]
    awake = np.clip((bis - 60) / 40, 0, 1)
    values["emg"] = np.clip(28 + 22 * awake + autocorrelated(rng, count, 60, 1.5), 20, 70)
    values["sqi"] = np.clip(96 - 18 * awake + autocorrelated(rng, count, 90, 6), 20, 100)
    values["sr"] = np.clip((30 - bis) * 2.2, 0, 100)
    values["sef"] = np.clip(6 + 0.2 * bis + autocorrelated(rng, count, 40, 1.0), 3, 30)
    values["totpow"] = np.clip(68 - 9 * awake - 0.3 * values["sr"] + autocorrelated(rng, count, 60, 1.0), 40, 85)
    for side in ("l", "r"):
        base = rng.normal(68, 6) + autocorrelated(rng, count, 300, 2)
        values[f"sco2_{side}"] = np.clip(base + 0.15 * (values["mbp"] - 80) + 4 * (values["fio2"] > 80), 30, 95)


def _add_heart(rng: np.random.Generator, values: dict[str, Floats], patient: Patient) -> None:
    count = len(values["hr"])
    surface = 0.007184 * patient.weight**0.425 * patient.height**0.725  # m2, DuBois (1916)
    values["ci"] = values["co"] / surface
    values["svi"] = values["stroke"] / surface
    values["svv"] = np.clip(rng.uniform(6, 13) + autocorrelated(rng, count, 400, 2), 2, 35)
    values["cvp"] = np.clip(rng.uniform(4, 11) + autocorrelated(rng, count, 400, 1.2), -2, 25)
    first, second = (rng.normal(0.2, 0.4) + autocorrelated(rng, count, 900, 0.08) for _ in range(2))
    # Einthoven and Goldberger: all limb leads follow from I and II.
    values |= {"st_i": first, "st_ii": second, "st_iii": second - first}
    values |= {"st_avr": -(first + second) / 2, "st_avl": first - second / 2, "st_avf": second - first / 2}
    values["st_v5"] = 0.8 * second + rng.normal(0.1, 0.2) + autocorrelated(rng, count, 900, 0.05)
