"""Prints an estimate as tables: volume, backends, and the figures behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitalprep.runtime.console import cell, print_table

__all__ = ["print_cost"]


def print_cost(result: Mapping[str, Any]) -> None:
    """Print the result of `cost`."""
    print_table("Volume of the run", _volume_rows(result))
    if result["plausible"]:
        _print_backends(result["backends"], result["figures"]["region"])
    print_table("Basis of the estimate", _basis_rows(result))


def _volume_rows(result: Mapping[str, Any]) -> dict[str, str]:
    there = f"{result['cases']:,}"
    if result["missing"]:
        there += f" of {result['requested']:,} requested; not in the input: {result['missing']}"
    lengths = f"{result['hours']:,.0f} h, the median case {result['median_minutes']:,.0f} min"
    if result["unlikely_sizes"]:
        lengths += f"; {result['unlikely_sizes']:,} of implausible size"
    if not result["plausible"]:
        estimate = f"none. {result['why_not']} Fix: {result['fix']}"
        return {"cases": there, "recordings": f"{result['gb_in']:,.2g} GB", "estimate": estimate}
    tables = f"and {result['gb_harmonized']:.2g} GB of tables"
    return {
        "cases": there,
        "recordings": f"{result['gb_in']:,.2f} GB",
        "duration": f"about {lengths}",
        "windows": f"about {result['windows']:,}",
        "written": f"{result['gb_out']:,.2f} GB in about {result['files']:,} files, {tables}",
        "storage": f"{_dollars(result['storage_dollars_per_month'])} dollars a month in S3",
    }


def _recorded(result: Mapping[str, Any]) -> str:
    return str(result["recorded"]).replace("_", " ")


def _prices(result: Mapping[str, Any]) -> str:
    priced, deployed = result["figures"]["region"], result["deployment_region"]
    if priced == deployed:
        return f"of {priced}"
    return (
        f"of {priced}. Runs are deployed to {deployed}, whose prices vitalprep does not have (it has those of "
        f"{', '.join(result['priced_regions'])}): expect other prices, or give them with --prices"
    )


def _print_backends(backends: Mapping[str, Mapping[str, Any]], region: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=cell(f"Backends (prices of {region})"), title_justify="left")
    table.add_column(style="bold")
    for item in backends.values():
        table.add_column(cell(item["label"]), justify="right")
    rows = {
        "shards": [str(item["shards"]) for item in backends.values()],
        "tasks": [str(item["tasks"]) for item in backends.values()],
        "vCPU-hours": [f"{item['vcpu_hours']:.2f}" for item in backends.values()],
        "minutes": [f"{item['minutes']:.0f}" for item in backends.values()],
        "dollars": [_dollars(item["dollars"]) for item in backends.values()],
        "of it compute": [_dollars(item["compute"]) for item in backends.values()],
        "of it S3": [_dollars(item["requests"] + item["transfer"]) for item in backends.values()],
        "prices of": [item["priced"] for item in backends.values()],
    }
    for name, cells in rows.items():
        table.add_row(name, *map(cell, cells))
    Console().print(table)


def _basis_rows(result: Mapping[str, Any]) -> dict[str, str]:
    machine, seconds = result["figures"]["machine"], result["local"]["cpu_seconds"]
    stages = ", ".join(f"{stage} {item:.0f}" for stage, item in seconds.items() if stage != "total" and item >= 0.5)
    return {
        "prices": _prices(result),
        "recorded minute": f"{result['mb_per_minute']:g} MB, recorded {_recorded(result)}",
        "CPU seconds": f"{seconds['total']:,.0f} ({stages})",
        "measured on": f"{machine['cpu']}, measured {machine['measured']}",
        "assumed": _assumed(result["assumed"]),
        "not included": "; ".join(result["limits"]),
    }


def _assumed(assumed: Mapping[str, float]) -> str:
    """The assumed figures, each name once for all backends."""
    values: dict[str, list[str]] = {}
    for key, value in assumed.items():
        known = values.setdefault(key.rpartition(".")[2], [])
        if f"{value:g}" not in known:
            known.append(f"{value:g}")
    return ", ".join(f"{name} {' or '.join(known)}" for name, known in values.items()) or "nothing"


def _dollars(value: float) -> str:
    return "under 0.01" if 0 < value < 0.01 else f"{value:,.2f}"
