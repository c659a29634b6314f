"""Fuzzing in supervised child processes. Crashes and hangs are attributed to the input that caused them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.reliability.hostile.coverage import ADDRESS_SANITIZER, build
from tests.reliability.hostile.fuzzer import Orders, name_of
from tests.reliability.hostile.ledger import Ledger, opened
from tests.reliability.hostile.outcomes import OUTCOMES

__all__ = ["Session", "Summary"]

LONGEST_READ = 5.0  # s of a core, for one input
LONGEST_WAIT = 120.0  # s, for one that does not even use the core
POLL = 0.1


@dataclass
class Summary:
    """What a session came to. Times in s, memory in bytes; `bad` are the files of crashes, hangs and wrong answers."""

    inputs: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    crashes: int = 0
    hangs: int = 0
    wrong: int = 0
    kept: int = 0
    harmonized: int = 0
    edges: int = 0
    slowest: float = 0.0
    peak_rss: int = 0
    bad: list[str] = field(default_factory=list)

    def add(self, ledger: Ledger) -> None:
        """Add what a process came to."""
        self.inputs += ledger.begun
        for outcome, count in zip(OUTCOMES, ledger.outcomes, strict=True):
            self.outcomes[outcome] += count
        self.wrong += ledger.wrong
        self.kept += ledger.kept
        self.harmonized += ledger.harmonized
        self.edges = max(self.edges, ledger.edges)
        self.slowest = max(self.slowest, ledger.slowest)
        self.peak_rss = max(self.peak_rss, ledger.peak_rss)


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    ledger: Ledger
    last: int  # number after the last input that it is to read
    first: int
    seen: int = 0
    since: float = 0.0
    used: float = 0.0


class Session:
    """So many mutated inputs, read by `workers` processes.

    Parameters
    ----------
    folder : Path
        For the instrumented build and the processes' ledgers.
    seed : int
        Of the mutants: the same seed, inputs and workers give the same mutants, as long as nothing crashes.
    wrong : Path
        Folder that gets every input that is read wrongly, crashes or hangs.
    keep : Path, optional
        Folder that gets every input that showed something new.
    address_sanitizer : bool
        Find reads and writes beyond a buffer, too; takes seven times as long, and memory is not limited.
    longest : float
        Seconds of a core after which an input is taken to hang.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        wrong: Path,
        keep: Path | None = None,
        address_sanitizer: bool = False,
        longest: float = LONGEST_READ,
    ) -> None:
        self.folder, self.seed, self.wrong, self.keep, self.longest = folder, seed, wrong, keep, longest
        self.address_sanitizer = address_sanitizer
        self.built = build(folder, *[ADDRESS_SANITIZER] * address_sanitizer)
        self.summary = Summary()
        self._started = 0

    def run(self, inputs: int, *, workers: int = 1, module: str = "tests.reliability.hostile.fuzzer") -> Summary:
        """Read the inputs. A process that dies is replaced, and goes on behind the input that killed it."""
        edges = [inputs * number // workers for number in range(workers + 1)]
        running = [self._start(first, last, module) for first, last in pairwise(edges)]
        try:
            while running:
                time.sleep(POLL)
                for child in list(running):
                    if self._is_done(child):
                        running.remove(child)
                        following = child.first + int(child.ledger.begun)
                        if following < child.last:
                            running.append(self._start(following, child.last, module))
        finally:
            for child in running:
                child.process.kill()
                child.process.wait()
        self.summary.bad = sorted(
            path.name for how in ("crash", "hang", "wrong") for path in self.wrong.glob(f"{how}-*.vital")
        )
        return self.summary

    def _start(self, first: int, last: int, module: str) -> _Running:
        path = self.folder / f"ledger-{self._started}"
        self._started += 1
        ledger = opened(path, new=True)
        orders = Orders(
            seed=self.seed,
            first=first,
            inputs=last - first,
            built=str(self.built),
            ledger=str(path),
            wrong=str(self.wrong),
            keep=None if self.keep is None else str(self.keep),
            limit_memory=not self.address_sanitizer,
        )
        environment = os.environ | (_sanitizer_environment() if self.address_sanitizer else {})
        process = subprocess.Popen([sys.executable, "-m", module, orders.text()], env=environment)
        return _Running(process, ledger, last, first)

    def _is_done(self, child: _Running) -> bool:
        """Whether a process has ended, killed because it hangs if need be; then its sums are added."""
        if child.process.poll() is None:
            if not self._hangs(child):
                return False
            child.process.kill()
            child.process.wait()
            self.summary.hangs += 1
            self._blame(child, "hang")
        elif child.process.returncode:
            if not child.ledger.begun:
                raise RuntimeError(f"the fuzzing process did not start (exit code {child.process.returncode})")
            self.summary.crashes += 1
            self._blame(child, f"crash-{_death(child.process.returncode)}")
        self.summary.add(child.ledger)
        return True

    def _hangs(self, child: _Running) -> bool:
        """Whether a process has been too long at one input; on a busy machine, in the time that it is given."""
        now, used = time.monotonic(), _core_seconds(child.process.pid)
        if child.ledger.begun != child.seen or not child.ledger.begun:
            child.seen, child.since, child.used = int(child.ledger.begun), now, used
        at_an_input = child.ledger.done != child.ledger.begun
        return at_an_input and (used - child.used > self.longest or now - child.since > LONGEST_WAIT)

    def _blame(self, child: _Running, how: str) -> None:
        file = child.ledger.current()
        (self.wrong / name_of(how, file)).write_bytes(file)


def _core_seconds(pid: int) -> float:
    """Return what a process has used of a core so far, in s; 0 if it has just ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _death(code: int) -> str:
    return signal.Signals(-code).name.lower() if code < 0 else str(code)


def _sanitizer_environment() -> dict[str, str]:
    library = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout
    return {"LD_PRELOAD": library.strip(), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
