"""Simulated sets as folders: `raw-data/NNNN.vital`, `clinical_data.csv`, and what they were made with.

A case is a pure function of the seed, its number and the options. So a folder can be filled in any order, by several
processes, in several runs, and comes out the same; only whole files ever appear in it, and none is written twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vitalprep.contract.provenance import SIMULATION_NAME, SimulationNote
from vitalprep.runtime.errors import RetryableError, Stopped, UsageError
from vitalprep.runtime.workers import StopRequest, WorkerPool
from vitalprep.simulate.case import MAX_HOURS, case_truth_table, clinical_row, make_case
from vitalprep.simulate.damage import EXPECTED, Damage, DamageShares, damage_of, damaged, damaged_hours
from vitalprep.simulate.patients import clinical_table, drawn_length, patient_of_case
from vitalprep.simulate.streams import Purpose, case_rng

__all__ = ["SimulatedSet", "SimulationOptions", "case_hours", "open_set", "simulate_folder"]

CLINICAL_NAME: Final = "clinical_data.csv"
DAMAGE_NAME: Final = "damage.json"
OPTIONS_NAME: Final = SIMULATION_NAME
_SCHEMA_VERSION: Final = SimulationNote.current_version
_SIMULATOR_VERSION: Final = 2  # of the bytes: raise it when equal options give other files
_REFUSED_FILES: Final = ("truncated", "bitflip", "foreign", "unit")  # have no truth: nobody may read them


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """What to make.

    Attributes
    ----------
    seed : int
        0 or more.
    cases : int
        1 or more.
    hours : float
        Median length of a case; VitalDB's by default.
    spread : float
        How far lengths lie from the median: 1 as in VitalDB, 0 all equal (their ratio to the median to this power).
    waves, truth : bool
        Add the waves; write a table of the truth beside each recording.
    damage : mapping of str to float
        Shares of the cases to spoil; see `damage`.

    Raises
    ------
    UsageError
        No cases, a negative seed, or lengths that no operation has.
    """

    seed: int = 0
    cases: int = 24
    hours: float = 2.75
    spread: float = 1.0
    waves: bool = False
    truth: bool = False
    damage: DamageShares = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"The seed is {self.seed}.", fix="give a seed of 0 or more.")
        if self.cases < 1:
            raise UsageError(f"Cannot simulate {self.cases} cases.", fix="ask for one case or more.")
        if not 0 <= self.spread <= 2:
            raise UsageError(f"The spread of case lengths is {self.spread}.", fix="give a number from 0 to 2.")
        if not 0 < self.hours <= MAX_HOURS:  # refuses NaN too
            raise UsageError(f"Cases cannot last {self.hours} h.", fix=f"give hours above 0 and up to {MAX_HOURS:g}.")


@dataclass(frozen=True, kw_only=True)
class SimulatedSet:
    """A folder claimed for a set; `options.cases` is how many it shall hold, `missing` those it does not hold yet."""

    output: Path
    options: SimulationOptions
    missing: tuple[int, ...]

    def recording(self, case_id: int) -> Path:
        """Where a case's file is."""
        return self.output / "raw-data" / f"{case_id:04d}.vital"

    def truth(self, case_id: int) -> Path:
        """Where a case's truth is."""
        return self.output / "truth" / f"{case_id:04d}.parquet"

    def fill(self, *, workers: int, stop: StopRequest, progress: Callable[[int, int], None]) -> None:
        """Make the missing cases; `progress` is called with each case's number and size in bytes.

        Raises
        ------
        Stopped
            After a signal; whole cases stay, and the same call makes the rest.
        RetryableError
            The disk is full or gone; likewise.
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
        """The clinical table and the list of damages, of the cases that are there."""
        rows, damages = [], []
        for case_id in range(1, self.options.cases + 1):
            if not self.recording(case_id).exists():
                continue
            damage = damage_of(self.options.seed, case_id, self.options.damage)
            if damage != "no-clinical-row":
                rows.append(clinical_row(self.options.seed, case_id, case_hours(self.options, case_id)))
            if damage is not None:
                damages.append({"case_id": case_id, "damage": damage, "expected": EXPECTED[damage]})
        _write_whole(self.output / CLINICAL_NAME, clinical_table(rows).encode("utf-8"))
        if self.options.damage:
            document = {"schema_version": 1, "shares": dict(self.options.damage), "cases": damages}
            _write_whole(self.output / DAMAGE_NAME, _json(document))

    def _sweep(self) -> None:
        """Remove what killed processes left unfinished."""
        for folder in ("raw-data", "truth", "."):
            for path in (self.output / folder).glob(".*.tmp"):
                path.unlink(missing_ok=True)

    def damages(self) -> dict[Damage, int]:
        """Return how many cases have each damage that was asked for."""
        options = self.options
        found = (damage_of(options.seed, case_id, options.damage) for case_id in range(1, options.cases + 1))
        return dict.fromkeys(options.damage, 0) | Counter(damage for damage in found if damage is not None)


def case_hours(options: SimulationOptions, case_id: int) -> float:
    """The length of one case of a set, in hours."""
    hours = drawn_length(
        case_rng(options.seed, case_id, Purpose.LENGTH),
        median_hours=options.hours,
        spread=options.spread,
        department=patient_of_case(options.seed, case_id).department,
    )
    damage = damage_of(options.seed, case_id, options.damage)
    return damaged_hours(options.seed, case_id, min(hours, MAX_HOURS), damage)


def open_set(output: Path, options: SimulationOptions, *, append: bool = False) -> SimulatedSet:
    """Claim a folder for a set: a new or empty one, or one that holds a set of the same options.

    With `append`, `options.cases` more cases are added to the set that is there.

    Raises
    ------
    UsageError
        The folder holds something else; it is left as it is.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, not a folder.", fix="choose a new folder.")
    found = found_options(output)
    if found is not None:
        options = _continued(output, found, options, append)
    elif output.exists() and any(entry.name != _unfinished(output / OPTIONS_NAME).name for entry in output.iterdir()):
        raise UsageError(f"{output} is not empty and holds no simulated cases.", fix="choose a new folder.")
    claimed = SimulatedSet(output=output, options=options, missing=())
    folders = [output / "raw-data", *([output / "truth"] if options.truth else [])]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{output} cannot be created ({error.strerror}).", fix="choose a folder of yours."
            ) from error
    _write_whole(output / OPTIONS_NAME, _json(_described(options)))
    cases = range(1, options.cases + 1)
    return replace(claimed, missing=tuple(case_id for case_id in cases if not claimed.recording(case_id).exists()))


