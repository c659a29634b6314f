"""What ``vitalprep clean`` shows and asks: a table of the output, and a question before removing anything."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import click

from vitalprep.clean.clean import clean as clean_output
from vitalprep.clean.inventory import Inventory, Item
from vitalprep.runtime.console import cell
from vitalprep.runtime.errors import UsageError

__all__ = ["clean"]

Agree = Callable[[Inventory, list[Item]], bool]


def clean(output: str, names: Sequence[str], *, days: float, dry_run: bool, yes: bool, as_json: bool) -> dict[str, Any]:
    """List, ask (unless `yes`), remove, and return a summary."""

    def agree(inventory: Inventory, chosen: list[Item]) -> bool:
        if not as_json:
            _print_inventory(inventory, chosen)
        if dry_run or not chosen:
            return False
        return yes or _asked(chosen)

    return clean_output(output, names, older_than=timedelta(days=days), agree=agree).described()


def _asked(chosen: list[Item]) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{_summed(chosen)} would be removed, but there is no terminal to ask at.",
            fix="add --yes to remove it, or --dry-run to list only.",
        )
    return click.confirm(f"Remove {_summed(chosen)} for good?", err=True)


def _summed(items: list[Item]) -> str:
    digests = sum(item.kind == "harmonized" for item in items)
    size = sum(item.size for item in items) / 1e9
    sets = sum(item.kind == "dataset" for item in items)
    return f"{size:.3g} GB (harmonized digests: {digests}, data sets: {sets}, unnamed tables: {_tables(items)})"


def _tables(items: list[Item]) -> int:
    return sum(len(item.paths) for item in items if item.kind == "orphans")


def _print_inventory(inventory: Inventory, chosen: list[Item]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for name in ("name", "what", "files", "GB", "written"):
        table.add_column(name, justify="right" if name in ("files", "GB") else "left", no_wrap=True)
    table.add_column("fate", overflow="fold")
    for item in inventory.items:
        fate = f"kept: {item.kept}" if item.kept else "to be removed" if item in chosen else "kept: not named"
        what = item.state or item.kind
        cells = (item.name, what, len(item.paths), f"{item.size / 1e9:.3g}", f"{item.modified:%Y-%m-%d}", fate)
        table.add_row(*map(cell, cells))
    Console().print(table)
    if inventory.foreign:
        click.echo(f"{inventory.foreign} objects were not made by vitalprep and are not touched.")
