"""Cells of the clinical table that say which source applies: every text is known to the configuration, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitalprep.contract.condition import EMPTY_CELLS, folded
from vitalprep.contract.config import Config
from vitalprep.runtime.errors import RefusedError
from vitalprep.runtime.printable import shortened

__all__ = ["MappedColumn", "cells_of", "mapped_columns"]

LONGEST_SHOWN = 40
MOST_SHOWN = 20


@dataclass(frozen=True)
class MappedColumn:
    """A column that sources depend on.

    Attributes
    ----------
    column : str
        In lower case.
    needed_by : str
        Configuration key of the first source that reads it.
    values : tuple of str
        Texts that a source maps, folded.
    ignored : tuple of str
        Texts that stand for nothing that is read.
    """

    column: str
    needed_by: str
    values: tuple[str, ...]
    ignored: tuple[str, ...]


def mapped_columns(config: Config) -> tuple[MappedColumn, ...]:
    """Return the columns on which a configuration's sources depend, in their order."""
    keys: dict[str, str] = {}
    values: dict[str, dict[str, None]] = {}
    for item in config.inputs:
        for source in item.sources:
            if source.where:
                column = source.where.column
                keys.setdefault(column, f"inputs.{item.name}.sources.{source.track}.where")
                values.setdefault(column, {})[source.where.value] = None
    return tuple(MappedColumn(column, key, tuple(values[column]), config.ignored_cells) for column, key in keys.items())


def cells_of(cells: Mapping[str, str], place: str, columns: Sequence[MappedColumn]) -> dict[str, str]:
    """Return a row's mapped cells, folded and by column. Empty and ignored ones map nothing and are left out.

    Raises
    ------
    RefusedError
        If a cell holds a text that the configuration does not know. It is never guessed.
    """
    found = {}
    for one in columns:
        text = folded(cells[one.column])
        if text in one.values:
            found[one.column] = text
        elif text not in EMPTY_CELLS and text not in one.ignored:
            raise _unknown(cells[one.column].strip(), place, one)
    return found


def _unknown(text: str, place: str, one: MappedColumn) -> RefusedError:
    known = [*one.values, *one.ignored]
    more = f" and {len(known) - MOST_SHOWN} more" if len(known) > MOST_SHOWN else ""
    return RefusedError(
        f"{place}: {one.column} {shortened(text, LONGEST_SHOWN)!r} is no text that the configuration maps; "
        f"{one.needed_by} reads it. Known: {', '.join(map(repr, known[:MOST_SHOWN]))}{more}.",
        fix="correct the cell, leave it empty if the case did not use it, add a source with this where.value, or add "
        "the text to ignored_cells.",
    )
