"""The plan of a case: technique, phases, targets. Frequencies and habits: `practice.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import numpy as np
import yaml

from vitalprep.simulate.patients import Patient
from vitalprep.simulate.streams import Purpose, case_rng

__all__ = ["Anaesthetic", "Phases", "Technique", "planned_anaesthetic", "practice"]

Technique = Literal["tiva", "mixed", "sevoflurane"]
_TECHNIQUES: Final[tuple[Technique, ...]] = ("tiva", "mixed", "sevoflurane")


@dataclass(frozen=True, kw_only=True)
class Phases:
    """Start of each phase in seconds after the recording's start, ascending; `end` is the recording's last second.

    Awake until `induction`; then `intubation`, `incision`, `closure` (of the skin), `emergence` (drugs stopped) and
    `extubation`.
    """

    induction: float
    intubation: float
    incision: float
    closure: float
    emergence: float
    extubation: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Anaesthetic:
    """The plan of anaesthetist and surgeon. `phases.extubation` is the latest time of extubation.

    `remifentanil_ug_per_ml` is the concentration in the syringe; None without the drug.
    """

    technique: Technique
    remifentanil_ug_per_ml: int | None
    noradrenaline: bool
    laparoscopy: bool
    one_lung: bool
    phases: Phases


@cache
def practice(topic: str) -> dict[str, Any]:
    """Return one section of `practice.yaml`."""
    text = files("vitalprep.simulate.anaesthesia").joinpath("practice.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text)[topic])


def planned_anaesthetic(seed: int, patient: Patient, hours: float) -> Anaesthetic:
    """Draw the plan of a patient's case of a given length in hours."""
    rng = case_rng(seed, patient.case_id, Purpose.COURSE, "plan")
    shares = practice("shares")
    technique = _TECHNIQUES[int(rng.choice(3, p=[shares[name] for name in _TECHNIQUES]))]
    has_remifentanil = rng.random() < (shares["remifentanil_without_propofol"] if technique == "sevoflurane" else 1.0)
    strength = 50 if rng.random() < shares["remifentanil_50"] else 20
    thoracic = "thoracic" in patient.department.lower()
    return Anaesthetic(
        technique=technique,
        remifentanil_ug_per_ml=strength if has_remifentanil else None,
        noradrenaline=bool(rng.random() < _noradrenaline_share(patient)),
        laparoscopy=not thoracic and bool(rng.random() < shares["laparoscopy"]),
        one_lung=thoracic and bool(rng.random() < shares["one_lung"]),
        phases=_phases(rng, hours * 3600),
    )


def _noradrenaline_share(patient: Patient) -> float:
    """Return the probability of noradrenaline. It rises with the ASA class; over all patients it is VitalDB's share."""
    shares = practice("shares")
    weight: float = shares["noradrenaline_asa_weights"][(patient.asa or 2) - 1]
    return float(shares["noradrenaline"]) * weight


def _phases(rng: np.random.Generator, duration: float) -> Phases:
    """Draw usual durations, each limited to a share of the case, so that short cases also have all phases."""
    spans: dict[str, Sequence[float]] = practice("phases")

    def lasting(name: str) -> float:
        low, high, share = spans[name]
        return float(min(rng.uniform(low, high), share * duration))

    induction = lasting("induction")
    intubation = induction + lasting("to_intubation")
    emergence = duration - lasting("emergence")
    return Phases(
        induction=induction,
        intubation=intubation,
        incision=intubation + lasting("to_incision"),
        closure=emergence - lasting("before_emergence"),
        emergence=emergence,
        extubation=duration - lasting("after_extubation"),
        end=duration,
    )
