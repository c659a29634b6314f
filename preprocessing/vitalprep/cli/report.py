"""Prints the result of a command: a table, or one line of JSON."""

from __future__ import annotations

from typing import Any

from vitalprep.runtime.console import print_result, print_table

__all__ = ["report"]


def report(title: str, result: dict[str, Any], as_json: bool, *, show: tuple[str, ...] | None = None) -> None:
    """Print a result as JSON, or the entries to `show` (default: all) as a table."""
    if as_json:
        print_result({"ok": True} | result)
        return
    shown = {name: result[name] for name in show or result}
    print_table(title, {name.replace("_", " "): _readable(value) for name, value in shown.items()})


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_readable(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_readable, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
