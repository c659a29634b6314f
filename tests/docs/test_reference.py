"""What the pages repeat of the code is what the code says."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from tests.docs.snippets import ROOT
from tests.docs.test_snippets import code

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/reference/exit-codes.md"])
def test_exit_codes_are_those_of_the_help(page: str) -> None:
    said = re.findall(r"^\| (\d+) \| ([^|]+?) \|", text(page), re.MULTILINE)
    codes = re.findall(r"^ +(\d+) +(.+)$", code().EXIT_CODES, re.MULTILINE)
    assert [number for number, _ in said] == [number for number, _ in codes]
    same = {number: meaning for number, meaning in codes if number != "143"}
    assert {number: meaning for number, meaning in said if number != "143"} == same


def test_the_columns_of_the_clinical_table() -> None:
    table = text("docs/how-to/own-recordings.md")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(code().COLUMNS)


def test_the_inputs_of_the_readme_and_of_the_specification() -> None:
    config = code().load_config()
    inputs = [item.name for item in config.inputs]
    row = re.search(r"^\| `timeseries` \| \S+ \(300, 16\) \| (.+) at 1 Hz", text("README.md"), re.MULTILINE)
    assert row is not None
    assert row[1].split(", ") == inputs
    rows = re.findall(r"^\| \d+ \| (\w+) \| ([^|]+) \| ([-\d.]+)-([\d.]+) \|", text("docs/design.md"), re.MULTILINE)
    assert rows == [(item.name, item.unit, f"{item.range[0]:g}", f"{item.range[1]:g}") for item in config.inputs]


def test_every_command_is_in_the_specification() -> None:
    line = re.search(r"`vitalprep (check \|.+?)`", text("docs/design.md"))
    assert line is not None
    internal = {"sagemaker-job", "sagemaker-request"}  # for SageMaker and Airflow, not for people
    assert set(line[1].split(" | ")) == set(code().command.commands) - internal


def test_every_ruling_is_in_the_specification() -> None:
    section = text("docs/design.md").split("## 3.")[1].split("## 4.")[0]
    assert [int(n) for n in re.findall(r"^(\d+)\. ", section, re.MULTILINE)] == list(range(1, 35))


def test_changelog_and_citation_name_one_version() -> None:
    released = re.search(r"^## \[(\d[^\]]*)\] - (\S+)$", CHANGELOG, re.MULTILINE)
    assert released is not None
    assert (str(CITATION["version"]), str(CITATION["date-released"])) == released.groups()
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["license"] == PYPROJECT["license"]
    assert CITATION["title"] == PYPROJECT["name"]


def test_the_package_has_the_changelogs_version() -> None:
    assert PYPROJECT["version"] == code().version == str(CITATION["version"])


def test_the_package_has_one_version() -> None:
    assert PYPROJECT["version"] == code().version
