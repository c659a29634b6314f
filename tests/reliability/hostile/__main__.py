"""``python -m tests.reliability.hostile``: the nightly mode, a million mutants and every giant at its full size."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.reliability.hostile.giants import GIANTS, LONGEST_TIME, MOST_MEMORY, Figures, measured
from tests.reliability.hostile.session import LONGEST_READ, Session, Summary

CORPUS = Path(__file__).with_name("corpus")
FULL_SIZE = 1 << 30


def main(arguments: list[str] | None = None) -> int:
    """Do what was asked for, print it, and return 1 if any input was not answered rightly."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.hostile", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="mutants (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()) // 86400, help="default: the day")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="save what showed something new there")
    parser.add_argument("--wrong", metavar="FOLDER", type=Path, default=CORPUS, help="save failures (default: corpus/)")
    parser.add_argument(
        "--address-sanitizer", action="store_true", help="find accesses beyond a buffer; 7 times slower"
    )
    parser.add_argument("--no-giants", action="store_true", help="leave out the large files")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures there")
    given = parser.parse_args(arguments)
    for folder in filter(None, (given.keep, given.wrong)):
        folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(
            Path(folder),
            seed=given.seed,
            wrong=given.wrong,
            keep=given.keep,
            address_sanitizer=given.address_sanitizer,
        )
        found = session.run(given.inputs, workers=given.workers)
    taken = time.monotonic() - began
    console = Console(width=120)
    console.print(_fuzzed(found, given.seed, taken))
    giants = [] if given.no_giants else [measured([name], FULL_SIZE, longest=300)[0] for name in GIANTS]
    if giants:
        console.print(_giants(giants))
    if given.json:
        document = {"seed": given.seed, "seconds": taken, "fuzz": asdict(found), "giants": list(map(asdict, giants))}
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(bool(found.bad) or found.slowest > LONGEST_READ or any(not giant.right for giant in giants))


def _fuzzed(found: Summary, seed: int, seconds: float) -> Table:
    table = Table("what", "figure", title=f"Mutants, seed {seed}", title_justify="left")
    table.add_row("inputs", f"{found.inputs} in {seconds:.0f} s")
    for outcome, count in found.outcomes.items():
        table.add_row(f"  {outcome}", str(count))
    for what in ("crashes", "hangs", "wrong", "kept", "harmonized", "edges"):
        table.add_row(what, str(getattr(found, what)))
    table.add_row("slowest", f"{found.slowest:.2f} s")
    table.add_row("peak RSS", f"{found.peak_rss / 1e6:.0f} MB")
    for name in found.bad:
        table.add_row("saved", name)
    return table


def _giants(giants: list[Figures]) -> Table:
    table = Table("giant", "outcome", "s", "peak RSS, MB", "right", title="Giants, 1 GiB", title_justify="left")
    for giant in giants:
        right = "yes" if giant.right else f"NO: {giant.detail}"
        table.add_row(giant.name, giant.outcome, f"{giant.seconds:.1f}", f"{giant.peak_rss / 1e6:.0f}", right)
    table.caption = f"limits: {MOST_MEMORY / 1e6:.0f} MB; {LONGEST_TIME:.0f} s for 64 MiB"
    return table


if __name__ == "__main__":
    raise SystemExit(main())
