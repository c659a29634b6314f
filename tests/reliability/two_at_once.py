"""Two processes on the same work: started together, one after the other, or one frozen while the other finishes."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.pipeline import Answer, run_vitalprep
from tests.reliability.kills import Undisturbed
from tests.reliability.places import Place
from tests.reliability.processes import Command, is_case_started
from tests.reliability.rows import Row

__all__ = ["SCENARIOS", "Pair"]

LOOK = 0.1  # s between two looks of the reader


@dataclass
class Pair:
    """Two commands at the same output, and a reader that looks at everything they write meanwhile.

    Attributes
    ----------
    tried, survived : int
        Pairs that were started, and those after which everything that is promised held.
    looked_at : int
        Objects that the reader read while the two were at work.
    """

    place: Place
    undisturbed: Undisturbed
    logs: Path
    seed: int = 0
    tried: int = 0
    survived: int = 0
    looked_at: int = 0
    unequal: int = 0
    redone: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def row(self, section: str) -> Row:
        """Return what it came to."""
        return Row(
            section=section,
            what=", ".join(SCENARIOS),
            faults=self.tried,
            survived=self.survived,
            redone=self.redone,
            bytes_equal=not self.unequal,
            detail=f"{self.looked_at} objects read while they were written",
            problems=tuple(self.problems),
        )

    def do(self, scenario: str) -> None:
        """Start a pair in an empty output, and look at what it came to."""
        self.place.empty()
        self.tried += 1
        with _reader(self.place, self.undisturbed.digests) as reader:
            wrong = SCENARIOS[scenario](self)
        self.looked_at += reader.objects
        seen = self.place.seen()
        wrong += [*sorted(reader.wrong), *seen.problems()]
        if seen.digests() != self.undisturbed.digests:
            self.unequal += 1
            wrong.append("other bytes")
        if len(seen.receipts) != self.undisturbed.cases:
            wrong.append(f"{len(seen.receipts)} receipts of {self.undisturbed.cases} cases")
        self.problems += [f"{scenario}: {text}" for text in wrong]
        self.survived += not wrong

    def start(self, name: str, *arguments: str) -> Command:
        """Start a command with one worker process."""
        folder = self.logs / f"{self.tried}-{name}"
        return Command(*arguments, "--workers", "1", folder=folder, environment=self.place.environment)

    def plan(self, shards: int = 1) -> str:
        """Make a plan and return its URI."""
        planned = self.done("plan", *self.place.arguments("--shards", str(shards)))
        return str(planned.result["plan"])

    def done(self, *arguments: str) -> Answer:
        """Run a command that nobody disturbs."""
        answer = run_vitalprep(*arguments, environment=dict(self.place.environment))
        assert answer.exit_code == 0, answer.result
        return answer

    def finish(self, plan: str) -> None:
        """Do what comes after harmonize."""
        self.done("build", "--plan", plan, "--workers", "1")
        published = self.done("publish", "--plan", plan)
        self.done("validate", published.result["dataset"], "--workers", "1")

    def moment(self, stages: float) -> None:
        """Wait until some moment in the first command's work."""
        time.sleep(self._draw.uniform(0.3, 1) * (self.undisturbed.start + stages))

    def ends(self, *commands: Command) -> list[str]:
        """Wait for commands that harmonize, count the cases that both did, and return what is wrong with their ends."""
        wrong = [text for command in commands for text in _wrong_end(command)]
        begun = sum(is_case_started(line) for command in commands for line in command.log())
        self.redone += begun - self.undisturbed.cases
        return wrong


def _same_shard(pair: Pair) -> list[str]:
    plan = pair.plan()
    arguments = ("harmonize", "--plan", plan, "--shard", "0")
    with pair.start("first", *arguments) as first, pair.start("second", *arguments) as second:
        wrong = pair.ends(first, second)
    pair.finish(plan)
    return wrong


def _whole_runs(pair: Pair) -> list[str]:
    """Of two plans of the same data set: with other shards."""
    arguments = ("run", *pair.place.arguments())
    with pair.start("first", *arguments) as first, pair.start("second", *arguments, "--shards", "3") as second:
        return pair.ends(first, second)


def _retry_while_it_runs(pair: Pair) -> list[str]:
    arguments = ("run", *pair.place.arguments())
    with pair.start("first", *arguments) as first:
        pair.moment(sum(pair.undisturbed.stage_seconds.values()))
        with pair.start("second", *arguments) as second:
            return pair.ends(first, second)


def _frozen_first(pair: Pair) -> list[str]:
    """The first attempt stands still until the second has proved the data set, and then goes on."""
    arguments = ("run", *pair.place.arguments())
    with pair.start("first", *arguments) as first:
        pair.moment(sum(pair.undisturbed.stage_seconds.values()))
        first.signal_group(signal.SIGSTOP)
        with pair.start("second", *arguments) as second:
            second.wait()
            first.signal_group(signal.SIGCONT)
            return pair.ends(first, second)


def _late_build(pair: Pair) -> list[str]:
    """Two builds write the same names; the second goes on while validate reads what the first has written."""
    plan = pair.plan()
    with pair.start("harmonize", "harmonize", "--plan", plan) as harmonized:
        wrong = pair.ends(harmonized)
    arguments = ("build", "--plan", plan)
    with pair.start("first", *arguments) as first, pair.start("second", *arguments) as second:
        pair.moment(pair.undisturbed.stage_seconds["build"])
        second.signal_group(signal.SIGSTOP)
        wrong += _wrong_end(first)
        published = pair.done("publish", "--plan", plan)
        with pair.start("validate", "validate", published.result["dataset"]) as validated:
            second.signal_group(signal.SIGCONT)
            return wrong + _wrong_end(second) + _wrong_end(validated)


SCENARIOS: dict[str, Callable[[Pair], list[str]]] = {
    "the same shard twice": _same_shard,
    "two whole runs": _whole_runs,
    "a retry while the first runs": _retry_while_it_runs,
    "a retry while the first is frozen": _frozen_first,
    "a late build beside validate": _late_build,
}


def _wrong_end(command: Command) -> list[str]:
    answer = command.wait()
    wrong = [f"stray line: {line}" for line in command.stray_lines()]
    return wrong + ([f"exit code {answer.exit_code}: {answer.result}"] if answer.exit_code else [])


@contextmanager
def _reader(place: Place, digests: Mapping[str, str]) -> Iterator[_Reader]:
    """Read everything that lies in a place again and again while the block runs."""
    reader = _Reader(place, digests)
    thread = threading.Thread(target=reader.look_on)
    thread.start()
    try:
        yield reader
    finally:
        reader.done.set()
        thread.join()


class _Reader:
    def __init__(self, place: Place, digests: Mapping[str, str]) -> None:
        self.place = place
        self.digests = digests
        self.done = threading.Event()
        self.objects = 0
        self.wrong: set[str] = set()

    def look_on(self) -> None:
        while not self.done.wait(LOOK):
            seen = self.place.seen()
            self.objects += len(seen.objects)
            self.wrong |= {
                f"{path} was read with other bytes"
                for path, digest in seen.digests().items()
                if self.digests.get(path) != digest
            }
            self.wrong |= {f"{path} was read in part" for path, data in seen.objects.items() if _is_cut(path, data)}


def _is_cut(path: str, data: bytes) -> bool:
    try:
        json.loads(data if path.endswith(".json") else "0")
    except ValueError:
        return True
    return False
