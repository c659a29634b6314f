"""Changes one file of an output, does what a user would do next, and says which promise that breaks."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from tests.reliability.in_process import Ending, in_process, passed
from tests.reliability.mutants.changes import Mutant, drawn
from tests.reliability.mutants.moments import Moment, World, world
from vitalprep.run import publication

__all__ = ["Attack", "Violation", "try_mutants"]

# Shares of the mutants that are also looked at, run again after a refusal, and reported: a report takes longest of all.
LOOK, REPEAT, REPORT = 0.1, 0.15, 0.1
WAYS = ("stages", "run, validate")


@dataclass(frozen=True)
class Violation:
    """A mutant after which a promise did not hold: which file, what was changed where, and what came of it."""

    number: int
    moment: str
    mutant: Mutant
    way: str
    problem: str

    def __str__(self) -> str:
        return f"mutant {self.number} ({self.moment}, then {self.way}): {self.mutant}: {self.problem}"


@dataclass
class Attack:
    """Mutants of every file of a world, drawn from a seed and a number.

    Attributes
    ----------
    endings : Counter
        How many mutants ended in which way, by kind of document.
    """

    world: World
    seed: int
    endings: Counter[str] = field(default_factory=Counter)

    def violations(self, numbers: Iterable[int]) -> Iterator[Violation]:
        """Try some mutants, and yield those after which a promise did not hold."""
        for number in numbers:
            draw = random.Random(f"{self.seed}:{number}")
            moment = draw.choice(self.world.moments)
            path = draw.choice(_files_by_weight(moment))
            mutant = drawn(draw, path, moment.files[path], self.world.alike(moment, path))
            way, problem = self._tried(draw, moment, mutant)
            if problem:
                yield Violation(number, f"{moment.name} {moment.dataset}", mutant, way, problem)

    def _tried(self, draw: random.Random, moment: Moment, mutant: Mutant) -> tuple[str, str | None]:
        way = draw.choices(WAYS, (5, 1))[0]
        with nullcontext() if draw.random() < REPORT else mock.patch.object(publication, "report_html", _no_report):
            return self._tried_by(way, draw, moment, mutant)

    def _tried_by(self, way: str, draw: random.Random, moment: Moment, mutant: Mutant) -> tuple[str, str | None]:
        ends: list[Ending] = []
        moment.put(mutant.path, mutant.data)
        try:
            if draw.random() < LOOK and (problem := _traceback(moment.look())):
                return "looking", problem
            for end in moment.stages() if way == "stages" else moment.run_again():
                ends.append(end)
                if end.exit_code:
                    break
            if moment.before and moment.before in mutant.path:  # also of the data set that was appended to
                ends.append(moment.validate(moment.before))
            problem = self._broken(moment, ends, mutant)
            if ends[-1].exit_code and not problem and draw.random() < REPEAT:
                way += ", then run, validate"
                again = list(moment.run_again())
                problem = _traceback(again) or self._other_bytes(moment)
            self.endings["refused" if ends[-1].exit_code else "the same bytes"] += 1
            return way, problem
        finally:
            moment.restore()

    def _broken(self, moment: Moment, ends: list[Ending], mutant: Mutant) -> str | None:
        problem = _traceback(ends) or self._other_bytes(moment)
        refused = [end for end in ends if end.exit_code]
        if problem is None and refused and not any(_names(end.text, mutant.path) for end in refused):
            return f"refused, but not by name (exit {refused[-1].exit_code}): {refused[-1].text[-700:]}"
        return problem

    def _other_bytes(self, moment: Moment) -> str | None:
        for dataset, digests in passed(moment.output).items():
            if dataset not in self.world.digests:
                return f"a data set that nobody asked for passed: {dataset}"
            wanted = self.world.digests[dataset]
            if digests != wanted:
                names = [name for name in wanted | digests if wanted.get(name) != digests.get(name)]
                return f"other bytes passed in {dataset}: {', '.join(names)}"
        return None


def try_mutants(folder: Path, seed: int, numbers: range) -> tuple[list[str], Counter[str]]:
    """Make a world, try some mutants, and return the violations and the number of mutants by their ending."""
    folder.mkdir(parents=True)
    with in_process():
        attack = Attack(world(folder), seed)
        return list(map(str, attack.violations(numbers))), attack.endings


def _no_report(*_: object) -> bytes:
    return b"<!doctype html>"


def _traceback(ends: Iterable[Ending]) -> str | None:
    return next((f"traceback: {end.text[-900:]}" for end in ends if end.exit_code is None), None)


def _files_by_weight(moment: Moment) -> list[str]:
    """Return the moment's files; those that the last stage wrote, and which nobody has read yet, three times."""
    newest = _NEWEST[moment.name]
    files = sorted(moment.files, key=lambda path: _without_digests(path, moment))
    return [path for path in files for _ in range(3 if re.search(newest, path) else 1)]


def _without_digests(path: str, moment: Moment) -> str:
    """Return a path that is the same in every world: digests depend on the stamps of the recordings' files."""
    return re.sub("[0-9a-f]{12}", "", path.replace(moment.dataset, "made"))


_NEWEST = {
    "planned": r"runs/.*/(plan|shard)",
    "harmonized": r"harmonized/",
    "built": r"tfrecord|build-",
    "published": r"features|metadata|croissant|accounting",
    "proved": r"validation|latest",
}


def _names(text: str, path: str) -> bool:
    """Return whether a message names a file: by its name, or as what it is."""
    name = path.rpartition("/")[2]
    case = re.match(r"(\d{4})-", name)
    if case and re.search(rf"\b[Cc]ases? [\d, -]*\b{int(case[1])}\b", text):
        return True
    what = {"plan-": "plan", "shard-": "shard", "accounting": "accounting", "build-": name[6:-5] + " split"}
    said = [text_ for begin, text_ in what.items() if name.startswith(begin)]
    return any(word in text for word in (name, *said))
