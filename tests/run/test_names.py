"""``--name``: a name for people, kept over runs, and never a part of the data set's id. And what a run ends with."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import vitalprep
from tests.pipeline import COMMAND, Answer, data_digests, run_vitalprep


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("named")


@pytest.fixture(scope="module")
def named(recordings: Path, output: Path) -> Answer:
    answer = run_vitalprep("run", "--input", recordings, "--output", output, "--name", " pilot <b>, |adults| ")
    assert answer.exit_code == 0, answer.result
    return answer


def _metadata(answer: Answer) -> dict[str, object]:
    content: dict[str, object] = json.loads(Path(answer.result["dataset"], "preprocessing_metadata.json").read_bytes())
    return content


def test_the_name_stands_wherever_a_person_looks(named: Answer, output: Path) -> None:
    name = "pilot <b>, |adults|"
    dataset = Path(named.result["dataset"])
    assert named.result["name"] == _metadata(named)["name"] == vitalprep.describe(output).name == name
    assert "pilot &lt;b&gt;, |adults|" in (dataset / "report.html").read_text()
    assert "# pilot &lt;b&gt;, \\|adults\\|: Windows of surgical recordings" in (dataset / "README.md").read_text()
    assert run_vitalprep("status", output).result["datasets"][0]["name"] == name
    text = subprocess.run([*COMMAND, "status", str(output)], capture_output=True, text=True, check=True).stdout
    assert f"{dataset.name} is named {name}" in text


def test_a_rerun_keeps_the_name_and_another_name_changes_no_record(
    recordings: Path, named: Answer, output: Path, tmp_path: Path
) -> None:
    command = ("run", "--input", recordings, "--output", output)
    again = run_vitalprep(*command)
    assert (again.result["new"], again.result["name"]) == (False, named.result["name"])
    assert again.result["plan"] == named.result["plan"]
    nameless = run_vitalprep("run", "--input", recordings, "--output", tmp_path)
    assert (nameless.result["dataset_id"], nameless.result["name"]) == (named.result["dataset_id"], None)
    assert nameless.result["content_id"] == named.result["content_id"]
    before = data_digests(named.result["dataset"])
    renamed = run_vitalprep(*command, "--name", "second")
    assert (renamed.exit_code, renamed.result["new"]) == (0, True)
    assert renamed.result["dataset"] == named.result["dataset"]
    assert _metadata(renamed)["name"] == "second"
    assert data_digests(renamed.result["dataset"]) == before
    assert not [line for line in renamed.log if re.search(r"^case \d+ harmonized$|^\w+ built$", line["message"])]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("x" * 101, "101 characters"),
        ("two\nlines", "U+000A"),
        ("\x1b[2Jx", "U+001B"),
        ("a\u202eb", "U+202E"),
    ],
)
def test_a_name_that_is_no_plain_text_is_refused(recordings: Path, tmp_path: Path, name: str, why: str) -> None:
    answer = run_vitalprep("plan", "--input", recordings, "--output", tmp_path, "--name", name)
    assert answer.exit_code == 2
    assert why in answer.result["message"]
    assert not list(tmp_path.iterdir())


def test_a_run_ends_by_saying_what_comes_next(recordings: Path, named: Answer, output: Path, tmp_path: Path) -> None:
    dataset = named.result["dataset"]
    steps = named.result["next"]
    assert steps["report"] == f"{dataset}/report.html"
    assert Path(steps["report"]).is_file()
    found: dict[str, object] = {}
    exec(steps["load"].replace("vitalprep.describe", "about = vitalprep.describe"), found)  # noqa: S102
    assert found["about"].dataset_id == named.result["dataset_id"]  # type: ignore[attr-defined]
    drawn = run_vitalprep(*shlex.split(steps["command"])[1:], "--output", tmp_path / "case.html")
    assert drawn.exit_code == 0
    assert [line for line in named.log if line.get("load") == steps["load"]]
    command = [*COMMAND, "run", "--input", str(recordings), "--output", str(output), "--cases", "1-15"]
    process = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "160"}, timeout=180
    )
    lines = process.stdout.splitlines()
    start = lines.index("Next:")
    assert [any(step in line for step in lines[start:]) for line in ("/report.html", "vitalprep.describe(")]
    assert len(lines[start + 1 :]) == 3
    assert any("15 asked for, 14 present, 14 written" in line for line in lines[:start])


def test_warnings_are_logged_once_a_code_and_kept_whole(named: Answer, output: Path) -> None:
    kept = [warning for warning in named.result["warnings"] if warning["level"] == "warning"]
    assert _metadata(named)["warnings"] is None or kept
    lines = [line for line in named.log if line["level"] == "WARNING" and "code" in line]
    counts = {line["code"]: line["count"] for line in lines}
    assert len(counts) == len(lines), "one line for each code"
    assert counts == {code: [one["code"] for one in kept].count(code) for code in {one["code"] for one in kept}}
    for line in lines:
        assert any(one["message"] in line["message"] for one in kept if one["code"] == line["code"])
        assert "See report.html." in line["message"]
