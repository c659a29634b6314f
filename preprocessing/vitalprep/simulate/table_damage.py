"""Faults of the clinical table, as spreadsheets leave them.

A row of a case has a decimal comma or a cell too many. One case with `semicolons` separates the whole table by them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

__all__ = ["damaged_table"]


def damaged_table(table: str, damages: Mapping[int, str]) -> str:
    """Return the text of a clinical table with the faults of the damaged cases."""
    header, *rows = csv.reader(io.StringIO(table))
    case, weight = header.index("caseid"), header.index("weight")
    for row in rows:
        damage = damages.get(int(row[case]))
        if damage == "decimal-comma":
            row[weight] = f"{float(row[weight]):.1f}".replace(".", ",")
        if damage == "cell-too-many":
            row.append("checked")
    text = io.StringIO()
    separator = ";" if "semicolons" in damages.values() else ","
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
