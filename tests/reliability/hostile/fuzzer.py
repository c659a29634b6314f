"""One fuzzing process: ``python -m tests.reliability.hostile.fuzzer '{...}'``, started and watched by `session`."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.reliability.hostile.coverage import Edges
from tests.reliability.hostile.ledger import Ledger, opened
from tests.reliability.hostile.memory import peak_rss
from tests.reliability.hostile.mutate import Mutant, mutant
from tests.reliability.hostile.outcomes import OUTCOMES
from tests.reliability.hostile.seeds import Stream, seeds

__all__ = ["Orders", "name_of"]

MEMORY = 512 << 20  # bytes beyond what the process has once it is started
MOST_KEPT = 4000


@dataclass(frozen=True)
class Orders:
    """What one process is to do: so many inputs from the number `first` on; `wrong` and `keep` are folders for some."""

    seed: int
    first: int
    inputs: int
    built: str
    ledger: str
    wrong: str
    keep: str | None = None
    limit_memory: bool = True

    def text(self) -> str:
        """Return the orders as an argument of the command line."""
        return json.dumps(asdict(self))


def name_of(outcome: str, file: bytes) -> str:
    """Return the name under which an input is saved: what becomes of it, and its digest."""
    return f"{outcome}-{hashlib.sha256(file).hexdigest()[:10]}.vital"


class _Fuzzer:
    def __init__(self, orders: Orders) -> None:
        self.edges = Edges(Path(orders.built))  # before anything imports the reader
        from tests.reliability.hostile import verdict

        self.verdict = verdict
        self.orders = orders
        self.ledger: Ledger = opened(Path(orders.ledger))
        self.random = Random(f"{orders.seed} {orders.first}")
        self.pool: list[Stream] = seeds()
        self.signatures: set[object] = set()

    def run(self) -> None:
        """Read one mutant after the other."""
        for _ in range(self.orders.inputs):
            made = mutant(self.random, self.pool)
            self.edges.forget()
            self.ledger.begin(made.file)
            began = time.process_time()
            try:
                self._judge(made)
            except Exception:  # whatever it is, it is none of the answers that a reader may give
                self.ledger.wrong += 1
                self._save(self.orders.wrong, "wrong", made.file, traceback.format_exc())
            self.ledger.slowest = max(self.ledger.slowest, time.process_time() - began)
            self.ledger.done += 1
        self._count_memory()

    def _judge(self, made: Mutant) -> None:
        found = self.verdict.judged(made.file, made.stream)
        self.ledger.outcomes[OUTCOMES.index(found.outcome)] += 1
        fresh = self.edges.new()
        if not fresh and found.signature in self.signatures:
            return
        self.signatures.add(found.signature)
        outcome = found.outcome
        if found.recording is not None:
            outcome = self.verdict.harmonized(found.recording)
            self.ledger.harmonized += 1
        if made.stream is not None and len(self.pool) < MOST_KEPT:
            self.pool.append(made.pieces)
        self.ledger.kept += 1
        self.ledger.edges = self.edges.count()
        self._count_memory()
        if self.orders.keep:
            self._save(self.orders.keep, outcome, made.file)

    def _save(self, folder: str, outcome: str, file: bytes, why: str = "") -> None:
        path = Path(folder) / name_of(outcome, file)
        path.write_bytes(file)
        if why:
            path.with_suffix(".txt").write_text(why)

    def _count_memory(self) -> None:
        self.ledger.peak_rss = peak_rss()


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Do what the orders say."""
    orders = Orders(**json.loads(sys.argv[1]))
    fuzzer = _Fuzzer(orders)
    if orders.limit_memory:
        _limit_memory()
    fuzzer.run()


if __name__ == "__main__":
    main()
