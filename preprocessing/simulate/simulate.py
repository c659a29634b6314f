"""Simulated cases as files: `raw-data/NNNN.vital`, `clinical_data.csv`, and the options they were made with.

A case is a pure function of the seed, its number and its length. So a folder can be made in any order, again, or by
several processes, and comes out the same; only whole files ever appear in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from preprocessing.errors import UsageError
from preprocessing.simulate.course import case_course
from preprocessing.simulate.patients import ClinicalTimes, Patient, clinical_table, patient_of_case
from preprocessing.simulate.recording import encode_recording
from preprocessing.simulate.signals import numeric_tracks
from preprocessing.simulate.streams import Purpose, case_rng
from preprocessing.simulate.waves import wave_tracks

__all__ = ["CLINICAL_NAME", "OPTIONS_NAME", "SimulationOptions", "case_hours", "simulate_case", "simulate_folder"]

CLINICAL_NAME: Final = "clinical_data.csv"
OPTIONS_NAME: Final = "simulation.json"
_SCHEMA_VERSION: Final = 1
_MAX_HOURS: Final = 24.0  # VitalDB's longest recording has 17


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """What to make.

    Case lengths lie evenly between `hours * (1 - spread)` and `hours * (1 + spread)`; `waves` adds two wave tracks.

    Raises
    ------
    UsageError
        No cases, a negative seed, or lengths that no operation has.
    """

    seed: int = 0
    cases: int = 24
    hours: float = 1.0
    spread: float = 0.4
    waves: bool = False

    def __post_init__(self) -> None:
        _check_seed(self.seed)
        if self.cases < 1:
            raise UsageError(f"Cannot simulate {self.cases} cases.", mend="ask for one case or more.")
        if not 0 <= self.spread < 1:
            raise UsageError(f"The spread of case lengths is {self.spread}.", mend="give a share from 0 up to below 1.")
        _check_hours(self.hours)
        if self.hours * (1 + self.spread) > _MAX_HOURS:
            raise UsageError(
                f"Cases of {self.hours} h with a spread of {self.spread} can be longer than {_MAX_HOURS:g} h.",
                mend="give fewer hours or a smaller spread.",
            )


def case_hours(options: SimulationOptions, case_id: int) -> float:
    """The length of one case of a set, in hours."""
    deviation = case_rng(options.seed, case_id, Purpose.LENGTH).uniform(-1, 1)
    return float(options.hours * (1 + options.spread * deviation))


def simulate_case(seed: int, case_id: int, hours: float, *, waves: bool = False) -> bytes:
    """One case as a whole gzipped `.vital` file.

    Parameters
    ----------
    seed : int
        Seed of the set, 0 or more.
    case_id : int
        Number of the case, 1 or more.
    hours : float
        Length of the recording, above 0 and up to 24 h.
    waves : bool
        Add a capnogram and a plethysmogram.

    Raises
    ------
    UsageError
        A number out of its range.
    """
    return _simulate(seed, case_id, hours, waves=waves)[0]


def simulate_folder(
    output: Path, options: SimulationOptions, *, progress: Callable[[int], None] | None = None
) -> tuple[Path, ...]:
    """Make a set of cases in a folder and return its recordings in order; `progress` is called with each case done.

    The folder must be new, empty, or hold a set of the same options, which is then written again with the same bytes.

    Raises
    ------
    UsageError
        The folder holds something else.
    """
    _claim_folder(output, options)
    recordings = output / "raw-data"
    recordings.mkdir(exist_ok=True)
    paths = []
    rows: list[tuple[Patient, ClinicalTimes]] = []
    for case_id in range(1, options.cases + 1):
        data, row = _simulate(options.seed, case_id, case_hours(options, case_id), waves=options.waves)
        paths.append(recordings / f"{case_id:04d}.vital")
        rows.append(row)
        _write_whole(paths[-1], data)
        if progress is not None:
            progress(case_id)
    _write_whole(output / CLINICAL_NAME, clinical_table(rows).encode("utf-8"))
    return tuple(paths)


def _simulate(seed: int, case_id: int, hours: float, *, waves: bool) -> tuple[bytes, tuple[Patient, ClinicalTimes]]:
    """One case's file and its row of the clinical table."""
    _check_seed(seed)
    _check_hours(hours)
    if case_id < 1:
        raise UsageError(f"There is no case {case_id}.", mend="number cases from 1.")
    patient = patient_of_case(seed, case_id)
    course = case_course(seed, patient, hours)
    numerics = numeric_tracks(seed, case_id, course)
    data = encode_recording(seed, case_id, course.phases, numerics, wave_tracks(seed, case_id, course) if waves else ())
    times = course.phases.clinical_times(case_rng(seed, case_id, Purpose.COURSE, "clinical times"))
    return data, (patient, times)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise UsageError(f"The seed is {seed}.", mend="give a seed of 0 or more.")


def _check_hours(hours: float) -> None:
    if not (np.isfinite(hours) and 0 < hours <= _MAX_HOURS):
        raise UsageError(f"A case cannot last {hours} h.", mend=f"give hours above 0 and up to {_MAX_HOURS:g}.")


def _claim_folder(output: Path, options: SimulationOptions) -> None:
    """Create the folder, or make sure that it holds nothing but a set of these options."""
    mend = "choose a new folder, or the options that the folder was made with."
    wanted = {"schema_version": _SCHEMA_VERSION, **asdict(options)}
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, not a folder.", mend="choose a new folder.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output} cannot be created ({error.strerror}).", mend="choose a folder of yours.") from error
    marker = output / OPTIONS_NAME
    if not marker.exists():
        if any(entry.name != _unfinished(marker).name for entry in output.iterdir()):
            raise UsageError(f"{output} is not empty and holds no simulated cases.", mend="choose a new folder.")
        _write_whole(marker, (json.dumps(wanted, indent=2) + "\n").encode("utf-8"))
        return
    try:
        found = json.loads(marker.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{marker} is not readable as JSON ({error}).", mend=mend) from error
    if found != wanted:
        raise UsageError(f"{output} holds another simulation: {_differences(found, wanted)}.", mend=mend)


def _differences(found: object, wanted: dict[str, object]) -> str:
    if not isinstance(found, dict):
        return f"{OPTIONS_NAME} is not an object"
    keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    return ", ".join(f"{key} is {found.get(key)} there, {wanted.get(key)} here" for key in keys)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")  # not *.vital: a reader of the folder never takes it for a case


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears complete or not at all."""
    unfinished = _unfinished(path)
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
