"""The page on the checks of the original plan names tests that are there, and leaves no check out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROWS = [line for line in (HERE / "ACCEPTANCE.md").read_text("utf-8").splitlines() if line.startswith("| T")]


def test_every_check_has_one_row_and_something_that_settles_it() -> None:
    assert [row[2:6] for row in ROWS] == [f"T{number:03d}" for number in range(1, 133)]
    assert all(row.rstrip("| ").rpartition("|")[2].strip() for row in ROWS)


def test_every_test_named_is_there() -> None:
    named = {name for row in ROWS for name in re.findall(r"`([\w/]+\.py(?:::\w+)?)`", row)}
    assert len(named) > 60
    missing = [name for name in sorted(named) if not is_there(name)]
    assert missing == []


def is_there(name: str) -> bool:
    file, _, test = name.partition("::")
    path = HERE / file
    if not path.is_file():
        return False
    functions = [
        node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)
    ]
    return test in functions if test else any(function.startswith("test_") for function in functions)
