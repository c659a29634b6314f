"""The clinical table to fill in: a row for each recording, with its case number and, where needed, its path."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from vitalprep.contract.case_list import HIGHEST_CASE
from vitalprep.inspect.contents import number_of
from vitalprep.plan.clinical import COLUMNS, FILES
from vitalprep.plan.readings import files_of
from vitalprep.runtime.errors import RefusedError
from vitalprep.runtime.printable import FORMULA

__all__ = ["TableToFill", "table_to_fill"]


@dataclass(frozen=True)
class TableToFill:
    """The table as CSV, its number of rows, and the paths that no cell can name, which have no row."""

    data: bytes
    rows: int
    without_row: tuple[str, ...]


def table_to_fill(paths: Iterable[str]) -> TableToFill:
    """Return a clinical table in which only the case numbers, and the paths that need it, are filled in.

    A recording whose name is a case number keeps it; the first one, if several have the same. The others get free
    numbers, and a cell of the column `file` names them.
    """
    cases: dict[int, str] = {}
    others: list[str] = []
    without_row: list[str] = []
    named: set[int] = set()
    for path in paths:
        number = number_of(path)
        if number is not None and number not in cases:
            cases[number] = path
        elif _can_be_named(path):
            others.append(path)
            named.update({number} if number is not None and _can_be_named(cases[number]) else ())
        else:
            without_row.append(path)
    for path, case in zip(others, _free(cases), strict=False):
        cases[case] = path
        named.add(case)
    columns = (*COLUMNS, FILES) if named else COLUMNS
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for case, path in sorted(cases.items()):
        writer.writerow({"caseid": case} | ({FILES: path} if case in named else {}))
    return TableToFill(text.getvalue().encode(), len(cases), tuple(without_row))


def _free(cases: dict[int, str]) -> Iterator[int]:
    """Yield numbers that no case has: those above all others first."""
    taken = frozenset(cases)
    highest = max(taken, default=0)
    return (number for number in chain(range(highest + 1, HIGHEST_CASE + 1), range(1, highest)) if number not in taken)


def _can_be_named(path: str) -> bool:
    """Return whether a cell of the column `file` names this path, and no spreadsheet takes it for a formula."""
    try:
        return files_of(path, "") == (path,) and not path.startswith(FORMULA)
    except RefusedError:
        return False
