"""Kills at random moments: of whole runs and single stages, of the parent, one worker process or all processes."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.pipeline import Answer
from tests.reliability.places import Place, Seen
from tests.reliability.processes import Command, is_case_started
from tests.reliability.rows import Row
from vitalprep.contract.case_list import parse_case_list

__all__ = ["KILLS", "Killer", "Undisturbed", "counts_of"]

WORKERS_START = 0.5  # s, roughly
LATER = 1.3  # the last moments lie after what an undisturbed command takes, so that some are not killed
STEP = 0.003
STOPPED, INTERRUPTED = 143, 130
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Kill:
    """A signal to ``parent``, to one ``worker`` or to the whole ``group``; `twice`: and again a moment later."""

    name: str
    target: str
    number: signal.Signals
    twice: bool = False

    @property
    def ends(self) -> bool:
        """Whether the command shall end by it: worker processes leave SIGTERM to their parent."""
        return not (self.target == "worker" and self.number == signal.SIGTERM)


KILLS = (
    Kill("SIGTERM to the parent", "parent", signal.SIGTERM),
    Kill("SIGKILL to the parent", "parent", signal.SIGKILL),
    Kill("SIGTERM to a worker", "worker", signal.SIGTERM),
    Kill("SIGKILL to a worker", "worker", signal.SIGKILL),
    Kill("SIGTERM to all", "group", signal.SIGTERM),
    Kill("SIGKILL to all", "group", signal.SIGKILL),
    Kill("Ctrl-C", "group", signal.SIGINT),
    Kill("SIGTERM twice", "group", signal.SIGTERM, twice=True),
)


Hits: TypeAlias = list[tuple[Kill, bool]]  # and whether the command had set up its answer to signals


@dataclass(frozen=True)
class Undisturbed:
    """The run that every other is held against, in the same place, and how long start and stages took.

    `counts` are the requested, written and excluded cases, `cases` those that get a receipt.
    """

    digests: dict[str, str]
    counts: dict[str, Any]
    cases: int
    start: float
    stage_seconds: dict[str, float]

    @classmethod
    def run(cls, place: Place, *, workers: int, logs: Path) -> Undisturbed:
        """Do it, and leave the place empty."""
        began = time.monotonic()
        arguments = place.arguments("--workers", str(workers))
        with Command("run", *arguments, folder=logs, environment=place.environment) as command:
            answer = command.wait()
        seconds = time.monotonic() - began
        assert answer.exit_code == 0, answer.result
        seen = place.seen()
        assert not seen.problems(), seen.problems()
        assert not seen.staging
        place.empty()
        stages = answer.result["stage_seconds"]
        counts = counts_of(answer)
        start = seconds - sum(stages.values()) + WORKERS_START
        return cls(seen.digests(), counts, len(seen.receipts), start, stages)


def counts_of(answer: Answer) -> dict[str, Any]:
    """Return the numbers of a run or of publish, which have to add up."""
    counts = {name: answer.result[name] for name in ("requested", "written", "excluded", "windows")}
    assert counts["requested"] == counts["written"] + sum(counts["excluded"].values()), counts
    return counts


@dataclass
class Killer:
    """Starts commands, kills them at random moments, and looks after each kill whether everything promised holds.

    Attributes
    ----------
    by_stages : bool
        Every second data set is made stage by stage, as Airflow does, and not by one ``run``.
    kills : Counter of str
        The kills that hit a running command, by name.
    survived : int
        Those after which nothing was wrong.
    begun : int
        Cases handed to a worker process, over all attempts; `needed` is how often it would be without kills.
    """

    place: Place
    undisturbed: Undisturbed
    logs: Path
    seed: int = 0
    workers: int = 2
    by_stages: bool = True
    kills: Counter[str] = field(default_factory=Counter)
    exit_codes: Counter[int] = field(default_factory=Counter)
    survived: int = 0
    begun: int = 0
    needed: int = 0
    unequal: int = 0
    most_staging: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._attempts = self._wanted = 0
        self._seen = Seen.nothing()

    def row(self, section: str) -> Row:
        """Return what it came to."""
        return Row(
            section=section,
            what=f"{len(self.undisturbed.digests)} files of {self.undisturbed.cases} cases, {self.workers} workers",
            faults=self.kills.total(),
            survived=self.survived,
            redone=self.begun - self.needed,
            bytes_equal=not self.unequal,
            detail=", ".join(f"{name} {count}" for name, count in self.kills.most_common())
            + f"; exit codes {dict(self.exit_codes.most_common())}; at most {self.most_staging} unfinished files left",
            problems=tuple(self.problems),
        )

    def until(self, kills: int) -> None:
        """Make data sets until so many kills have hit, and complete the last."""
        self._wanted = kills
        by_stages = False
        while self.kills.total() < kills:
            self.place.empty()
            self._seen = Seen.nothing()
            self._by_stages() if by_stages else self._whole_run()
            by_stages = self.by_stages and not by_stages
            if self._seen.digests() != self.undisturbed.digests:
                self.unequal += 1
                self.problems.append(f"round before kill {self.kills.total()} (seed {self.seed}): other bytes")
            self.needed += self.undisturbed.cases
        self.place.empty()

    def _whole_run(self) -> None:
        command = ["run", *self.place.arguments("--workers", str(self.workers))]
        answer = self._until_done(command, self._seconds_of_run)
        if counts_of(answer) != self.undisturbed.counts:
            self.problems.append(f"other counts: {counts_of(answer)}")

    def _seconds_of_run(self) -> float:
        """Return how long an undisturbed run would take from where things stand."""
        seen, stage, start = self._seen, self.undisturbed.stage_seconds, self.undisturbed.start
        harmonize = stage["harmonize"] * (1 - len(seen.receipts) / self.undisturbed.cases)
        build = stage["build"] * (1 - len(seen.summaries()) / len(SPLITS))
        return start + stage["plan"] + harmonize + build + stage["publish"] + stage["validate"]

    def _by_stages(self) -> None:
        stage, start = self.undisturbed.stage_seconds, self.undisturbed.start
        workers = ("--workers", str(self.workers))
        planned = self._until_done(["plan", *self.place.arguments("--shards", "2")], lambda: start)
        plan = ("--plan", planned.result["plan"])
        for shard in "01":
            self._until_done(["harmonize", *plan, "--shard", shard, *workers], lambda: start + stage["harmonize"] / 2)
        self._until_done(["build", *plan, *workers], lambda: start + stage["build"])
        published = self._until_done(["publish", *plan], lambda: start + stage["publish"])
        if counts_of(published) != self.undisturbed.counts:
            self.problems.append(f"other counts: {counts_of(published)}")
        self._until_done(["validate", published.result["dataset"], *workers], lambda: start + stage["validate"])

    def _until_done(self, arguments: list[str], seconds: Callable[[], float]) -> Answer:
        """Start a command again and again until it is done; each time it may be killed."""
        for _ in range(100):
            answer = self._attempt(arguments, LATER * seconds())
            if answer.exit_code == 0:
                return answer
        raise AssertionError(f"{arguments} was never done: {self.problems}")

    def _attempt(self, arguments: list[str], seconds: float) -> Answer:
        self._attempts += 1
        before = self._seen
        hit: Hits = []
        with Command(
            *arguments, folder=self.logs / f"{self._attempts:05d}", environment=self.place.environment
        ) as command:
            due = time.monotonic() + self._draw.uniform(self.undisturbed.start / 3, seconds)  # before it, Python starts
            kill = self._draw.choice(KILLS)
            while self._goes_on(hit) and _come(command, due):
                heeded = command.heeds_signals
                if self._send(kill, command):
                    hit.append((kill, heeded))
                    self.kills[kill.name] += 1
                    due = time.monotonic() + self._draw.uniform(0, seconds)
                    kill = self._draw.choice(KILLS)
            answer = command.wait()
            self.exit_codes[answer.exit_code] += 1
            wrong = _wrong_end(arguments, answer, hit)
            if left := command.left_after(5):
                wrong.append(f"processes {left} outlived their parent")
            wrong += [f"stray line: {line}" for line in command.stray_lines() if not _interrupts_the_start(hit)]
        wrong += self._look(before, answer, cut_off=any(kill.twice for kill, _ in hit))
        if wrong:
            how = ", ".join(f"{kill.name} (heeded: {heeded})" for kill, heeded in hit) or "undisturbed"
            self.problems += [f"attempt {self._attempts}, {arguments[0]}, {how}: {text}" for text in wrong]
        else:
            self.survived += len(hit)
        return answer

    def _goes_on(self, hit: Hits) -> bool:
        return self.kills.total() < self._wanted and not any(kill.ends for kill, _ in hit)

    def _send(self, kill: Kill, command: Command) -> bool:
        """Send the signal, and return whether it met somebody."""
        if kill.target == "worker":
            workers = command.workers()
            return bool(workers) and _signal(self._draw.choice(workers), kill.number)
        times = 2 if kill.twice else 1
        for again in range(times):
            if again:
                time.sleep(self._draw.uniform(0, 0.1))
            if not command.runs:
                return bool(again)
            if kill.target == "group":
                command.signal_group(kill.number)
            else:
                _signal(command.pid, kill.number)
        return True

    def _look(self, before: Seen, answer: Answer, *, cut_off: bool) -> list[str]:
        """Return what is wrong in the place after an attempt; `cut_off`: what was in flight may be committed or not."""
        seen = self._seen = self.place.seen()
        self.most_staging = max(self.most_staging, seen.staging)
        begun = [int(line["message"].split()[1]) for line in answer.log if is_case_started(line)]
        self.begun += len(begun)
        wrong = seen.problems()
        if again := sorted(before.cases & set(begun)):
            wrong.append(f"finished cases {again} were begun again")
        if changed := [path for path, stamp in before.committed.items() if seen.stamps.get(path) != stamp]:
            wrong.append(f"committed objects were written again: {changed}")
        if len(lost := set(begun) - seen.cases) > self.workers:
            wrong.append(f"cases {sorted(lost)} were in flight, more than workers")
        for line in answer.log:
            if "left" in line and not (
                _cases(line["committed"]) <= seen.cases
                and len(_cases(line["left"]) & seen.cases) <= (self.workers if cut_off else 0)
            ):
                wrong.append(f"it said {line['message']!r}, and there are {sorted(seen.cases)}")
        return wrong


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _come(command: Command, due: float) -> bool:
    """Wait for a moment, and return whether the command still runs then."""
    while command.runs:
        if time.monotonic() >= due:
            return True
        time.sleep(STEP)
    return False


def _cases(spec: str) -> set[int]:
    return set(parse_case_list(spec)) if spec else set()


def _interrupts_the_start(hit: Hits) -> bool:
    """Whether Ctrl-C met Python while it imported modules: it says where."""
    return any(kill.number == signal.SIGINT and not heeded for kill, heeded in hit)


def _wrong_end(arguments: list[str], answer: Answer, hit: Hits) -> list[str]:
    """Return what is wrong with how a command ended, given what it was hit by."""
    ending = [(kill, heeded) for kill, heeded in hit if kill.ends]
    if answer.exit_code not in (_exit_codes(*ending[-1]) if ending else {0}):
        return [f"exit code {answer.exit_code}: {answer.result} {answer.log[-3:]}"]
    said = str(answer.result.get("message"))
    if answer.exit_code == 1 and not re.search(r"worker process died at (case \d+|\S+\.tfrecord)", said):
        return [f"it does not say which task met the dead worker: {answer.result}"]
    if answer.exit_code == STOPPED and ending[-1][0].twice is False:
        if "finished work is committed" not in said:
            return [f"it does not say that finished work is committed: {answer.result}"]
        if arguments[0] == "harmonize" and not any("left" in line for line in answer.log):
            return ["it does not name what is committed and what is left"]
    return []


def _exit_codes(kill: Kill, heeded: bool) -> set[int]:
    """Return the exit codes that a hit may end in; 0 where it came after the last task."""
    if kill.target == "worker":
        return {0, 1}
    if kill.number == signal.SIGKILL:
        return {0, -signal.SIGKILL}
    if not heeded:  # before the command's own answer is set up, or after its work
        return {0, -kill.number, STOPPED} if kill.number == signal.SIGTERM else {0, -kill.number, INTERRUPTED, 1}
    return {0, STOPPED, -kill.number} if kill.twice else {0, STOPPED}
