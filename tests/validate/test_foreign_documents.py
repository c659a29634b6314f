"""Documents that are missing, or whole and not those of this data set: they are named, and made anew."""

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
from tests.reliability.life import DISTURBANCES


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
    plan = f"runs/{made.folder.name}/plan-{'0' * 12}.json"
    made.edit(accounting, lambda content: content.update(plan=plan))
    ending = command("validate", made.folder)
    assert ending.exit_code == 65
    assert f"{accounting} names {plan}, which does not exist." in ending.text


@pytest.mark.parametrize("plan", ["", "runs", "../plan.json", "datasets/latest.json"])
def test_an_accounting_that_names_no_plan_is_named(made: Made, plan: str) -> None:
    accounting = next(made.output.glob("runs/*/accounting.json"))
    made.edit(accounting, lambda content: content.update(plan=plan))
    ending = command("validate", made.folder)
    assert ending.exit_code == 65
    assert f"{accounting} is not a valid Accounting: plan:" in ending.text


@pytest.mark.parametrize("name", [None, 7, "", ".", "../latest.json", "README.md#1", "notes.txt"])
def test_a_listing_of_what_is_no_file_of_a_data_set_is_named(made: Made, name: object) -> None:
    listing = made.folder / "croissant.json"
    made.edit(listing, lambda content: content["distribution"][0].update(name=name))
    ending = command("validate", made.folder)
    assert ending.exit_code == 65
    assert "croissant.json cannot be read" in ending.text or f"croissant.json lists {name!r}" in ending.text


@pytest.mark.parametrize("file", range(1, 9))
def test_what_publish_has_half_described_does_not_pass(made: Made, sound: Made, file: int) -> None:
    """The disk is full at each of the files that describe a data set."""
    for path in made.folder.iterdir():
        if not path.name.startswith(("build-", "vitaldb-")):
            path.unlink()
    with DISTURBANCES["a full disk"](1 + file):  # the accounting is written first
        assert command("publish", "--plan", made.plan).exit_code == 1
    ending = command("validate", made.folder)
    assert ending.exit_code == 65
    assert "descriptions: " in ending.text
    assert "is missing" in ending.text
    assert command("run", "--input", made.source, "--output", made.output, *COARSE).exit_code == 0
    assert {path.name for path in made.folder.iterdir()} == {path.name for path in sound.folder.iterdir()}


@pytest.mark.parametrize("count", [2**63, -1])
def test_a_receipt_with_a_count_that_none_can_be_is_named(made: Made, count: int) -> None:
    receipt = next(made.output.glob("harmonized/*/0003-*.json"))
    made.edit(receipt, lambda content: content["features"]["BIS"].update(implausible=count))
    ending = command("validate", made.folder)
    assert ending.exit_code == 65
    assert f"{receipt} is not a valid Receipt: features.BIS.implausible" in ending.text
