"""Documents that are whole, and not those of this data set: they are named, and what can be made anew is made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import data_digests
from tests.reliability.in_process import COARSE, command, in_process, short_cases


@dataclass(frozen=True)
class Made:
    """A proven data set in a copy of its output."""

    source: Path
    output: Path

    @property
    def folder(self) -> Path:
        return next(self.output.glob("datasets/*/"))

    @property
    def plan(self) -> Path:
        return next(self.output.glob("runs/*/plan-*.json"))

    def edit(self, path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
        content = json.loads(path.read_bytes())
        change(content)
        path.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("sound")
    source = short_cases(folder / "in", cases=9)
    with in_process():
        assert command("run", "--input", source, "--output", folder / "out", *COARSE).exit_code == 0
    return Made(source, folder / "out")


@pytest.fixture
def made(sound: Made, tmp_path: Path) -> Iterator[Made]:
    with in_process():
        yield Made(sound.source, Path(shutil.copytree(sound.output, tmp_path / "out")))


def lacking_a_case(made: Made) -> None:
    made.edit(made.folder / "build-train.json", lambda summary: summary["cases"].pop())


def of_another_split(made: Made) -> None:
    shutil.copy(made.folder / "build-test.json", made.folder / "build-train.json")


def of_another_data_set(made: Made) -> None:
    made.edit(made.folder / "build-train.json", lambda summary: summary.update(dataset_id="0" * 12))


FOREIGN = pytest.mark.parametrize("spoil", [lacking_a_case, of_another_split, of_another_data_set])


@FOREIGN
def test_a_build_summary_that_is_not_the_split_s_counts_as_none(made: Made, spoil: Callable[[Made], None]) -> None:
    spoil(made)
    ending = command("publish", "--plan", made.plan)
    assert ending.exit_code == 65
    assert "The train split is not built." in ending.text


@FOREIGN
def test_build_writes_the_split_again(made: Made, sound: Made, spoil: Callable[[Made], None]) -> None:
    spoil(made)
    for stage in ("build", "publish"):
        assert command(stage, "--plan", made.plan).exit_code == 0
    assert command("validate", made.folder).exit_code == 0
    assert data_digests(made.folder) == data_digests(sound.folder)


@FOREIGN
def test_validate_names_the_split(made: Made, spoil: Callable[[Made], None]) -> None:
    spoil(made)
    ending = command("validate", made.folder)
    assert ending.exit_code == 65
    assert "train" in ending.text


def test_an_accounting_that_names_a_plan_that_is_not_there_is_named(made: Made) -> None:
    accounting = next(made.output.glob("runs/*/accounting.json"))
    made.edit(accounting, lambda content: content.update(plan=content["plan"].replace("/plan-", "/plan-0")))
    ending = command("validate", made.folder)
    assert ending.exit_code == 65
    assert f"{accounting} names runs/{made.folder.name}/plan-0" in ending.text
