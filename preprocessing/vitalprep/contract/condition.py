"""The cell of the clinical table on which a source depends, such as the drug that a numbered pump gives in a case."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from vitalprep.contract.document import Schema

__all__ = ["EMPTY_CELLS", "CellText", "Condition", "folded", "refuse_ambiguous", "source_name"]

EMPTY_CELLS = ("", "nan", "na")
"""Cells that say nothing, in lower case and without blanks around them."""
_OTHER_MEANING = ("caseid", "subjectid", "file")


def folded(text: str) -> str:
    """Return a cell's text as texts are compared: without regard to case and to blanks around it.

    Examples
    --------
    >>> folded(" Propofol 20 ")
    'propofol 20'
    """
    return unicodedata.normalize("NFC", text).strip().casefold()


def _column(name: str) -> str:
    column = name.strip().lower()
    if not column or column in _OTHER_MEANING:
        raise ValueError(f"the column {name!r} cannot say which source applies; name another column")
    return column


def _text(value: str) -> str:
    text = folded(value)
    if text in EMPTY_CELLS:
        raise ValueError(f"a cell {value!r} says nothing; write the text that the cells hold")
    return text


CellText = Annotated[str, AfterValidator(_text)]
"""The text of a cell, folded."""


class Condition(Schema):
    """The cell on which a source depends: the source takes part in the cases whose cell in `column` holds `value`.

    Case and blanks around the name of the column and around the cell do not count.
    """

    column: Annotated[str, AfterValidator(_column)]
    value: CellText

    def holds(self, cells: Mapping[str, str]) -> bool:
        """Return whether a case's cells, folded and by column, meet the condition."""
        return cells.get(self.column) == self.value


def source_name(track: str, where: Any) -> str:
    """Return a source's name, which its list has once: its track and the cell on which it depends.

    Examples
    --------
    >>> source_name("Pump/PUMP1_RATE", {"column": "pump1", "value": "Propofol"})
    'Pump/PUMP1_RATE where pump1 is propofol'
    """
    given = (where.get("column"), where.get("value")) if isinstance(where, Mapping) else ()
    texts = [part for part in given if isinstance(part, str)]
    if len(texts) != 2:
        return track
    return f"{track} where {texts[0].strip().lower()} is {folded(texts[1])}"


def refuse_ambiguous(sources: Iterable[tuple[str, Condition | None]]) -> None:
    """Refuse sources of which two could apply to one track in one case.

    Parameters
    ----------
    sources : iterable of (str, Condition or None)
        Track and condition of every source of every input.

    Raises
    ------
    ValueError
        Naming the track.
    """
    found: dict[str, list[Condition | None]] = {}
    for track, condition in sources:
        found.setdefault(track, []).append(condition)
    for track, conditions in found.items():
        there = [condition for condition in conditions if condition is not None]
        columns = list(dict.fromkeys(condition.column for condition in there))
        values = [condition.value for condition in there]
        twice = next((value for value in values if values.count(value) > 1), None)
        if len(conditions) > 1 and not there:
            raise ValueError(f"inputs: source {track!r} stands twice")
        if there and len(there) < len(conditions):
            raise ValueError(f"inputs: source {track!r} stands with and without where; give where to each, or to none")
        if len(columns) > 1:
            raise ValueError(f"inputs: source {track!r} depends on the columns {', '.join(columns)}; name one of them")
        if twice is not None:
            raise ValueError(f"inputs: source {track!r} stands twice where {columns[0]} is {twice!r}")
