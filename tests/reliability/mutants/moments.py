"""The moments of a data set's making at which a stored file is changed, and what a user does then."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.reliability.in_process import COARSE, Ending, command, passed, short_cases, table_of

__all__ = ["Moment", "World", "world"]

MOMENTS = ("planned", "harmonized", "built", "published", "proved")
SHARDS = 2
FEW = ("--set", "windowing.step=60")  # windows, so that a mutant takes a tenth of a second


@dataclass
class Moment:
    """An output that is as far as its name says.

    Attributes
    ----------
    dataset : str
        The id of the data set that is being made.
    before : str or None
        The id of the one that it is appended to.
    request : sequence of str
        The options of ``run`` and ``plan`` that ask for it.
    """

    name: str
    output: Path
    dataset: str
    before: str | None
    plan: str
    request: Sequence[str]
    files: dict[str, bytes] = field(default_factory=dict)
    _stamps: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.files = {path: (self.output / path).read_bytes() for path in _walk(self.output)}
        self._stamps = {path: _stamp(self.output / path) for path in self.files}

    def put(self, path: str, data: bytes | None) -> None:
        """Change a file."""
        if data is None:
            (self.output / path).unlink()
        else:
            (self.output / path).write_bytes(data)

    def restore(self) -> None:
        """Make the output what it was."""
        there = set(_walk(self.output))
        for path in there - self.files.keys():
            (self.output / path).unlink()
        for path, data in self.files.items():
            if path not in there or _stamp(self.output / path) != self._stamps[path]:
                (self.output / path).parent.mkdir(parents=True, exist_ok=True)
                (self.output / path).write_bytes(data)
                self._stamps[path] = _stamp(self.output / path)

    def stages(self) -> Iterator[Ending]:
        """Do what is left, stage by stage, as the DAG does."""
        left, plan = MOMENTS.index(self.name), f"{self.output}/{self.plan}"
        if left < 1:
            for shard in range(SHARDS):
                yield command("harmonize", "--plan", plan, "--shard", str(shard))
        if left < 2:
            yield command("build", "--plan", plan)
        if left < 3:
            yield command("publish", "--plan", plan)
        yield self.validate()

    def validate(self, dataset: str | None = None) -> Ending:
        """Prove the data set, or the one that it is appended to."""
        return command("validate", f"{self.output}/datasets/{dataset or self.dataset}")

    def run_again(self) -> Iterator[Ending]:
        """Run the whole again, and prove it: a run that finds it up to date reads no records."""
        append = ("--append-to", f"{self.output}/datasets/{self.before}") if self.before else ()
        yield command("run", "--output", self.output, *self.request, *append)
        yield self.validate()

    def look(self) -> Iterator[Ending]:
        """Look at the output, and change nothing."""
        yield command("status", self.output)
        yield command("status", self.output, "--dataset", self.dataset)
        yield command("validate", f"{self.output}/datasets/{self.dataset}", "--quick")
        yield command("clean", "--output", self.output, "--dry-run", "--older-than", "0")


@dataclass(frozen=True)
class World:
    """All moments, the digests of every data set's files by id, and the files of other runs, to exchange."""

    moments: tuple[Moment, ...]
    digests: Mapping[str, Mapping[str, str]]
    others: Mapping[str, bytes]

    @cached_property
    def _by_kind(self) -> dict[str, list[tuple[str, bytes]]]:
        found: dict[str, list[tuple[str, bytes]]] = {}
        for path, data in self.others.items():
            found.setdefault(_kind_of(path), []).append((f"another run's {path}", data))
        return found

    def alike(self, moment: Moment, path: str) -> list[tuple[str, bytes]]:
        """Return files of the same kind and other content, of this output and of others."""
        kind, data = _kind_of(path), moment.files[path]
        own = [(other, content) for other, content in moment.files.items() if _kind_of(other) == kind]
        return [item for item in own + self._by_kind.get(kind, []) if item[1] != data]


def _kind_of(path: str) -> str:
    """Return a path without what tells one case, split or data set from another."""
    return re.sub(r"[0-9a-f]{12,}|train|validation(?!\.json)|test|\d+", "*", path)


def world(folder: Path) -> World:
    """Make two data sets, one of them appended to the other, and stop after every stage."""
    source, output = short_cases(folder / "in"), folder / "out"
    request = ("--input", str(source), *COARSE, *FEW, "--cases", "1-9")
    more = ("--input", str(source), "--cases", "1-10")
    first = tuple(_moments(folder, output, request, None))
    appended = tuple(_moments(folder, output, more, first[0].dataset))
    digests = passed(output)
    others: dict[str, bytes] = {}
    heavier = table_of(source / "clinical_data.csv", folder / "heavier.csv", _heavier)
    another = [
        (*request, "--shards", "3"),
        (*request, "--shards", "2", "--set", "windowing.step=10"),
        (*request, "--shards", "2", "--set", "split.seed=7"),
        (*request, "--shards", "2", "--clinical", str(heavier)),
    ]
    for index, asked in enumerate(another):
        elsewhere = folder / f"other-{index}"
        _done(command("run", "--output", elsewhere, *asked))
        others |= {f"{index}/{path}": (elsewhere / path).read_bytes() for path in _walk(elsewhere)}
    others = {path.partition("/")[2]: data for path, data in others.items()}
    return World(first + appended, digests, others)


def _moments(folder: Path, output: Path, request: Sequence[str], before: str | None) -> Iterator[Moment]:
    append = ("--append-to", f"{output}/datasets/{before}") if before else ()
    planned = _done(command("plan", "--output", output, *request, *append, "--shards", str(SHARDS))).result
    plan, dataset = str(planned["plan"]).removeprefix(f"{output}/"), str(planned["dataset_id"])

    def moment(name: str) -> Moment:
        copy = folder / f"{name}-{dataset}"
        shutil.copytree(output, copy)
        return Moment(name, copy, dataset, before, plan, request)

    yield moment("planned")
    for shard in range(SHARDS):
        _done(command("harmonize", "--plan", f"{output}/{plan}", "--shard", str(shard)))
    yield moment("harmonized")
    _done(command("build", "--plan", f"{output}/{plan}"))
    yield moment("built")
    _done(command("publish", "--plan", f"{output}/{plan}"))
    yield moment("published")
    _done(command("validate", f"{output}/datasets/{dataset}"))
    yield moment("proved")


def _done(ending: Ending) -> Ending:
    assert ending.exit_code == 0, ending.text
    return ending


def _heavier(row: dict[str, str]) -> None:
    row["weight"] = str(float(row["weight"]) + 10) if row["weight"] else ""


def _walk(folder: Path) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield (Path(where) / name).relative_to(folder).as_posix()


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
