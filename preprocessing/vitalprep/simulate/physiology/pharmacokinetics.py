"""Pharmacokinetics: three compartments and an effect site, for the simulated body and for the pumps' models.

Parameters and papers are in `models.yaml`. Concentrations are amount per litre of the central compartment: mg/L
(= ug/mL) for propofol, ug/L (= ng/mL) for remifentanil and noradrenaline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp

import numpy as np
import numpy.typing as npt

from vitalprep.simulate.patients import Patient
from vitalprep.simulate.physiology.models import parameters

__all__ = ["Kinetics", "Pool", "beloeil", "eleveld", "lean_body_mass", "minto", "propagator", "schnider"]


@dataclass(frozen=True, kw_only=True)
class Kinetics:
    """A drug's model for one patient: volumes in L, clearances in L/min, `ke0` in 1/min."""

    v1: float
    v2: float
    v3: float
    cl1: float
    cl2: float
    cl3: float
    ke0: float


def lean_body_mass(patient: Patient) -> float:
    """Return the lean body mass in kg (James 1976), as Schnider and Minto use it, limited at its maximum.

    The formula decreases beyond a body mass index of about 42 (men) and 37 (women). As in pumps, the value is held
    there.
    """
    first, second, limit = (1.10, 128.0, 42.0) if patient.sex == "M" else (1.07, 148.0, 37.0)
    weight = min(patient.weight, limit * (patient.height / 100) ** 2)
    return first * weight - second * (weight / patient.height) ** 2


def schnider(patient: Patient) -> Kinetics:
    """Return Schnider's propofol model for adults, which the target-controlled pump uses."""
    p = parameters("schnider")
    years = max(patient.age, 18.0) - 53
    cl1 = p["cl1"] + p["cl1_per_kg"] * (patient.weight - 77) + p["cl1_per_lean_kg"] * (lean_body_mass(patient) - 59)
    return Kinetics(
        v1=p["v1"],
        v2=p["v2"] + p["v2_per_year"] * years,
        v3=p["v3"],
        cl1=max(cl1 + p["cl1_per_cm"] * (patient.height - 177), 0.3),
        cl2=max(p["cl2"] + p["cl2_per_year"] * years, 0.2),
        cl3=p["cl3"],
        ke0=p["ke0"],
    )


def eleveld(patient: Patient) -> Kinetics:
    """Return Eleveld's propofol model for all ages and weights, which the simulated body follows."""
    p = parameters("eleveld")
    post_menstrual, reference = patient.age * 52 + 40, 35 * 52 + 40  # weeks
    size = patient.weight / 70
    mature = _sigmoid(post_menstrual, p["cl1_maturation_weeks"], p["cl1_maturation_slope"])
    mature /= _sigmoid(reference, p["cl1_maturation_weeks"], p["cl1_maturation_slope"])
    distribution = _sigmoid(post_menstrual, p["cl3_maturation_weeks"], 1)
    adult_distribution = _sigmoid(reference, p["cl3_maturation_weeks"], 1)
    v2 = p["v2"] * size * exp(p["v2_ageing"] * (patient.age - 35))
    fat_free = _fat_free(patient.sex == "M", patient.age, patient.weight, patient.bmi) / _fat_free(True, 35, 70, 24.221)
    v3 = p["v3"] * fat_free * exp(p["v3_opioid_ageing"] * patient.age)
    clearance = p["cl1_male"] if patient.sex == "M" else p["cl1_female"]
    central = _sigmoid(patient.weight, p["v1_half_weight"], 1) / _sigmoid(70, p["v1_half_weight"], 1)
    return Kinetics(
        v1=p["v1"] * central,
        v2=v2,
        v3=v3,
        cl1=clearance * size**0.75 * mature * exp(p["cl1_opioid_ageing"] * patient.age),
        cl2=p["cl2"] * (v2 / p["v2"]) ** 0.75 * (1 + p["cl2_immaturity"] * (1 - distribution)),
        cl3=p["cl3"] * (v3 / p["v3"]) ** 0.75 * distribution / adult_distribution,
        ke0=p["ke0"] * size ** p["ke0_weight_exponent"],
    )


def minto(patient: Patient) -> Kinetics:
    """Return Minto's remifentanil model. Children are young adults scaled by allometry (the model begins at age 20)."""
    p, scale = parameters("minto"), parameters("allometry")
    if patient.age < scale["adult_years"] and patient.weight < scale["adult_weight"]:
        adult = replace(patient, age=scale["adult_years"], weight=scale["adult_weight"], height=175.0)
        return _scaled(minto(adult), patient.weight / scale["adult_weight"], scale["clearance_exponent"])
    years, lean = max(patient.age, scale["adult_years"]) - 40, lean_body_mass(patient) - 55
    return Kinetics(
        v1=p["v1"] + p["v1_per_year"] * years + p["v1_per_lean_kg"] * lean,
        v2=p["v2"] + p["v2_per_year"] * years + p["v2_per_lean_kg"] * lean,
        v3=p["v3"],
        cl1=p["cl1"] + p["cl1_per_year"] * years + p["cl1_per_lean_kg"] * lean,
        cl2=p["cl2"] + p["cl2_per_year"] * years,
        cl3=p["cl3"] + p["cl3_per_year"] * years,
        ke0=p["ke0"] + p["ke0_per_year"] * years,
    )


