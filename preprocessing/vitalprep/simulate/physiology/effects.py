"""Drug effects on the brain: depth of hypnosis, BIS, and reduction of noxious stimuli.

Concentrations at the effect site: propofol in ug/mL, remifentanil in ng/mL, sevoflurane in vol%. Parameters and papers:
`models.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitalprep.simulate.physiology.models import parameters

__all__ = ["Sensitivity", "bispectral_index", "blunting", "hypnosis", "minimum_alveolar_concentration", "sigmoid"]


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """One patient's sensitivity: factors on the concentrations of half effect; 1 is the average."""

    propofol: float = 1.0
    sevoflurane: float = 1.0


def sigmoid(concentration: float, half: float, slope: float) -> float:
    """Return the share of the full effect, 0 to 1 (Hill's equation); 0 without drug."""
    if concentration <= 0:
        return 0.0
    power: float = (concentration / half) ** slope
    return power / (1 + power)


def hypnosis(propofol: float, remifentanil: float, sevoflurane: float, sensitivity: Sensitivity) -> float:
    """Return the summed hypnotic effect in units of half effect (Bouillon 2004, with interaction 0); 0 is awake."""
    p = parameters("hypnosis")
    return (
        propofol / (p["c50_propofol"] * sensitivity.propofol)
        + remifentanil / p["c50_remifentanil"]
        + sevoflurane / (p["c50_sevoflurane"] * sensitivity.sevoflurane)
    )


def bispectral_index(effect: float) -> float:
    """Return the BIS, 0 to 97.4, at a summed hypnotic effect; an effect of 1 halves it."""
    p = parameters("hypnosis")
    return p["e0"] * (1 - sigmoid(effect, 1.0, p["gamma"]))


def blunting(remifentanil: float) -> float:
    """Return the share of a noxious stimulus that the opioid suppresses, 0 to 1."""
    p = parameters("tolerance")
    return sigmoid(remifentanil, p["c50_remifentanil"], p["gamma_remifentanil"])


def minimum_alveolar_concentration(age: float) -> float:
    """Return 1 MAC of sevoflurane in vol% at an age in years (Nickalls & Mapleson 2003)."""
    p = parameters("mac")
    return float(p["mac40"] * 10 ** (p["per_year"] * (age - 40)))
