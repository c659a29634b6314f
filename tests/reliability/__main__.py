"""``python -m tests.reliability``: long soak test that injects all kinds of faults and prints a table at the end."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.reliability.rows import Row
from tests.reliability.soak import SECTIONS, Options


def main() -> int:
    """Do what was asked for, print it, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="only this section; repeatable")
    parser.add_argument("--kills", type=int, default=Options.kills, help="in each place (default: %(default)s)")
    parser.add_argument("--cases", type=int, default=Options.cases, help="of the disturbed runs (default: %(default)s)")
    parser.add_argument("--many", type=int, default=Options.many_cases, help="small cases (default: %(default)s)")
    parser.add_argument("--inputs", type=int, default=Options.hostile_inputs, help="hostile (default: %(default)s)")
    parser.add_argument("--mutants", type=int, default=Options.mutants, help="of documents (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all draws (default: %(default)s)")
    parser.add_argument("--folder", default=".soak", help="for recordings, outputs and logs (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the table there")
    given = parser.parse_args()
    Path(given.folder).mkdir(parents=True, exist_ok=True)
    options = Options(
        folder=Path(given.folder).absolute(),
        seed=given.seed,
        kills=given.kills,
        cases=given.cases,
        many_cases=given.many,
        hostile_inputs=given.inputs,
        mutants=given.mutants,
    )
    progress = Console(stderr=True)
    rows: list[Row] = []
    for name in given.only or SECTIONS:
        began = time.monotonic()
        rows += SECTIONS[name](options)
        progress.print(f"{name}: {time.monotonic() - began:.0f} s", style="dim")
        if given.json:
            document = {"seed": given.seed, "rows": [row.content() for row in rows]}
            Path(given.json).write_text(json.dumps(document, indent=1) + "\n")
    Console(width=max(120, Console().width)).print(_table(rows, given.seed))
    for row in rows:
        for problem in row.problems:
            progress.print(f"{row.section}: {problem}", style="red", markup=False)
    return 0 if all(row.passed for row in rows) else 1


def _table(rows: list[Row], seed: int) -> Table:
    table = Table(title=f"Soak, seed {seed}", title_justify="left")
    for heading in ("section", "what", "faults", "survived", "cases redone", "bytes equal", "passed", "detail"):
        table.add_column(heading, justify="right" if heading in ("faults", "survived", "cases redone") else "left")
    for row in rows:
        equal = {None: "", True: "yes", False: "[red]no[/]"}[row.bytes_equal]
        redone = "" if row.redone is None else str(row.redone)
        passed = "[green]yes[/]" if row.passed else "[red]no[/]"
        table.add_row(
            row.section, row.what, str(row.faults), str(row.survived), redone, equal, passed, row.detail
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main())
