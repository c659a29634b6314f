"""The course of a case: one value per second of every quantity that a device could measure.

It combines plan, body, anaesthetist and random variation. The devices in `signals` and `waves` see only a `Course`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from vitalprep.simulate.anaesthesia.anaesthetic import Anaesthetic, Phases, Technique, planned_anaesthetic
from vitalprep.simulate.anaesthesia.anaesthetist import PROPOFOL_MG_PER_ML, Anaesthetist, Seen
from vitalprep.simulate.anaesthesia.stimulus import noxious_stimulus
from vitalprep.simulate.anaesthesia.target_control import TargetPump
from vitalprep.simulate.body import Body, Disturbance, resting_circulation
from vitalprep.simulate.noise import Floats, autocorrelated
from vitalprep.simulate.patients import Patient
from vitalprep.simulate.streams import Purpose, case_rng

__all__ = ["Course", "Floats", "Phases", "Quantity", "case_course"]

Quantity = Literal[
    "hr", "mbp", "sbp", "dbp", "stroke", "co",  # /min, mmHg, mmHg, mmHg, mL, L/min
    "spo2", "bt", "bis", "hypnosis",  # %, degrees C, 1, 1
    "etco2", "inco2", "rr", "tv", "peep", "pip", "compliance",  # mmHg, mmHg, /min, mL, mbar, mbar, mL/mbar
    "fio2", "feo2", "fresh_flow", "set_fio2", "set_rr", "set_tv", "set_peep",  # %, %, L/min, %, /min, mL, mbar
    "insp_sevo", "exp_sevo", "dial",  # kPa, kPa, vol%
    "propofol", "propofol_cp", "propofol_ce", "propofol_ct",  # mL/h, ug/mL
    "remifentanil", "remifentanil_cp", "remifentanil_ce", "remifentanil_ct",  # mL/h, ng/mL
    "noradrenaline", "propofol_effect", "remifentanil_effect",  # mL/h, ug/mL and ng/mL in the patient's brain
]  # fmt: skip
_KPA_PER_PERCENT: Final = 1.01325  # of one atmosphere
_MBAR_PER_CMH2O: Final = 0.980665


@dataclass(frozen=True, kw_only=True)
class Course:
    """The true course of a case: each quantity as float64 of shape (n,) at seconds 0 to n - 1; NaN while undefined."""

    plan: Anaesthetic
    phases: Phases
    values: Mapping[Quantity, Floats]

    @property
    def technique(self) -> Technique:
        """The anaesthetic technique."""
        return self.plan.technique

    @property
    def remifentanil_ug_per_ml(self) -> int | None:
        """Remifentanil concentration in the syringe in ug/mL; None without the drug."""
        return self.plan.remifentanil_ug_per_ml


def case_course(seed: int, patient: Patient, hours: float) -> Course:
    """Simulate the course of a case of the given length in hours."""
    plan = planned_anaesthetic(seed, patient, hours)
    rng = case_rng(seed, patient.case_id, Purpose.COURSE)
    count = int(plan.phases.end) + 1
    resting = resting_circulation(rng, patient)
    body = Body(rng, patient, plan, resting)
    doctor = Anaesthetist(rng, patient, plan, resting.pressure)
    bolus = doctor.hand_bolus
    disturbances = _disturbances(rng, plan.phases, count)
    seen = Seen(97.0, resting.pressure, 0.0, 98.0, 0.0)
    rows = []
    for second in range(count):
        if bolus and second >= plan.phases.induction:
            body.propofol.inject(bolus)
            bolus = 0.0
        if doctor.act(second, seen):
            body.circulation.give_ephedrine()
        body.pass_second(second, doctor, disturbances[second])
        for pump in (doctor.propofol, doctor.remifentanil):
            if pump is not None:
                pump.pass_second()
        spo2 = body.lungs.arterial_saturation(shunt=body.shunt, output=body.circulation.output)
        rows.append(_row(body, doctor, spo2, plan))
        seen = Seen(body.bis, body.circulation.pressure, body.etco2, spo2, body.vapour.alveolar)
    values = {quantity: np.array([row[quantity] for row in rows], dtype=np.float64) for quantity in rows[0]}
    _add_chance(rng, values, disturbances, patient)
    extubation = min(max(float(body.extubated), plan.phases.emergence), plan.phases.end)
    return Course(plan=plan, phases=replace(plan.phases, extubation=extubation), values=values)


def _disturbances(rng: np.random.Generator, phases: Phases, count: int) -> list[Disturbance]:
    columns = (
        noxious_stimulus(rng, phases, count),
        autocorrelated(rng, count, 400, 4.5) + autocorrelated(rng, count, 25, 1.8),
        autocorrelated(rng, count, 400, 4.0) + autocorrelated(rng, count, 12, 1.2),
        np.exp(autocorrelated(rng, count, 30, 0.15)),
        np.exp(autocorrelated(rng, count, 15, 0.25)),
    )
    return [Disturbance(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _row(body: Body, doctor: Anaesthetist, spo2: float, plan: Anaesthetic) -> dict[Quantity, float]:
    """Return one second of all quantities except temperature."""
    heart, breath, connected = body.circulation, body.breath, body.connected
    peep = doctor.peep * _MBAR_PER_CMH2O if body.ventilated else 0.0
    propofol_rate, propofol_cp, propofol_ce, propofol_ct = _pump_row(doctor.propofol, PROPOFOL_MG_PER_ML)
    strength = plan.remifentanil_ug_per_ml or 1
    remifentanil_rate, remifentanil_cp, remifentanil_ce, remifentanil_ct = _pump_row(doctor.remifentanil, strength)
    return {
        "hr": heart.rate,
        "mbp": heart.pressure,
        "sbp": heart.pressure + 0.62 * heart.pulse,
        "dbp": heart.pressure - 0.38 * heart.pulse,
        "stroke": heart.stroke,
        "co": heart.output,
        "spo2": spo2,
        "bis": body.bis,
        "hypnosis": body.hypnosis,
        "etco2": body.etco2 if connected else 0.0,
        "inco2": 0.0,
        "rr": breath.rate if connected else np.nan,
        "tv": breath.volume if connected else np.nan,
        "peep": peep if connected else np.nan,
        "pip": peep + body.peak_pressure if connected else np.nan,
        "compliance": body.compliance if body.ventilated else np.nan,
        "fio2": 100 * body.circuit_oxygen,
        "feo2": 100 * (body.lungs.alveolar_oxygen if connected else body.circuit_oxygen),
        "fresh_flow": doctor.fresh_flow,
        "set_fio2": doctor.fio2,
        "set_rr": doctor.rate,
        "set_tv": doctor.volume,
        "set_peep": doctor.peep * _MBAR_PER_CMH2O,
        "insp_sevo": body.vapour.inspired * _KPA_PER_PERCENT,
        "exp_sevo": (body.vapour.alveolar if connected else 0.0) * _KPA_PER_PERCENT,
        "dial": doctor.dial,
        "propofol": propofol_rate,
        "propofol_cp": propofol_cp,
        "propofol_ce": propofol_ce,
        "propofol_ct": propofol_ct,
        "remifentanil": remifentanil_rate,
        "remifentanil_cp": remifentanil_cp,
        "remifentanil_ce": remifentanil_ce,
        "remifentanil_ct": remifentanil_ct,
        "noradrenaline": doctor.noradrenaline if plan.noradrenaline else np.nan,
        "propofol_effect": body.propofol.effect,
        "remifentanil_effect": body.remifentanil.effect,
    }


def _pump_row(pump: TargetPump | None, per_ml: float) -> tuple[float, float, float, float]:
    """Return the rate in mL/h and the concentrations that the pump displays: plasma, effect site, target."""
    if pump is None:
        return (np.nan, np.nan, np.nan, np.nan)
    return (pump.rate * 60 / per_ml, pump.pool.plasma, pump.pool.effect, pump.target)


def _add_chance(
    rng: np.random.Generator, values: dict[Quantity, Floats], disturbances: list[Disturbance], patient: Patient
) -> None:
    """Add fluctuations without feedback, in place: sinus node, EEG, breath size, skin temperature."""
    count = len(values["hr"])
    values["hr"] = np.clip(values["hr"] + [happening.rate for happening in disturbances], 30, 200)
    awake = np.clip((values["bis"] - 60) / 40, 0, 1)
    unsteady = np.abs(np.gradient(values["bis"])) * 12 if count > 1 else np.zeros(count)
    eeg = autocorrelated(rng, count, 18, 1.0) * (2.0 + 1.2 * (1 - awake) + np.clip(unsteady, 0, 6))
    eeg += autocorrelated(rng, count, 150, 1.0) * (1 + 2.5 * (1 - awake))
    values["bis"] = np.clip(values["bis"] + eeg - np.maximum(eeg, 0) * 0.7 * awake, 0.5, 98)
    values["tv"] = values["tv"] * (1 + autocorrelated(rng, count, 25, 0.012))
    values["etco2"] = np.maximum(values["etco2"] * (1 + autocorrelated(rng, count, 60, 0.012)), 0)
    values["spo2"] = np.clip(values["spo2"] + autocorrelated(rng, count, 300, 0.3), 40, 100)
    cooling = rng.uniform(0.4, 1.1) * (1 - np.exp(-np.arange(count) / 3000))
    warming = rng.uniform(0.0, 0.35) * np.maximum(np.arange(count) / 3600 - 1, 0)
    values["bt"] = np.minimum(rng.normal(36.5, 0.3) - cooling + warming, 37.8) + autocorrelated(rng, count, 900, 0.04)