def simulate_folder(
    output: Path, options: SimulationOptions, *, append: bool = False, workers: int = 1
) -> tuple[Path, ...]:
    """Make a set of cases in a folder, or complete it, and return its recordings in order."""
    claimed = open_set(output, options, append=append)
    claimed.fill(workers=workers, stop=StopRequest(), progress=lambda case_id, size: None)
    return tuple(claimed.recording(case_id) for case_id in range(1, claimed.options.cases + 1))


def found_options(output: Path) -> dict[str, Any] | None:
    """What the set in a folder was made with; None where there is no set."""
    marker = output / OPTIONS_NAME
    if not marker.exists():
        return None
    try:
        found = json.loads(marker.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{marker} is not readable as JSON ({error}).", fix="choose a new folder.") from error
    if not isinstance(found, dict) or not isinstance(found.get("cases"), int):
        raise UsageError(f"{marker} does not describe a simulation.", fix="choose a new folder.")
    return found


def _continued(output: Path, found: dict[str, Any], options: SimulationOptions, append: bool) -> SimulationOptions:
    """The options of the set that is there, grown by `options.cases` when appending."""
    if append:
        options = replace(options, cases=options.cases + found["cases"])
    wanted = _described(options)
    ignored = {"cases"} if append else set()
    keys = [key for key in {**wanted, **found} if key not in ignored and found.get(key) != wanted.get(key)]
    if not keys:
        return options
    differences = ", ".join(f"{key} is {found.get(key)} there, {wanted.get(key)} here" for key in keys)
    fix = "choose a new folder, or the options that the folder was made with."
    if keys == ["cases"]:
        fix = f"add --append to make more, or ask for {found['cases']} cases to complete the set."
    raise UsageError(f"{output} holds another simulation: {differences}.", fix=fix)


def _described(options: SimulationOptions) -> dict[str, Any]:
    described = asdict(options) | {"damage": dict(options.damage)}
    return {"schema_version": _SCHEMA_VERSION, "simulator_version": _SIMULATOR_VERSION, **described}


@dataclass(frozen=True)
class _Task:
    """One case of a set."""

    into: SimulatedSet
    case_id: int


def _make(task: _Task) -> int:
    """Write one case, its recording last, and return the recording's size in bytes."""
    options, case_id = task.into.options, task.case_id
    damage = damage_of(options.seed, case_id, options.damage)
    case = make_case(options.seed, case_id, case_hours(options, case_id), waves=options.waves)
    case, data = damaged(case, damage)
    if options.truth and damage not in _REFUSED_FILES:
        from vitalprep.contract.config_file import load_config
        from vitalprep.simulate.truth import write_truth

        path = task.into.truth(case_id)
        with _explained(path):
            write_truth(path, case_truth_table(case, load_config()))
    _write_whole(task.into.recording(case_id), data)
    return len(data)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode("utf-8")


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")  # not *.vital: a reader of the folder never takes it for a case


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears complete or not at all."""
    unfinished = _unfinished(path)
    try:
        with _explained(path):
            unfinished.write_bytes(data)
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Tell what the disk's trouble means for the set."""
    try:
        yield
    except OSError as error:
        raise RetryableError(
            f"{path} cannot be written ({error.strerror or error}); the cases made so far are whole.",
            fix="make room or fix the disk, then run the same command again: it makes the rest.",
        ) from error
