"""Tables of ``vitalprep status``: one row for each data set, or for each shard of one data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from vitalprep.runtime.console import cell
from vitalprep.runtime.printable import printable

__all__ = ["print_status"]


def print_status(result: Mapping[str, Any], *, shards: bool) -> None:
    """Print the result of `status` as tables, with `shards` also a table of shards."""
    datasets = result["datasets"]
    if not datasets:
        click.echo(printable(f"{result['output']} has no data sets."))
        return
    names = ("data set", "state", "planned", "written", "windows", "shards")
    _print_table(names, [_row(one) for one in datasets])
    click.echo(printable(f"latest: {result['latest'] or 'none'}"))
    for one in datasets:
        if one["name"]:
            click.echo(printable(f"{one['dataset_id']} is named {one['name']}"))
    for one in datasets:
        unobserved, dropped = (sum((one[key] or {}).values()) for key in ("windows_unobserved", "windows_dropped"))
        if unobserved or dropped:
            click.echo(f"{one['dataset_id']} leaves out windows: {unobserved} unobserved, {dropped} dropped")
    for name, problem in [
        ("latest.json", result["problem"]),
        *((one["dataset_id"], one["problem"]) for one in datasets),
    ]:
        if problem:
            click.echo(printable(f"{name}: {problem}"))
    if shards:
        for one in datasets:
            _print_table(
                ("shard", "state", "done", "excluded", "MB/s", "left", "updated"), [*map(_shard, one["shards"])]
            )


def _row(one: Mapping[str, Any]) -> list[str]:
    states = Counter(shard["state"] for shard in one["shards"])
    return [
        one["dataset_id"],
        one["state"],
        _minute(one["planned"]),
        "" if one["requested"] is None else f"{one['written']} of {one['requested']}",
        str(sum(one["windows"].values())) if one["windows"] else "",
        ", ".join(f"{count} {state}" for state, count in states.items()),
    ]


def _minute(stamp: str | None) -> str:
    return stamp[5:16].replace("T", " ") if stamp else ""


def _shard(shard: Mapping[str, Any]) -> list[str]:
    left = shard["seconds_left"]
    return [
        f"{shard['index']}: {shard['label']}",
        shard["state"],
        f"{shard['done']} of {shard['cases']}",
        str(shard["excluded"]),
        f"{shard['bytes_per_second'] / 1e6:.1f}",
        "" if left is None else f"{left} s",
        (shard["updated"] or "")[11:],
    ]


def _print_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name not in ("shard", "shards"))
    for row in rows:
        table.add_row(*map(cell, row))
    Console().print(table)
