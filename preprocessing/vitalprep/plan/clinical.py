"""The clinical table: VitalDB's columns, and any other column that a static names; statics are settled from it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vitalprep.contract.config import PERSON, Config, Static
from vitalprep.contract.plan import Person
from vitalprep.runtime.errors import RefusedError

__all__ = [
    "COLUMNS",
    "DEFAULTED",
    "OBSERVED",
    "ClinicalRow",
    "Reading",
    "Statics",
    "clinical_rows",
    "is_accepted",
    "read_clinical_table",
    "readings_of",
    "settle_statics",
]

OBSERVED, DEFAULTED = 0, 2  # origin codes of DESIGN 4; a static is never held
Kind = Literal["sex", "age", "positive", "number"]
_KINDS: Mapping[str, Kind] = {
    "age": "age",
    "sex": "sex",
    "height": "positive",
    "weight": "positive",
    "bmi": "positive",
    "asa": "positive",
}
_IDS = ("caseid", "subjectid")
COLUMNS = (*_IDS, "sex", "age", "height", "weight", "bmi", "asa")
_SEXES = {"f": -1.0, "female": -1.0, "m": 1.0, "male": 1.0}
_EMPTY = ("", "nan", "na")
_DIGITS = re.compile(r"\d+", re.ASCII)
LARGEST = 2**63 - 1  # int64 of the records
LARGEST_NUMBER = 3.4028235e38  # float32 of the records
LONGEST_SHOWN = 40


@dataclass(frozen=True)
class Reading:
    """How one fact about the patient is read from the table.

    Attributes
    ----------
    name : str
        Of the static, or of the fact where it is no static.
    column : str
        In lower case.
    kind : str
        ``sex`` is M or F; ``age`` and ``positive`` are missing where they are not positive, and an age of 89 may stand
        as ``>89``; of a ``number``, 0 and negative values are values.
    needed_by : str, optional
        Configuration key that needs the column. None: a table without the column says of nobody what it is.
    """

    name: str
    column: str
    kind: Kind
    needed_by: str | None


STANDARD = tuple(Reading(name, name, kind, f"statics.{name}") for name, kind in _KINDS.items())
"""The six statics of the default configuration."""


@dataclass(frozen=True)
class ClinicalRow:
    """One case's row: its subject, and what the table says of it (None where it says nothing).

    `measures` holds a value for each reading, by name: sex as -1 (female) or 1 (male), numbers in the table's unit.
    """

    subject_id: int
    measures: dict[str, float | None]


@dataclass(frozen=True)
class Statics:
    """The statics of a case in record order, with their origins (0 from the table or computed, 2 default).

    `outside_limits` names the statics whose value was dropped by their limits. `body` is what is known of age, sex,
    height and weight where not all of them are statics.
    """

    values: tuple[float, ...]
    origins: tuple[int, ...]
    outside_limits: tuple[str, ...] = ()
    body: Person | None = None


def readings_of(config: Config) -> tuple[Reading, ...]:
    """Return what a configuration reads of each patient: its statics, and age, sex, height and weight."""
    statics = [
        Reading(item.name, item.table_column, _KINDS.get(item.measure or "", "number"), f"statics.{item.name}")
        for item in config.statics
    ]
    names = {item.name for item in config.statics}
    beside = [Reading(name, name, _KINDS[name], config.needed_by(name)) for name in PERSON if name not in names]
    return (*statics, *beside)


def read_clinical_table(
    data: bytes, uri: str, wanted: Container[int], readings: Sequence[Reading] = STANDARD
) -> dict[int, ClinicalRow]:
    """Read the rows of the wanted cases from a CSV: any column order, extra columns, a byte order mark.

    Raises
    ------
    RefusedError
        If it is no such table, a needed column is missing, a wanted case stands twice, or one of its cells cannot be
        read.
    """
    rows: dict[int, ClinicalRow] = {}
    for case_id, row in clinical_rows(data, uri, wanted, readings):
        if isinstance(row, RefusedError):
            raise row
        assert case_id is not None  # what can be read has a number
        rows[case_id] = row
    return rows


def clinical_rows(
    data: bytes, uri: str, wanted: Container[int], readings: Sequence[Reading] = STANDARD
) -> Iterator[tuple[int | None, ClinicalRow | RefusedError]]:
    """Yield the rows of the wanted cases, and what is wrong with one in its place; None where its case is not known.

    Raises
    ------
    RefusedError
        If it is no such table, or a needed column is missing.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"{uri} is not UTF-8 text (byte {error.start}).", fix="give VitalDB's clinical table as CSV."
        ) from error
    try:
        yield from _rows(csv.DictReader(io.StringIO(text, newline="")), uri, wanted, readings)
    except csv.Error as error:
        raise RefusedError(f"{uri} is no CSV ({error}).", fix="give VitalDB's clinical table as CSV.") from error


def _rows(
    reader: csv.DictReader[str], uri: str, wanted: Container[int], readings: Sequence[Reading]
) -> Iterator[tuple[int | None, ClinicalRow | RefusedError]]:
    columns = [name.strip().lower() for name in reader.fieldnames or []]
    _refuse_missing(columns, uri, readings)
    reader.fieldnames = columns
    seen: set[int] = set()
    for cells in reader:
        place = f"{uri}, line {reader.line_num}"
        case_id: int | None = None
        try:
            case_id = _integer(cells.get("caseid"), place, "caseid")
            if case_id not in wanted:
                continue
            if case_id in seen:
                raise RefusedError(f"{place}: case {case_id} stands twice.", fix="remove one of the rows.")
            seen.add(case_id)
            yield case_id, _row(cells, f"{place} (case {case_id})", readings)
        except RefusedError as error:
            yield case_id, error


