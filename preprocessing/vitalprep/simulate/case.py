"""One case, from its patient to its file: a pure function of seed, case number and length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.anaesthesia.anaesthetic import Phases, planned_anaesthetic
from vitalprep.simulate.course import Course, case_course
from vitalprep.simulate.monitors import attach
from vitalprep.simulate.noise import Floats
from vitalprep.simulate.patients import ClinicalTimes, Patient, clinical_times, patient_of_case
from vitalprep.simulate.recording import FileForm, encode_recording, file_form
from vitalprep.simulate.signals import NumericTrack, numeric_tracks
from vitalprep.simulate.streams import Purpose, case_rng
from vitalprep.simulate.waves.tracks import WaveTrack, wave_tracks

if TYPE_CHECKING:
    import pyarrow as pa

    from vitalprep.contract.config import Config

__all__ = ["MAX_HOURS", "Pause", "SimulatedCase", "case_truth_table", "clinical_row", "make_case", "simulate_case"]

MAX_HOURS: Final = 24.0  # VitalDB's longest recording lasts 17


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A time without a recording: it begins after `at` seconds of the course, and lasts for `seconds`."""

    at: int
    seconds: int


@dataclass(frozen=True, kw_only=True)
class SimulatedCase:
    """A simulated case before encoding. Damage changes the tracks, but not the course, which remains the truth."""

    seed: int
    patient: Patient
    course: Course
    form: FileForm
    numerics: tuple[NumericTrack, ...]
    waves: tuple[WaveTrack, ...]
    pause: Pause | None = None

    def encoded(self) -> bytes:
        """Return the complete gzipped `.vital` file."""
        return encode_recording(
            self.seed, self.patient.case_id, self.course.phases, self.numerics, self.waves, self.form
        )


def make_case(seed: int, case_id: int, hours: float, *, waves: bool = False) -> SimulatedCase:
    """Simulate one case.

    Parameters
    ----------
    seed : int
        Seed of the set, at least 0.
    case_id : int
        Number of the case, at least 1.
    hours : float
        Length of the recording in hours, above 0 and up to 24.
    waves : bool
        Also simulate waves: ECG, plethysmogram, arterial pressure, EEG, CO2 and airway pressure, at their real rates.

    Raises
    ------
    UsageError
        If a number is out of range.
    """
    if seed < 0:
        raise UsageError(f"The seed is {seed}.", fix="use a seed of at least 0.")
    if case_id < 1:
        raise UsageError(f"The case number is {case_id}.", fix="use a case number of at least 1.")
    if not (np.isfinite(hours) and 0 < hours <= MAX_HOURS):
        raise UsageError(f"A case cannot last {hours} h.", fix=f"use a length above 0 and up to {MAX_HOURS:g} h.")
    patient = patient_of_case(seed, case_id)
    course = case_course(seed, patient, hours)
    attached = attach(seed, case_id, course)
    return SimulatedCase(
        seed=seed,
        patient=patient,
        course=course,
        form=file_form(seed, case_id),
        numerics=numeric_tracks(seed, patient, course, attached),
        waves=tuple(wave_tracks(seed, case_id, course, attached)) if waves else (),
    )


def simulate_case(seed: int, case_id: int, hours: float, *, waves: bool = False) -> bytes:
    """Return one case as a complete gzipped `.vital` file. The arguments are those of `make_case`."""
    return make_case(seed, case_id, hours, waves=waves).encoded()


def clinical_row(seed: int, case_id: int, hours: float) -> tuple[Patient, ClinicalTimes]:
    """Return a case's row of the clinical table, without simulating the case."""
    patient = patient_of_case(seed, case_id)
    phases: Phases = planned_anaesthetic(seed, patient, hours).phases
    rng = case_rng(seed, case_id, Purpose.COURSE, "clinical times")
    return patient, clinical_times(rng, incision=phases.incision, closure=phases.closure, end=phases.end)


def case_truth_table(case: SimulatedCase, config: Config) -> pa.Table:
    """Return what is measured, held and missing at each second, and the patient's true values; see `truth`."""
    from vitalprep.simulate.truth import WrittenCase, body_of, case_truth

    patient, form = case.patient, case.form
    written = WrittenCase(
        start=form.start, start_in_header=form.has_start, numerics=case.numerics, wave_span=_wave_span(case)
    )
    return case_truth(
        config,
        body=body_of(config, sex=patient.sex, height=patient.height, weight=patient.weight),
        written=written,
        patient_values={name: _paused(values, case.pause) for name, values in case.course.values.items()},
        remifentanil_ug_per_ml=case.course.remifentanil_ug_per_ml,
    )


def _paused(values: Floats, pause: Pause | None) -> Floats:
    """Return values at 1 Hz with nothing measured during a pause."""
    if pause is None:
        return values
    return np.concatenate([values[: pause.at], np.full(pause.seconds, np.nan), values[pause.at :]])


def _wave_span(case: SimulatedCase) -> tuple[float, float] | None:
    """Return the Unix times of the first and the last sample of all waves, or None without waves."""
    if not case.waves:
        return None
    start = case.form.start
    lasts = [start + wave.starts[-1] + (wave.form.record_samples - 1) / wave.form.sample_rate for wave in case.waves]
    return start + min(float(wave.starts[0]) for wave in case.waves), max(float(last) for last in lasts)