def beloeil(patient: Patient) -> Kinetics:
    """Return Beloeil's noradrenaline model: one compartment; the effect follows the plasma within seconds."""
    p, scale = parameters("beloeil"), parameters("allometry")
    adult = Kinetics(v1=p["v1"], v2=1.0, v3=1.0, cl1=p["cl1"], cl2=0.0, cl3=0.0, ke0=6.0)
    return _scaled(adult, patient.weight / scale["adult_weight"], scale["clearance_exponent"])


def propagator(kinetics: Kinetics, seconds: float) -> npt.NDArray[np.float64]:
    """Return the propagator P, shape (4, 5): after `seconds`, the state is `P[:, :4] @ state + P[:, 4] * rate`.

    The state is amount / `v1` in the three compartments and the effect-site concentration; the rate is amount per
    minute. Exact for a constant rate: the matrix exponential of the linear system.
    """
    k12, k13 = kinetics.cl2 / kinetics.v1, kinetics.cl3 / kinetics.v1
    k21, k31 = kinetics.cl2 / kinetics.v2, kinetics.cl3 / kinetics.v3
    leaving = kinetics.cl1 / kinetics.v1 + k12 + k13
    system = np.zeros((5, 5))
    system[0] = [-leaving, k21, k31, 0, 1 / kinetics.v1]
    system[1, :2] = [k12, -k21]
    system[2, [0, 2]] = [k13, -k31]
    system[3, [0, 3]] = [kinetics.ke0, -kinetics.ke0]
    return np.asarray(_exponential(system * (seconds / 60))[:4])


class Pool:
    """The amount of a drug in a body, second by second. `plasma` and `effect` are 0 before the first dose."""

    def __init__(self, kinetics: Kinetics) -> None:
        self._rows = [tuple(row) for row in propagator(kinetics, 1.0).tolist()]
        self._v1 = kinetics.v1
        self.state = (0.0, 0.0, 0.0, 0.0)

    @property
    def plasma(self) -> float:
        """Concentration in the central compartment."""
        return self.state[0]

    @property
    def effect(self) -> float:
        """Concentration at the effect site."""
        return self.state[3]

    def inject(self, amount: float) -> None:
        """Give a bolus, which mixes instantly in the central compartment."""
        first, *others = self.state
        self.state = (first + amount / self._v1, *others)  # type: ignore[assignment]

    def pass_second(self, rate: float) -> None:
        """Advance by one second with a constant infusion of `rate` (amount per minute)."""
        a, b, c, e = self.state
        (p0, p1, p2, _, p4), (q0, q1, q2, _, q4), (r0, r1, r2, _, r4), (s0, s1, s2, s3, s4) = self._rows
        self.state = (
            p0 * a + p1 * b + p2 * c + p4 * rate,
            q0 * a + q1 * b + q2 * c + q4 * rate,
            r0 * a + r1 * b + r2 * c + r4 * rate,
            s0 * a + s1 * b + s2 * c + s3 * e + s4 * rate,
        )


def _sigmoid(value: float, half: float, slope: float) -> float:
    return float(value**slope / (value**slope + half**slope))


def _fat_free(male: bool, age: float, weight: float, bmi: float) -> float:
    """Return the fat-free mass in kg: Janmahasatian (2005) with Al-Sallami's (2015) maturation, as in Eleveld."""
    if male:
        return float((0.88 + 0.12 / (1 + (age / 13.4) ** -12.7)) * 9270 * weight / (6680 + 216 * bmi))
    return float((1.11 - 0.11 / (1 + (age / 7.1) ** -1.1)) * 9270 * weight / (8780 + 244 * bmi))


def _scaled(adult: Kinetics, size: float, exponent: float) -> Kinetics:
    clearance = size**exponent
    return Kinetics(
        v1=adult.v1 * size,
        v2=adult.v2 * size,
        v3=adult.v3 * size,
        cl1=adult.cl1 * clearance,
        cl2=adult.cl2 * clearance,
        cl3=adult.cl3 * clearance,
        ke0=adult.ke0 * size ** (exponent - 1),
    )


def _exponential(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the matrix exponential by scaling and squaring of the Taylor series, scaled to a norm below 2^-4."""
    squarings = max(0, int(np.ceil(np.log2(max(np.abs(matrix).sum(axis=1).max(), 1e-12)))) + 4)
    small = matrix / 2**squarings
    term = total = np.eye(len(matrix))
    for order in range(1, 12):
        term = term @ small / order
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total
