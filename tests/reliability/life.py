"""The life of an output as an oracle sees it: what was asked for, and what must be true after each step."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tests.pipeline import data_digests
from tests.reliability.in_process import COARSE, Ending, InlinePool, command, has_passed, passed, short_cases, table_of
from vitalprep.runtime.errors import RetryableError
from vitalprep.storage import Storage

__all__ = ["DISTURBANCES", "Killed", "Life", "Request", "Sources", "sources"]

CUSTOM = """source:
  name: {name}
  patients: simulated
  licence: {licence}
"""


@dataclass(frozen=True)
class Request:
    """What a user asks for. `parent` is the request whose data set is continued.

    Attributes
    ----------
    cases : int
        The first so many.
    table : str
        A clinical table of `Sources`.
    settings : sequence of str
        Settings beside the coarse ones; of an appended data set those of its first ancestor.
    """

    cases: int
    table: str
    settings: tuple[str, ...] = ()
    parent: Request | None = None

    @property
    def lineage(self) -> tuple[Request, ...]:
        """The requests of all ancestors and this one, oldest first."""
        return (*(self.parent.lineage if self.parent else ()), self)


@dataclass(frozen=True)
class Sources:
    """Recordings, clinical tables and stated sources. `empty` is the folder of the oracle's own outputs."""

    recordings: Path
    tables: Mapping[str, Path]
    stated: Mapping[str, Path]
    oracle: Path
    known: dict[Request, tuple[str, dict[str, str]] | None] = field(default_factory=dict)

    def arguments(self, request: Request, output: Path, parent: str | None) -> list[str | Path]:
        """Return the options of ``run`` without name and source."""
        settings = [part for setting in request.settings for part in ("--set", setting)]
        append = ["--append-to", f"{output}/datasets/{parent}"] if parent else [*COARSE, *settings]
        table = ["--clinical", self.tables[request.table]]
        return ["--input", self.recordings, "--output", output, "--cases", f"1-{request.cases}", *table, *append]

    def result(self, request: Request) -> tuple[str, dict[str, str]] | None:
        """Return id and digests of what a request gives in an output of its own; None if it is refused there."""
        if request not in self.known:
            output = self.oracle / str(len(self.known))
            parent: str | None = None
            for ancestor in request.lineage:
                ending = command("run", *self.arguments(ancestor, output, parent))
                if ending.exit_code:
                    assert ending.exit_code == 65, ending.text
                    self.known[request] = None
                    return None
                parent = str(ending.result["dataset_id"])
            assert parent is not None
            self.known[request] = parent, data_digests(output / "datasets" / parent)
            shutil.rmtree(output)
        return self.known[request]


def sources(folder: Path) -> Sources:
    """Make recordings of twelve cases, tables that say other things of them, and stated sources."""
    simulated = short_cases(folder / "simulated", cases=12)
    recordings = folder / "recordings"  # without simulation.json, so that only a user says where they come from
    recordings.mkdir()
    for path in simulated.rglob("*.vital"):
        shutil.copy(path, recordings)
    table = simulated / "clinical_data.csv"
    shutil.copy(table, recordings)
    changes: dict[str, Callable[[dict[str, str]], None]] = {
        "as it was": lambda row: None,
        "heavier": lambda row: row.update(weight=str(float(row["weight"]) + 10)),
        "older": lambda row: row.update(age="60"),
        "case 2 is of case 1's subject": lambda row: (
            row.update(subjectid=_subject(table, 1)) if row["caseid"] == "2" else None
        ),
        "case 11 is of case 1's subject": lambda row: (
            row.update(subjectid=_subject(table, 1)) if row["caseid"] == "11" else None
        ),
        "case 4 is of a new subject": lambda row: row.update(subjectid="777") if row["caseid"] == "4" else None,
        "other subjects": lambda row: row.update(subjectid=str(int(row["subjectid"]) + 5000)),
    }
    (folder / "tables").mkdir()
    tables = {
        name: table_of(table, folder / "tables" / f"{index}.csv", change)
        for index, (name, change) in enumerate(changes.items())
    }
    stated = {}
    for name, licence in (("The ward", "CC-BY-4.0"), ("The ward", "CC-BY-NC-4.0"), ("Another ward", "CC-BY-4.0")):
        file = folder / f"{name} {licence}.yaml"
        file.write_text(CUSTOM.format(name=name, licence=licence))
        stated[f"{name}, {licence}"] = file
    return Sources(recordings, tables, stated, folder / "oracle")


def _subject(table: Path, case: int) -> str:
    with table.open(newline="") as file:
        return next(row["subjectid"] for row in csv.DictReader(file) if row["caseid"] == str(case))


class Killed(BaseException):
    """The process ends here, and nothing of it is done any more."""


@contextmanager
def _writes(number: int, end: Callable[[str], BaseException], *, after: bool = False) -> Iterator[None]:
    """Let the n-th write raise, before or after it has been done."""
    left = [number]

    def disturbed(name: str) -> Any:
        write = getattr(Storage, name)

        def call(self: Storage, path: Any, *arguments: Any) -> Any:
            if "/progress-" in str(path):  # of a thread of its own
                return write(self, path, *arguments)
            left[0] -= 1
            if left[0] == 0 and not after:
                raise end(str(path))
            done = write(self, path, *arguments)
            if left[0] == 0:
                raise end(str(path))
            return done

        return call

    with mock.patch.multiple(Storage, **{name: disturbed(name) for name in ("put", "create", "delete", "writer")}):
        yield


