"""The clinical table as VitalDB serves it, and the statics settled from it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from vitalprep.contract.config import Config
from vitalprep.runtime.errors import RefusedError

__all__ = [
    "COLUMNS",
    "DEFAULTED",
    "OBSERVED",
    "ClinicalRow",
    "Statics",
    "clinical_rows",
    "is_accepted",
    "read_clinical_table",
    "settle_statics",
]

OBSERVED, DEFAULTED = 0, 2  # origin codes of DESIGN 4; a static is never held
_MEASURES = ("age", "height", "weight", "bmi", "asa")
COLUMNS = ("caseid", "subjectid", "sex", *_MEASURES)
_SEXES = {"f": -1.0, "female": -1.0, "m": 1.0, "male": 1.0}
_EMPTY = ("", "nan", "na")
_DIGITS = re.compile(r"\d+", re.ASCII)
LARGEST = 2**63 - 1  # int64 of the records
LONGEST_SHOWN = 40


@dataclass(frozen=True)
class ClinicalRow:
    """One case's row: its subject, and what the table says of it (None where it says nothing).

    `measures` holds age (years), sex (-1 female, +1 male), height (cm), weight (kg), bmi (kg/m2) and asa.
    """

    subject_id: int
    measures: dict[str, float | None]


@dataclass(frozen=True)
class Statics:
    """The statics of a case in record order, with their origins (0 from the table or computed, 2 default)."""

    values: tuple[float, ...]
    origins: tuple[int, ...]


def read_clinical_table(data: bytes, uri: str, wanted: Container[int]) -> dict[int, ClinicalRow]:
    """Read the rows of the wanted cases from a CSV: any column order, extra columns, a byte order mark.

    Raises
    ------
    RefusedError
        If it is no such table, a column is missing, a wanted case stands twice, or one of its cells cannot be read.
    """
    rows: dict[int, ClinicalRow] = {}
    for case_id, row in clinical_rows(data, uri, wanted):
        if isinstance(row, RefusedError):
            raise row
        assert case_id is not None  # what can be read has a number
        rows[case_id] = row
    return rows


def clinical_rows(
    data: bytes, uri: str, wanted: Container[int]
) -> Iterator[tuple[int | None, ClinicalRow | RefusedError]]:
    """Yield the rows of the wanted cases, and what is wrong with one in its place; None where its case is not known.

    Raises
    ------
    RefusedError
        If it is no such table, or a column is missing.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"{uri} is not UTF-8 text (byte {error.start}).", fix="give VitalDB's clinical table as CSV."
        ) from error
    try:
        yield from _rows(csv.DictReader(io.StringIO(text, newline="")), uri, wanted)
    except csv.Error as error:
        raise RefusedError(f"{uri} is no CSV ({error}).", fix="give VitalDB's clinical table as CSV.") from error


def _rows(
    reader: csv.DictReader[str], uri: str, wanted: Container[int]
) -> Iterator[tuple[int | None, ClinicalRow | RefusedError]]:
    columns = [name.strip().lower() for name in reader.fieldnames or []]
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise RefusedError(
            f"{uri} lacks the column {missing[0]!r}.",
            fix=f"give VitalDB's clinical table; it needs {', '.join(COLUMNS)}.",
        )
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
            yield case_id, _row(cells, f"{place} (case {case_id})")
        except RefusedError as error:
            yield case_id, error


def _row(cells: Mapping[str, str | None], place: str) -> ClinicalRow:
    measures: dict[str, float | None] = {"sex": _sex(cells.get("sex"), place)}
    for name in _MEASURES:
        measures[name] = _number(cells.get(name), place, name)
    return ClinicalRow(_integer(cells.get("subjectid"), place, "subjectid"), measures)


def is_accepted(column: str, text: str) -> bool:
    """Return whether a cell can be read as its column wants it."""
    try:
        if column == "sex":
            _sex(text, column)
        elif column in _MEASURES:
            _number(text, column, column)
        else:
            _integer(text, column, column)
    except RefusedError:
        return False
    return True


def settle_statics(row: ClinicalRow, config: Config) -> Statics:
    """Return a case's statics: the table's, a computed bmi, or the default (rulings 7 and 10)."""
    measures = dict(row.measures)
    if measures["bmi"] is None and measures["height"] is not None and measures["weight"] is not None:
        measures["bmi"] = measures["weight"] / (measures["height"] / 100) ** 2
    values, origins = [], []
    for static in config.statics:
        value = measures[static.name]
        values.append(static.default if value is None else value)
        origins.append(DEFAULTED if value is None else OBSERVED)
    return Statics(tuple(values), tuple(origins))


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


def _sex(text: str | None, place: str) -> float | None:
    value = _cell(text)
    if value is None:
        return None
    if value.lower() not in _SEXES:
        raise RefusedError(f"{place}: sex {_shown(value)} is neither M nor F.", fix="write M, F or nothing.")
    return _SEXES[value.lower()]


def _number(text: str | None, place: str, column: str) -> float | None:
    """Return a measure, or None where it is empty or not positive (age 0 is an infant)."""
    value = _cell(text)
    if value is None:
        return None
    try:
        number = float(value.removeprefix(">") if column == "age" else value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or not value.isascii() or "_" in value:
        raise RefusedError(
            f"{place}: {column} {_shown(value)} is no number.", fix="correct the cell, or leave it empty."
        )
    return number if number > 0 or (number == 0 and column == "age") else None