def _refuse_missing(columns: Sequence[str], uri: str, readings: Sequence[Reading]) -> None:
    ids = [repr(name) for name in _IDS if name not in columns]
    if ids:
        raise RefusedError(
            f"{uri} lacks the column {' and the column '.join(ids)}.",
            fix="give VitalDB's clinical table, or one of your own with a row a case: caseid, subjectid and the "
            "columns that the configuration reads.",
        )
    missing = [item for item in readings if item.needed_by and item.column not in columns]
    if not missing:
        return
    said = "; ".join(f"{item.column!r}, which {item.needed_by} reads" for item in missing)
    static = next((item for item in missing if item.needed_by == f"statics.{item.name}"), None)
    other = (
        f", name another with {static.needed_by}.column, or plan without this static (edit the whole configuration "
        "that `vitalprep config` prints, and give it with --config)"
        if static
        else ""
    )
    raise RefusedError(
        f"{uri} lacks the column{'s' if len(missing) > 1 else ''} {said}.",
        fix=f"add the column to the table (its cells may be empty){other}.",
    )


def _row(cells: Mapping[str, str | None], place: str, readings: Sequence[Reading]) -> ClinicalRow:
    measures = {item.name: _measure(cells.get(item.column), place, item) for item in readings}
    return ClinicalRow(_integer(cells.get("subjectid"), place, "subjectid"), measures)


def is_accepted(column: str, text: str) -> bool:
    """Return whether a cell of one of VitalDB's columns (`COLUMNS`) can be read as its column wants it."""
    try:
        if column in _KINDS:
            _measure(text, column, Reading(column, column, _KINDS[column], None))
        else:
            _integer(text, column, column)
    except RefusedError:
        return False
    return True


def settle_statics(row: ClinicalRow, config: Config) -> Statics:
    """Return a case's statics: the table's, a computed bmi, or the default (rulings 7 and 10).

    What lies outside a static's limits is dropped: the default stands for it, and no bmi is computed from it.
    """
    measures = dict(row.measures)
    outside = {item.name for item in config.statics if _is_outside(measures[item.name], item)}
    measures |= dict.fromkeys(outside)
    height, weight = measures["height"], measures["weight"]
    for item in config.statics:
        known = measures[item.name] is not None or item.name in outside
        if item.measure == "bmi" and not known and height is not None and weight is not None:
            computed = weight / (height / 100) ** 2
            if _is_outside(computed, item):
                outside.add(item.name)
            else:
                measures[item.name] = computed
    values, origins = [], []
    for item in config.statics:
        value = measures[item.name]
        values.append(item.default if value is None else value)
        origins.append(DEFAULTED if value is None else OBSERVED)
    names = [item.name for item in config.statics]
    beside = {name: measures[name] for name in PERSON if name not in names}
    return Statics(
        values=tuple(values),
        origins=tuple(origins),
        outside_limits=tuple(name for name in names if name in outside),
        body=Person.model_validate(beside) if beside else None,
    )


def _is_outside(value: float | None, static: Static) -> bool:
    return value is not None and static.limits is not None and not static.limits[0] <= value <= static.limits[1]


def _cell(text: str | None) -> str | None:
    stripped = (text or "").strip()
    return None if stripped.lower() in _EMPTY else stripped


def _shown(value: str | None) -> str:
    return repr(value if value is None or len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "...")


def _integer(text: str | None, place: str, column: str) -> int:
    value = _cell(text)
    if value is None or not _DIGITS.fullmatch(value):  # int() would also read 1_0 and other scripts' digits
        raise RefusedError(f"{place}: {column} {_shown(value)} is no whole number.", fix="correct the cell.")
    if len(value) > len(str(LARGEST)) or int(value) > LARGEST:
        raise RefusedError(f"{place}: {column} {_shown(value)} is out of range.", fix="correct the cell.")
    return int(value)


def _measure(text: str | None, place: str, reading: Reading) -> float | None:
    """Return what a cell says, or None where it says nothing.

    Raises
    ------
    RefusedError
        If it is neither empty nor what the reading's kind asks for.
    """
    value = _cell(text)
    if value is None:
        return None
    needed = f"; {reading.needed_by} reads it" if reading.needed_by else ""
    if reading.kind == "sex":
        if value.lower() not in _SEXES:
            raise RefusedError(
                f"{place}: {reading.column} {_shown(value)} is neither M nor F{needed}.", fix="write M, F or nothing."
            )
        return _SEXES[value.lower()]
    number = _number(value.removeprefix(">") if reading.kind == "age" else value)
    if number is None:
        raise RefusedError(
            f"{place}: {reading.column} {_shown(value)} is no number{needed}.",
            fix="correct the cell, or leave it empty.",
        )
    if reading.kind == "number":
        if abs(number) > LARGEST_NUMBER:
            raise RefusedError(
                f"{place}: {reading.column} {_shown(value)} is too large for a record (float32){needed}.",
                fix="correct the cell, or leave it empty.",
            )
        return number
    return number if number > 0 or (number == 0 and reading.kind == "age") else None  # age 0 is an infant


def _number(text: str) -> float | None:
    """Return a finite number written in ASCII digits, or None where the text is none."""
    if not text.isascii() or "_" in text:  # float() would also read 1_0 and other scripts' digits
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