@contextmanager
def _stopped(number: int) -> Iterator[None]:
    """Let a signal ask for a stop when the n-th task has begun."""
    left = [number]
    results = InlinePool.results

    def counted(self: InlinePool, function: Callable[[Any], Any], tasks: Any, *, name: Callable[[Any], str]) -> Any:
        def task_done(task: Any) -> Any:
            left[0] -= 1
            self.stop.requested |= left[0] <= 0
            return function(task)

        return results(self, task_done, tasks, name=name)

    with mock.patch.object(InlinePool, "results", counted):
        yield


def _full(path: str) -> RetryableError:
    return RetryableError(f"Could not write {path}: no space.", fix="free some.")


DISTURBANCES: Mapping[str, Callable[[int], Any]] = {
    "a stop": _stopped,
    "a full disk": lambda number: _writes(number, _full),
    "a kill before a write": lambda number: _writes(number, Killed),
    "a kill after a write": lambda number: _writes(number, Killed, after=True),
}


@dataclass
class Life:
    """One output, and what is known of it.

    Attributes
    ----------
    requests : dict
        The request that each data set was made for, by its id.
    unsettled : set of str
        Data sets whose making was disturbed, or whose files were damaged, and which nothing has settled since.
    damaged_tables : bool
        Whether a table was damaged, so that what needs it is refused until it is forced.
    """

    sources: Sources
    output: Path
    requests: dict[str, Request] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    damaged_tables: bool = False

    def run(self, request: Request, more: Sequence[str | Path] = (), disturbance: Any = None) -> Ending | None:
        """Run a request, disturbed or not; None if it was killed."""
        wanted = self.sources.result(request)
        parent = self.sources.result(request.parent) if request.parent else None
        if wanted:
            self.requests[wanted[0]] = request
        if disturbance and wanted:
            self.unsettled.add(wanted[0])
        try:
            with disturbance or mock.patch.dict({}):
                arguments = self.sources.arguments(request, self.output, parent[0] if parent else None)
                ending = command("run", *arguments, *more)
        except Killed:
            return None
        assert ending.exit_code is not None, ending.text
        if not disturbance:
            self._judge(ending, wanted, forced="--force" in more)
        return ending

    def _judge(self, ending: Ending, wanted: tuple[str, dict[str, str]] | None, *, forced: bool) -> None:
        if wanted is None:
            assert ending.exit_code == 65, ending.text
        elif ending.exit_code:
            assert self.damaged_tables and not forced, ending.text  # noqa: PT018
            assert ending.exit_code in (1, 65), ending.text
            self.unsettled.add(wanted[0])
        else:
            assert ending.result["dataset_id"] == wanted[0]
            assert wanted[0] in passed(self.output)
            self.unsettled.discard(wanted[0])

    def check(self) -> None:
        """Assert what must be true after every step."""
        done = passed(self.output)
        for dataset, digests in done.items():
            assert dataset in self.requests, f"nobody asked for {dataset}"
            wanted = self.sources.result(self.requests[dataset])
            assert wanted is not None
            assert digests == wanted[1], f"{dataset} passed with other files than its plan gives"
            self._check_lineage(dataset)
        latest = self.output / "datasets/latest.json"
        if latest.exists():
            named = json.loads(latest.read_bytes())["dataset_id"]
            assert named in done or named in self.unsettled, f"latest.json names {named}, which did not pass"

    def description(self, request: Request) -> tuple[str | None, str | None]:
        """Return name and source (with its licence) that a request's data set is published with, as far as stated."""
        wanted = self.sources.result(request)
        path = self.output / "datasets" / (wanted[0] if wanted else "") / "preprocessing_metadata.json"
        if not path.exists():
            return None, None
        metadata = json.loads(path.read_bytes())
        basis, source = metadata["source"]["basis"], metadata["source"]["source"]
        return metadata.get("name"), None if basis == "assumed" else f"{source['name']}, {source['licence']}"

    def check_card(self, request: Request, name: str | None, source: str | None) -> None:
        """Assert that a data set that is up to date is described by a name and a source with its licence."""
        assert self.description(request) == (name, source)
        wanted = self.sources.result(request)
        assert wanted
        card = (self.output / "datasets" / wanted[0] / "README.md").read_text()
        for text in (name, *(source.split(", ") if source else ())):
            assert text is None or text in card, f"the card of {wanted[0]} does not state {text}"

    def _check_lineage(self, dataset: str) -> None:
        """Assert over a data set and all its ancestors that no subject and no case is in two splits."""
        split_of: dict[tuple[str, int], str] = {}
        for one in self.requests[dataset].lineage:
            found = self.sources.result(one)
            plans = list(self.output.glob(f"runs/{found[0]}/plan-*.json")) if found else []
            for plan in plans:  # those of ancestors may be gone
                for case in json.loads(plan.read_bytes())["cases"]:
                    for key in (("case", case["case_id"]), ("subject", case["subject_id"])):
                        before = split_of.setdefault(key, case["split"])
                        assert before == case["split"], f"{key} of {dataset} was in {before}, is in {case['split']}"

    def settled(self, dataset: str) -> bool:
        """Return whether a data set has passed."""
        return has_passed(self.output / "datasets" / dataset / "validation.json")
