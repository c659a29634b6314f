"""Simulated sets as folders: `raw-data/NNNN.vital`, `clinical_data.csv`, and the options they were created with.

A case is a pure function of seed, case number and options. A folder can therefore be filled in any order, by several
processes and in several runs, with the same result. Files are written atomically and never rewritten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vitalprep.contract.profiles import profile_content
from vitalprep.contract.provenance import SIMULATION_NAME, SimulationNote
from vitalprep.runtime.errors import Stopped, UsageError
from vitalprep.runtime.workers import StopRequest, WorkerPool
from vitalprep.simulate.case import MAX_HOURS, case_truth_table, clinical_row, make_case
from vitalprep.simulate.damage import EXPECTED, UNREADABLE, Damage, DamageShares, damage_of, damaged, damaged_hours
from vitalprep.simulate.patients import ClinicalTimes, Patient, clinical_table, drawn_length, patient_of_case
from vitalprep.simulate.streams import Purpose, case_rng
from vitalprep.simulate.table_damage import damaged_table
from vitalprep.simulate.whole_files import explained, json_bytes, unfinished, write_whole

__all__ = ["SimulatedSet", "SimulationOptions", "case_hours", "open_set", "simulate_folder"]

CLINICAL_NAME: Final = "clinical_data.csv"
DAMAGE_NAME: Final = "damage.json"
OPTIONS_NAME: Final = SIMULATION_NAME
_SCHEMA_VERSION: Final = SimulationNote.current_version
_SIMULATOR_VERSION: Final = 2  # increment it when the same options give different bytes


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """The options of a set.

    Attributes
    ----------
    seed : int
        At least 0.
    cases : int
        At least 1.
    hours : float
        Median length of a case in hours, up to 24; by default VitalDB's.
    spread : float
        Spread of the lengths, 0 to 2: exponent of their ratio to the median. 1 as in VitalDB, 0 makes all equal.
    waves, truth : bool
        Whether to add waves, and whether to write a truth table for each recording.
    damage : mapping of str to float
        Share of cases, 0 to 1, by kind of damage; see `damage`.
    profile : str, optional
        Name of a packaged profile, whose devices record instead of VitalDB's.

    Raises
    ------
    UsageError
        If an option is out of range.
    """

    seed: int = 0
    cases: int = 24
    hours: float = 2.75
    spread: float = 1.0
    waves: bool = False
    truth: bool = False
    damage: DamageShares = field(default_factory=dict)
    profile: str | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"The seed is {self.seed}.", fix="use a seed of at least 0.")
        if self.cases < 1:
            raise UsageError(f"Cannot simulate {self.cases} cases.", fix="use at least one case.")
        if not 0 <= self.spread <= 2:
            raise UsageError(f"The spread of case lengths is {self.spread}.", fix="use a number from 0 to 2.")
        if not 0 < self.hours <= MAX_HOURS:  # also refuses NaN
            raise UsageError(
                f"Cases cannot last {self.hours} h.", fix=f"use a length above 0 and up to {MAX_HOURS:g} h."
            )
        if self.profile is not None:
            profile_content(self.profile)  # refuses an unknown name


@dataclass(frozen=True, kw_only=True)
class SimulatedSet:
    """A folder with a set. `options.cases` is the final number of cases; `missing` are the cases still to create."""

    output: Path
    options: SimulationOptions
    missing: tuple[int, ...]

    def recording(self, case_id: int) -> Path:
        """Return the path of a case's recording."""
        return self.output / "raw-data" / f"{case_id:04d}.vital"

    def truth(self, case_id: int) -> Path:
        """Return the path of a case's truth table."""
        return self.output / "truth" / f"{case_id:04d}.parquet"

    def fill(self, *, workers: int, stop: StopRequest, progress: Callable[[int, int], None]) -> None:
        """Create the missing cases. `progress` is called with each case's number and size in bytes.

        Raises
        ------
        Stopped
            After a signal. Complete cases are kept, and the same call resumes.
        RetryableError
            If the disk is full or unavailable. Complete cases are kept, and the same call resumes.
        """
        try:
            for case_id, size in self._made(workers, stop):
                progress(case_id, size)
        except Stopped:
            self._write_tables()
            raise
        finally:
            self._sweep()
        self._write_tables()

    def _made(self, workers: int, stop: StopRequest) -> Iterator[tuple[int, int]]:
        if workers == 1:
            for case_id in self.missing:
                stop.raise_if_requested()
                yield case_id, _make(_Task(self, case_id))
            return
        tasks = (_Task(replace(self, missing=()), case_id) for case_id in self.missing)
        with WorkerPool(min(workers, max(len(self.missing), 1)), stop) as pool:
            for task, size in pool.results(_make, tasks, name=lambda task: f"case {task.case_id}"):
                yield task.case_id, size

    def _write_tables(self) -> None:
        """Write the clinical table and the list of damages for the cases that exist."""
        rows: list[tuple[Patient, ClinicalTimes]] = []
        damages: dict[int, Damage] = {}
        for case_id in range(1, self.options.cases + 1):
            if not self.recording(case_id).exists():
                continue
            damage = damage_of(self.options.seed, case_id, self.options.damage)
            if damage != "no-clinical-row":
                rows.append(clinical_row(self.options.seed, case_id, case_hours(self.options, case_id)))
            if damage is not None:
                damages[case_id] = damage
        table = damaged_table(clinical_table(rows), damages)
        write_whole(self.output / CLINICAL_NAME, table.encode("utf-8"))
        if self.options.damage:
            cases = [{"case_id": case_id, **EXPECTED[damage].described(damage)} for case_id, damage in damages.items()]
            document = {"schema_version": 1, "shares": dict(self.options.damage), "cases": cases}
            write_whole(self.output / DAMAGE_NAME, json_bytes(document))

    def _sweep(self) -> None:
        """Remove the temporary files of killed processes."""
        for folder in ("raw-data", "truth", "."):
            for path in (self.output / folder).glob(".*.tmp"):
                path.unlink(missing_ok=True)

    def damages(self) -> dict[Damage, int]:
        """Return the number of cases by requested damage."""
        options = self.options
        found = (damage_of(options.seed, case_id, options.damage) for case_id in range(1, options.cases + 1))
        return dict.fromkeys(options.damage, 0) | Counter(damage for damage in found if damage is not None)


