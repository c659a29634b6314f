"""What a command prints of its result or its failure: a table for people, one JSON line for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any

from preprocessing.console import log, print_result, print_table
from preprocessing.errors import VitalprepError

__all__ = ["print_failure", "report", "report_failure"]


def report(title: str, result: dict[str, Any], as_json: bool, *, show: tuple[str, ...] | None = None) -> None:
    """Print a result as JSON, or the entries to `show` (default: all) as a table."""
    if as_json:
        print_result({"ok": True} | result)
        return
    shown = {name: result[name] for name in show or result}
    print_table(title, {name.replace("_", " "): _readable(value) for name, value in shown.items()})


def print_failure(**failure: Any) -> None:
    """Print a failure where JSON is asked for; people have read it in the log."""
    if "--json" in sys.argv:
        print_result({"ok": False} | failure)


def report_failure(error: VitalprepError) -> None:
    """Log an error for people, and print it where JSON is asked for."""
    code, kind = error.exit_code, type(error).__name__
    log(str(error), level=logging.ERROR, error=kind, exit_code=code)
    print_failure(exit_code=code, error=kind, message=error.message, mend=error.mend)


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_readable(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_readable, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
