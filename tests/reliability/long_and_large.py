"""Memory and open files of every process during runs with many cases and with very large cases."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.pipeline import Answer
from tests.reliability.places import LocalPlace
from tests.reliability.processes import Command, is_case_started
from tests.reliability.rows import Row
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

__all__ = ["Watched", "largest", "many", "row", "watched"]

MOST_MB = 600
# In the last quarter of the cases a process may hold so much more than in the second: an allocator's play.
GROWTH = {"rss_mb": 24.0, "files": 3.0, "threads": 3.0}
WARM = 12  # cases after which a process has imported and allocated what every case needs
FEWEST = 20  # looks at a process below which nothing is said about its growth
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Look:
    """What a process holds at one moment; `peak_mb` is the largest RSS it ever had, as the kernel remembers it."""

    rss_mb: float
    files: int
    threads: int
    peak_mb: float


@dataclass
class Watched:
    """A data set made stage by stage, each stage watched.

    Attributes
    ----------
    every : float
        Seconds between two looks.
    peak_mb : dict of str to float
        The largest RSS that a process ever had, by stage.
    growth : dict of str to float
        While case after case is harmonized: the median of the last quarter less that of the second, the most over
        all processes; by what is held.
    most : dict of str to float
        The most that a process of any stage held.
    compared : int
        Processes that harmonized long enough to tell whether they grow.
    """

    place: LocalPlace
    logs: Path
    every: float = 0.2
    workers: int = 2
    peak_mb: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    growth: dict[str, float] = field(default_factory=lambda: dict.fromkeys(GROWTH, 0.0))
    most: dict[str, float] = field(default_factory=lambda: dict.fromkeys(GROWTH, 0.0))
    compared: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def all_stages(self) -> Answer:
        """Do all stages, and look for what they should not have left behind."""
        began = time.monotonic()
        temporary = self.logs / "tmp"
        temporary.mkdir(parents=True)
        workers = ("--workers", str(self.workers))
        planned = self._stage("plan", *self.place.arguments())
        plan = ("--plan", str(planned.result["plan"]))
        self._stage("harmonize", *plan, *workers)
        self._stage("build", *plan, *workers)
        published = self._stage("publish", *plan)
        self._stage("validate", str(published.result["dataset"]), *workers)
        seen = self.place.seen()
        self.problems += seen.problems()
        if seen.staging or any(temporary.rglob("*")):
            self.problems.append(f"{seen.staging} unfinished files left, and {list(temporary.rglob('*'))}")
        self.seconds = time.monotonic() - began
        return published

    def _stage(self, stage: str, *arguments: str) -> Answer:
        looks: dict[int, list[Look]] = defaultdict(list)
        warm = False
        environment = {"TMPDIR": str(self.logs / "tmp")}
        with Command(stage, *arguments, folder=self.logs / stage, environment=environment) as command:
            while command.runs:
                warm = warm or sum(map(is_case_started, command.log())) > WARM
                for pid in command.group():
                    if look := _look(pid):
                        self._see(stage, look)
                        looks[pid] += [look] if warm else []
                time.sleep(self.every)
            answer = command.wait()
        assert answer.exit_code == 0, answer.result
        for held in looks.values():
            self._compare(stage, held)
        if self.peak_mb[stage] > MOST_MB:
            self.problems.append(f"{stage}: a process held {self.peak_mb[stage]:.0f} MB")
        return answer

    def _see(self, stage: str, look: Look) -> None:
        self.peak_mb[stage] = max(self.peak_mb[stage], look.peak_mb)
        for name in GROWTH:
            self.most[name] = max(self.most[name], getattr(look, name))

    def _compare(self, stage: str, held: Sequence[Look]) -> None:
        if len(held) < FEWEST:
            return
        self.compared += 1
        quarter = len(held) // 4
        for name in GROWTH:
            values = [getattr(look, name) for look in held]
            growth = statistics.median(values[-quarter:]) - statistics.median(values[quarter : 2 * quarter])
            self.growth[name] = max(self.growth[name], growth)
            if growth > GROWTH[name]:
                self.problems.append(f"{stage}: {name} of a process grew by {growth:.0f} between its quarters")


def many(folder: Path, cases: int, *, hours: float, workers: int = 2) -> Path:
    """Return a folder of so many small simulated cases, made once and kept."""
    simulate_folder(folder, SimulationOptions(seed=5, cases=cases, hours=hours, spread=0), workers=workers)
    return folder


def largest(folder: Path, *, hours: float) -> Path:
    """Return a folder with one simulated case of all waves: 112 MB, VitalDB's largest, at 20 hours."""
    simulate_folder(folder, SimulationOptions(seed=1, cases=1, hours=hours, spread=0, waves=True))
    return folder


def row(what: str, watched: Watched, answer: Answer, *, source: Path) -> Row:
    """Return what watching came to."""
    result = answer.result
    if result["requested"] != result["written"] + sum(result["excluded"].values()):
        watched.problems.append(f"the accounting does not add up: {result}")
    size = sum(path.stat().st_size for path in source.rglob("*.vital")) / 1e6
    peaks = ", ".join(f"{stage} {peak:.0f}" for stage, peak in watched.peak_mb.items())
    most = ", ".join(f"{name} {watched.most[name]:.0f} (+{watched.growth[name]:.0f})" for name in ("files", "threads"))
    return Row(
        section="long and large",
        what=what,
        faults=0,
        survived=0,
        detail=f"{size:.0f} MB in {watched.seconds:.0f} s; peak RSS in MB: {peaks} (+{watched.growth['rss_mb']:.0f}); "
        f"most open {most}; {watched.compared} processes compared",
        problems=tuple(watched.problems),
    )


def watched(source: Path, folder: Path, *options: str, every: float = 0.2, workers: int = 2) -> tuple[Watched, Answer]:
    """Make a data set of all that lies in `source`, watched."""
    shutil.rmtree(folder, ignore_errors=True)
    made = Watched(LocalPlace(str(source), str(folder / "output"), options), folder / "logs", every, workers)
    return made, made.all_stages()


def _look(pid: int) -> Look | None:
    """Look at a process; None if it has just ended."""
    process = Path(f"/proc/{pid}")
    try:
        pages = int((process / "statm").read_text().split()[1])
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        files = sum(1 for _ in (process / "fd").iterdir())
    except (FileNotFoundError, ProcessLookupError, PermissionError, IndexError):
        return None
    if "VmHWM" not in status:
        return None
    return Look(pages * PAGE_MB, files, int(status["Threads"]), int(status["VmHWM"].split()[0]) / 1000)
