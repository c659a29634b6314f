"""How each fact about a case is read from a cell of the clinical table."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vitalprep.contract import float32
from vitalprep.contract.condition import EMPTY_CELLS
from vitalprep.contract.config import PERSON, Config
from vitalprep.runtime.errors import RefusedError
from vitalprep.runtime.printable import shortened

__all__ = ["KINDS", "STANDARD", "Reading", "files_of", "readings_of", "value_of", "whole_number"]

Kind = Literal["sex", "age", "positive", "number"]
KINDS: Mapping[str, Kind] = {
    "age": "age",
    "sex": "sex",
    "height": "positive",
    "weight": "positive",
    "bmi": "positive",
    "asa": "positive",
}
_SEXES = {"f": -1.0, "female": -1.0, "m": 1.0, "male": 1.0}
_DIGITS = re.compile(r"\d+", re.ASCII)
_COMMA = re.compile(r">?[+-]?\d+(,\d+)+(\.\d*)?", re.ASCII)
_ABSOLUTE = re.compile(r"/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")
LARGEST = 2**63 - 1  # int64 of the records
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
        ``sex`` is M or F; ``age`` and ``positive`` are missing where they are not positive or float32 cannot hold them,
        and an age of 89 may stand as ``>89``; of a ``number``, 0 and negative values are values.
    needed_by : str, optional
        Configuration key that needs the column. None: only the report shows it. Where the column is missing, or a cell
        cannot be read, it is not known.
    """

    name: str
    column: str
    kind: Kind
    needed_by: str | None


STANDARD = tuple(Reading(name, name, kind, f"statics.{name}") for name, kind in KINDS.items())
"""The six statics of the default configuration."""


def readings_of(config: Config) -> tuple[Reading, ...]:
    """Return what a configuration reads of each patient: its statics, and age, sex, height and weight."""
    statics = [
        Reading(item.name, item.table_column, KINDS.get(item.measure or "", "number"), f"statics.{item.name}")
        for item in config.statics
    ]
    names = {item.name for item in config.statics}
    beside = [Reading(name, name, KINDS[name], config.needed_by(name)) for name in PERSON if name not in names]
    return (*statics, *beside)


def _cell(text: str | None) -> str | None:
    stripped = (text or "").strip()
    return None if stripped.lower() in EMPTY_CELLS else stripped


def _shown(value: str | None) -> str:
    return repr(value if value is None else shortened(value, LONGEST_SHOWN))


def whole_number(text: str | None, place: str, column: str) -> int:
    """Return the number of a case or a subject, which int64 holds.

    Raises
    ------
    RefusedError
        If the cell holds none.
    """
    value = _cell(text)
    if value is None:
        rows = "; rows of one patient have the same" if column == "subjectid" else ""
        raise RefusedError(f"{place}: {column} is empty.", fix=f"write a whole number into the cell{rows}.")
    if not _DIGITS.fullmatch(value):  # int() would also read 1_0 and other scripts' digits
        raise RefusedError(f"{place}: {column} {_shown(value)} is no whole number.", fix="correct the cell.")
    if len(value) > len(str(LARGEST)) or int(value) > LARGEST:
        raise RefusedError(f"{place}: {column} {_shown(value)} is out of range.", fix="correct the cell.")
    return int(value)


def files_of(text: str | None, place: str) -> tuple[str, ...]:
    """Return the paths that a cell of the column `file` names, in its order; none where the cell is empty.

    A path is relative to the input. Several, separated by semicolons, are the parts of one case.

    Raises
    ------
    RefusedError
        If a path is empty, absolute, written with backslashes, or has a step ``.`` or ``..``.
    """
    value = _cell(text)
    if value is None:
        return ()
    paths = tuple(path.strip() for path in value.split(";"))
    for path in paths:
        wrong, fix = _wrong_path(path)
        if wrong:
            raise RefusedError(f"{place}: file {_shown(path if path else value)} {wrong}.", fix=fix)
    return paths


def _wrong_path(path: str) -> tuple[str, str]:
    """Return what is wrong with a path and its fix, both empty where it is right."""
    if not path:
        return "has an empty path before or after a semicolon", "remove the semicolon, or write the missing path."
    if "\\" in path:
        return "has a backslash", "write a slash between folder and file."
    if _ABSOLUTE.match(path):
        return "is not relative to the input", "write the path below the input folder."
    if {".", ".."} & set(path.split("/")):
        return "has a step . or ..", "write the path below the input folder, without such steps."
    return "", ""


def value_of(text: str | None, place: str, reading: Reading) -> float | None:
    """Return what a cell says of the patient, or None where it says nothing.

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
    if number is None and _COMMA.fullmatch(value):
        raise RefusedError(
            f"{place}: {reading.column} {_shown(value)} has a decimal comma, or one between thousands{needed}.",
            fix="write a decimal point, and no separator of thousands (170.5).",
        )
    if number is None:
        raise RefusedError(
            f"{place}: {reading.column} {_shown(value)} is no number{needed}.",
            fix="correct the cell, or leave it empty.",
        )
    if reading.kind == "number":
        if abs(number) > float32.LARGEST:
            raise RefusedError(
                f"{place}: {reading.column} {_shown(value)} is too large for a record (float32){needed}.",
                fix="correct the cell, or leave it empty.",
            )
        return number
    positive = number > 0 or (number == 0 and reading.kind == "age")  # age 0 is an infant
    return float32.held(number) if positive else None


def _number(text: str) -> float | None:
    """Return a finite number written in ASCII digits, or None where the text is none."""
    if not text.isascii() or "_" in text:  # float() would also read 1_0 and other scripts' digits
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