def case_hours(options: SimulationOptions, case_id: int) -> float:
    """Return the length of one case of a set in hours."""
    hours = drawn_length(
        case_rng(options.seed, case_id, Purpose.LENGTH),
        median_hours=options.hours,
        spread=options.spread,
        department=patient_of_case(options.seed, case_id).department,
    )
    damage = damage_of(options.seed, case_id, options.damage)
    return damaged_hours(options.seed, case_id, min(hours, MAX_HOURS), damage)


def open_set(output: Path, options: SimulationOptions, *, append: bool = False) -> SimulatedSet:
    """Open a folder for a set: a new or empty folder, or one that holds a set with the same options.

    With `append`, `options.cases` further cases are added to the existing set.

    Raises
    ------
    UsageError
        If the folder holds anything else. It is not modified.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, not a folder.", fix="choose a new folder.")
    found = found_options(output)
    if found is not None:
        options = _continued(output, found, options, append)
    elif output.exists() and any(entry.name != unfinished(output / OPTIONS_NAME).name for entry in output.iterdir()):
        raise UsageError(f"{output} is not empty and is not a simulated set.", fix="choose a new folder.")
    claimed = SimulatedSet(output=output, options=options, missing=())
    folders = [output / "raw-data", *([output / "truth"] if options.truth else [])]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"Could not create {output} ({error.strerror}).", fix="choose a folder that you can write to."
            ) from error
    write_whole(output / OPTIONS_NAME, json_bytes(_described(options)))
    cases = range(1, options.cases + 1)
    return replace(claimed, missing=tuple(case_id for case_id in cases if not claimed.recording(case_id).exists()))


def simulate_folder(
    output: Path, options: SimulationOptions, *, append: bool = False, workers: int = 1
) -> tuple[Path, ...]:
    """Create or complete a set in a folder, and return its recordings by case number."""
    claimed = open_set(output, options, append=append)
    claimed.fill(workers=workers, stop=StopRequest(), progress=lambda case_id, size: None)
    return tuple(claimed.recording(case_id) for case_id in range(1, claimed.options.cases + 1))


def found_options(output: Path) -> dict[str, Any] | None:
    """Return the options of the set in a folder, or None if there is no set."""
    marker = output / OPTIONS_NAME
    if not marker.exists():
        return None
    try:
        found = json.loads(marker.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{marker} is not valid JSON ({error}).", fix="choose a new folder.") from error
    if not isinstance(found, dict) or not isinstance(found.get("cases"), int):
        raise UsageError(f"{marker} does not describe a simulation.", fix="choose a new folder.")
    return found


def _continued(output: Path, found: dict[str, Any], options: SimulationOptions, append: bool) -> SimulationOptions:
    """Return the options of the existing set, with `options.cases` more cases when appending."""
    if append:
        options = replace(options, cases=options.cases + found["cases"])
    wanted = _described(options)
    ignored = {"cases"} if append else set()
    keys = [key for key in {**wanted, **found} if key not in ignored and found.get(key) != wanted.get(key)]
    if not keys:
        return options
    differences = ", ".join(f"{key} is {found.get(key)}, requested {wanted.get(key)}" for key in keys)
    fix = "choose a new folder, or use the options of the existing set."
    if keys == ["cases"]:
        fix = f"use --append to add cases, or --cases {found['cases']} to complete the set."
    raise UsageError(f"{output} holds a set with other options: {differences}.", fix=fix)


def _described(options: SimulationOptions) -> dict[str, Any]:
    described = asdict(options) | {"damage": dict(options.damage)}
    if options.profile is None:
        del described["profile"]  # as in sets of earlier versions
    return {"schema_version": _SCHEMA_VERSION, "simulator_version": _SIMULATOR_VERSION, **described}


@dataclass(frozen=True)
class _Task:
    """One case of a set."""

    into: SimulatedSet
    case_id: int


def _make(task: _Task) -> int:
    """Write one case, with its recording last, and return the recording's size in bytes."""
    options, case_id = task.into.options, task.case_id
    damage = damage_of(options.seed, case_id, options.damage)
    case = make_case(options.seed, case_id, case_hours(options, case_id), waves=options.waves)
    case, data = damaged(case, damage, profile=options.profile)
    if options.truth and damage not in UNREADABLE:
        from vitalprep.contract.config_file import load_config
        from vitalprep.simulate.truth import write_truth

        path = task.into.truth(case_id)
        with explained(path):
            config = load_config(profiles=[options.profile] if options.profile else [])
            write_truth(path, case_truth_table(case, config))
    write_whole(task.into.recording(case_id), data)
    return len(data)
