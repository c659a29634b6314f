"""Draws one case: its sixteen signals over time, with measured and held values and the phases of the anaesthetic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vitalprep.contract.config import Config, Input
from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.simulate.anaesthesia.anaesthetic import Phases
from vitalprep.simulate.case import SimulatedCase
from vitalprep.simulate.patients import Patient
from vitalprep.simulate.truth import HELD, MEASURED

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["draw_case"]

_PHASES: Final = ("awake", "induction", "intubated", "surgery", "skin closed", "emergence", "awake")
_SHADES: Final = ("#f1f1ef", "#c9daee", "#e2ebf5", "#e6f0df", "#f3e8c4", "#f6dcc8", "#f1f1ef")
_COLOURS: Final = {
    "HR": "#0a7d34", "BP_SYS": "#b3202a", "BP_DIA": "#b3202a", "BP_MAP": "#b3202a", "SPO2": "#0f7f9c",
    "ETCO2": "#8a6d00", "BIS": "#5b3a9b", "Propofol_INF": "#7a4b1e", "Remifentanil_INF": "#7a4b1e",
    "Noradrenalin_INF": "#7a4b1e",
}  # fmt: skip
_OTHER: Final = "#33475b"
_HELD_COLOUR: Final = "#e08a00"


def draw_case(path: Path, case: SimulatedCase, truth: pa.Table, config: Config) -> None:
    """Draw a case into a file. The file name's extension determines the format.

    Raises
    ------
    UsageError
        If matplotlib is not installed, or the extension is not that of a picture format.
    RetryableError
        If the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("Pictures need matplotlib.", fix="install vitalprep[preview].") from error
    formats = Figure().canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in formats:
        raise UsageError(f"{path} has no picture extension.", fix=f"use one of {', '.join(sorted(formats))}.")
    figure = Figure(figsize=(14, 11), layout="constrained")
    axes = figure.subplots(8, 2, sharex=True)
    minutes = truth["second"].to_numpy() / 60
    for axis, feature in zip(axes.T.flat, config.inputs, strict=True):
        _shade(axis, case.course.phases)
        _draw_signal(axis, minutes, truth, feature)
        axis.set_ylabel(f"{feature.name}\n{feature.unit}" if feature.unit != "1" else feature.name, fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("minutes", fontsize=8)
        axis.set_xlim(0, case.course.phases.end / 60)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=9, fontsize=8, frameon=False)
    figure.suptitle(_title(case.patient, case), fontsize=11)
    try:
        figure.savefig(path, dpi=110, metadata={"Software": None} if path.suffix.lower() == ".png" else None)
    except OSError as error:
        raise RetryableError(f"Could not write {path} ({error.strerror}).", fix="choose another folder.") from error


def _draw_signal(axis: Any, minutes: Any, truth: pa.Table, feature: Input) -> None:
    """Draw the patient's true values in grey, measured values in colour, held values in orange."""
    name = feature.name
    values = truth[name].to_numpy().astype(np.float64)
    origins = truth[f"{name}_origin"].to_numpy()
    measured, held = (np.where(origins == origin, values, np.nan) for origin in (MEASURED, HELD))
    axis.plot(minutes, truth[f"{name}_patient"].to_numpy(), color="#9a9a9a", linewidth=0.6, zorder=2)
    axis.plot(minutes, held, color=_HELD_COLOUR, linewidth=1.2, zorder=3)
    axis.plot(minutes, measured, color=_COLOURS.get(name, _OTHER), linewidth=0.8, zorder=4)
    shown = values[(origins == MEASURED) | (origins == HELD)]
    if len(shown):
        _limit(axis, shown, feature)
    else:
        axis.set_yticks([])
        axis.text(
            0.5, 0.4, "not recorded in this case", transform=axis.transAxes, ha="center", fontsize=8, color="grey"
        )
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def _limit(axis: Any, shown: Any, feature: Input) -> None:
    """Set the scale, so that a short bolus does not flatten the rest and a monitor's last digit does not look large."""
    if feature.name.endswith("_INF"):
        low, high, least = 0.0, 1.3 * float(np.percentile(shown, 96)), 0.0
    else:
        low, high = np.percentile(shown, [1, 99])
        least = 0.2 * (feature.range[1] - feature.range[0])
    spare = max(0.12 * (high - low), (least - (high - low)) / 2)
    axis.set_ylim(max(low - spare, 0.0), max(high + spare, 0.05 * feature.range[1]))


def _edges(phases: Phases) -> tuple[float, ...]:
    times = (
        0.0, phases.induction, phases.intubation, phases.incision, phases.closure, phases.emergence,
        phases.extubation, phases.end,
    )  # fmt: skip
    return tuple(time / 60 for time in times)


def _shade(axis: Any, phases: Phases) -> None:
    edges = _edges(phases)
    for start, end, shade in zip(edges[:-1], edges[1:], _SHADES, strict=True):
        axis.axvspan(start, end, color=shade, linewidth=0, zorder=0)


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color=_OTHER, label="measured"),
        Line2D([], [], color=_HELD_COLOUR, label="held: last value carried forward"),
        Line2D([], [], color="#9a9a9a", linewidth=0.8, label="the patient, measured or not"),
        *(Patch(color=shade, label=name) for name, shade in zip(_PHASES[:-1], _SHADES[:-1], strict=True)),
    ]


def _title(patient: Patient, case: SimulatedCase) -> str:
    person = "woman" if patient.sex == "F" else "man"
    if patient.age < 18:
        person = "girl" if patient.sex == "F" else "boy"
    technique = {"tiva": "propofol", "mixed": "propofol and sevoflurane", "sevoflurane": "sevoflurane"}
    drugs = [technique[case.course.technique]]
    if case.course.remifentanil_ug_per_ml:
        drugs.append("remifentanil")
    if case.course.plan.noradrenaline:
        drugs.append("noradrenaline")
    return (
        f"Simulated case {patient.case_id}: {person} of {patient.age:g} years, {patient.height:.0f} cm, "
        f"{patient.weight:.0f} kg, ASA {patient.asa or 'not noted'}; {', '.join(drugs)}"
    )
