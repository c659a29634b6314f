"""Runs, appends, changed requests, damage, cleaning and kills in any order: what must be true after each step."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.reliability.in_process import command, in_process
from tests.reliability.life import DISTURBANCES, Life, Request, Sources, sources

EXAMPLES, STEPS = 12, 10

TABLES = st.sampled_from(
    ("as it was", "as it was", "heavier", "older", "case 2 is of case 1's subject", "case 11 is of case 1's subject",
     "case 4 is of a new subject", "other subjects")
)  # fmt: skip
SETTINGS = st.sampled_from(((), (), ("windowing.step=10",), ("split.seed=7",), ("imputation.causal=true",)))
FRESH = st.builds(Request, cases=st.integers(9, 11), table=TABLES, settings=SETTINGS)
NAMES = st.sampled_from((None, None, "pilot", "pilot, adults"))
STATED = st.sampled_from((None, None, "The ward, CC-BY-4.0", "The ward, CC-BY-NC-4.0", "Another ward, CC-BY-4.0"))
HOW = st.sampled_from(sorted(DISTURBANCES))
WHEN = st.integers(1, 60)


class Outputs(RuleBasedStateMachine):
    """One output in the hands of users, machines and accidents."""

    made_of: Sources

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="life-"))
        self.life = Life(self.made_of, self.folder / "out")
        self.last: Request | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize(request=FRESH)
    def begins(self, request: Request) -> None:
        self._run(request, None, None)

    @rule(request=FRESH, name=NAMES, stated=STATED)
    def run_another(self, request: Request, name: str | None, stated: str | None) -> None:
        self._run(request, name, stated)

    @rule(name=NAMES, stated=STATED)
    def run_again(self, name: str | None, stated: str | None) -> None:
        assert self.last
        self._run(self.last, name, stated)

    @rule()
    def force(self) -> None:
        assert self.last
        if self.last.parent is None:
            self._run(self.last, None, None, "--force")

    @rule(table=TABLES, more=st.integers(0, 1), name=NAMES, draw=st.randoms(use_true_random=False))
    def append(self, table: str, more: int, name: str | None, draw: random.Random) -> None:
        continued = self._continued(draw)
        if continued:
            self._run(Request(min(continued.cases + more, 12), table, continued.settings, continued), name, None)

    @rule(request=FRESH, how=HOW, when=WHEN)
    def run_disturbed(self, request: Request, how: str, when: int) -> None:
        self.last = request
        self.life.run(request, disturbance=DISTURBANCES[how](when))

    @rule(how=HOW, when=WHEN, force=st.booleans(), stated=STATED)
    def run_again_disturbed(self, how: str, when: int, force: bool, stated: str | None) -> None:
        assert self.last
        more = ["--config", self.made_of.stated[stated]] if stated and not self.last.parent else []
        more += ["--force"] if force and not self.last.parent else []
        self.life.run(self.last, more, DISTURBANCES[how](when))

    @rule(how=HOW, when=WHEN, draw=st.randoms(use_true_random=False))
    def append_disturbed(self, how: str, when: int, draw: random.Random) -> None:
        continued = self._continued(draw)
        if continued:
            self.last = Request(min(continued.cases + 1, 12), "as it was", continued.settings, continued)
            self.life.run(self.last, disturbance=DISTURBANCES[how](when))

    @rule()
    def clean(self) -> None:
        ending = command("clean", "--output", self.life.output, "--older-than", "0", "--yes")
        assert ending.exit_code == 0, ending.text

    @rule(draw=st.randoms(use_true_random=False), whole=st.booleans())
    def damage_records(self, draw: random.Random, whole: bool) -> None:
        """A file of records is damaged or lost, and validate finds it."""
        files = sorted(self.life.output.glob("datasets/*/*.tfrecord*"))
        files = [file for file in files if self.life.settled(file.parent.name)]  # twice the same bit is no damage
        if files:
            file = draw.choice(files)
            self._damage(file, draw, whole)
            self.life.unsettled.add(file.parent.name)
            ending = command("validate", file.parent)
            assert ending.exit_code not in (None, 0), ending.text
            assert not self.life.settled(file.parent.name)

    @rule(draw=st.randoms(use_true_random=False), whole=st.booleans())
    def damage_table(self, draw: random.Random, whole: bool) -> None:
        """A table is damaged or lost; whoever needs it is told so, until it is made again."""
        files = sorted(self.life.output.glob("harmonized/*/*.parquet"))
        if files:
            self._damage(draw.choice(files), draw, whole)
            self.life.damaged_tables = True

    @rule()
    def validate_all(self) -> None:
        for dataset in sorted(self.life.output.glob("datasets/*/")):
            ending = command("validate", dataset)
            assert ending.exit_code is not None, ending.text
            if ending.exit_code:
                self.life.unsettled.add(dataset.name)
                assert not self.life.settled(dataset.name), ending.text

    @invariant()
    def every_promise_holds(self) -> None:
        self.life.check()

    def _run(self, request: Request, name: str | None, stated: str | None, *more: str) -> None:
        self.last = request
        options = [*more, *(["--name", name] if name else [])]
        options += ["--config", self.made_of.stated[stated]] if stated and not request.parent else []
        before = self.life.description(request)
        ending = self.life.run(request, options)
        if ending and not ending.exit_code:
            wanted = name or before[0], (stated if not request.parent else None) or before[1]
            inherited = self.life.description(request.parent)[1] if request.parent else None
            if wanted[1] is None and self.life.description(request)[1] == inherited:
                wanted = wanted[0], inherited  # a configuration that states a source is the parent's
            self.life.check_card(request, *wanted)

    def _continued(self, draw: random.Random) -> Request | None:
        there = [dataset for dataset in self.life.requests if self.life.settled(dataset)]
        return self.life.requests[draw.choice(sorted(there))] if there else None

    @staticmethod
    def _damage(file: Path, draw: random.Random, whole: bool) -> None:
        data = bytearray(file.read_bytes())
        if whole or not data:
            file.unlink()
            return
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data)


@pytest.fixture(scope="module")
def made_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    with in_process():
        yield sources(tmp_path_factory.mktemp("life"))


def test_every_promise_holds_after_each_step(made_of: Sources) -> None:
    Outputs.made_of = made_of
    run_state_machine_as_test(
        Outputs,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # shortening a failure takes minutes
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
