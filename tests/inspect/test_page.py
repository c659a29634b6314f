"""The page of ``vitalprep inspect``: it has what a terminal is shown, and nothing in a recording acts in it."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.inspect.made import write
from tests.pipeline import run_vitalprep

HOSTILE = "<script>alert(1)<"
UNSEEN = re.compile(r"<(style|script)>.*?</\1>|<[^>]*>", re.DOTALL)


def _page(*command: object, file: Path) -> tuple[str, str, dict[str, Any]]:
    """Return the page, its text with single blanks, and the result."""
    result = run_vitalprep("inspect", *command, "--html", file).result
    page = file.read_text()
    return page, " ".join(html.unescape(UNSEEN.sub(" ", page)).split()), result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("<ward> & co")
    write(
        folder / "or1" / "<b>OR1</b>.vital",
        {
            "Solar8000/HR": ("/min", range(1, 101), 2.0),
            "Solar8000/ETCO2": ("<i>", [5.0] * 4, 1.0),
            "Intellivue/PLETH_SAT_O2": ("%", [97.0, 98.0], 1.0),
            f"{HOSTILE}/script>": ("", [1.0, 2.5], 60.0),
        },
    )
    write(folder / "0002.vital", {"Other/<img src=x>": ("", [1.0], 1.0)})
    (folder / "0008.vital").write_bytes(b"no recording")
    (folder / ".Trash-1").mkdir()
    (folder / ".Trash-1" / "0009.vital").write_bytes(b"")
    return folder


def test_it_has_all_that_was_found(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    page, text, result = _page(folder, "--table", tmp_path / "t.csv", file=file)
    assert result["html"] == str(file)
    assert len(result["tracks"]) == 5
    for words in (
        "Recordings 3 0.0 MB; all were read",
        "Inputs fed 1 of 16",
        "Solar8000/HR HR /min 1 100 2 s 5 to 95 1 to 100 9 values outside its limits",
        "Intellivue/PLETH_SAT_O2 SPO2 % 1 2 1 s 97 to 98 97 to 98",
        "Not used; --profile intellivue would use them 1 track",
        "Solar8000/ETCO2 ETCO2 <i> 1 4 1 s 5 5 unit refused: '<i>' (1 recording), not mmHg",
        "Left over: neither this configuration nor a profile names them 2 tracks",
        "<script>alert(1)</script> (none) 1 2 60 s 1 to 2.5 1 to 2.5",
        "SPO2 % 0 none Intellivue/PLETH_SAT_O2 (intellivue)",
        "0008.vital not_vital the file begins with",
        "Without a track of any input 1 recording",
        "or1/<b>OR1</b>.vital",
        "1 recording (in a trash or system folder): .Trash-1/0009.vital",
        "--profile intellivue would use 1 track more: SPO2.",
        f"Fill in {tmp_path / 't.csv'}",
        "vitalprep run --input",
    ):
        assert words in text, words
    assert page.count("<script>") == 1, "its own"
    assert page.count("<caption") == page.count("<table")
    for tag in ("<img", "<b>", "<i>", "<ward>"):
        assert tag not in page


def test_it_is_the_same_page_each_time(folder: Path, tmp_path: Path) -> None:
    first, _, _ = _page(folder, "--workers", "1", file=tmp_path / "a.html")
    second, _, _ = _page(folder, "--workers", "2", file=tmp_path / "b.html")
    assert first == second


def test_recordings_that_need_nothing_are_said_so(tmp_path: Path) -> None:
    write(tmp_path / "in" / "1.vital", {"Solar8000/HR": ("/min", [70.0], 1.0)})
    (tmp_path / "in" / "clinical_data.csv").write_text("caseid\n")
    _, text, result = _page(tmp_path / "in", file=tmp_path / "page.html")
    assert result["clinical"]
    assert "None: all that were read can be used." in text
    assert "--clinical" not in text
    assert "--table" not in text


def test_a_table_that_is_there_is_checked_and_can_get_the_column(tmp_path: Path) -> None:
    write(tmp_path / "in" / "or1.vital", {"Solar8000/HR": ("/min", [70.0], 1.0)})
    (tmp_path / "in" / "clinical_data.csv").write_text("caseid\n")
    _, text, _ = _page(tmp_path / "in", file=tmp_path / "page.html")
    assert "1 recording has no case number in its name: a column file of the clinical table gives it one." in text
    assert "If the input's table has none yet" in text
    assert f"vitalprep check --input {tmp_path / 'in'} --output OUTPUT" in text


def test_the_next_steps_repeat_the_options_that_were_given(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "our config.yaml"
    config.write_text("reading: {max_days: 3}")
    page, _, _ = _page(
        folder, "--profile", "draeger", "--config", config, "--set", "windowing.step=60", file=tmp_path / "page.html"
    )
    commands = [
        shlex.split(html.unescape(UNSEEN.sub("", found)))
        for found in re.findall(r'<code class="command">(.*?)</code>', page)
    ]
    options = ["--profile", "draeger", "--profile", "intellivue", "--config", str(config), "--set", "windowing.step=60"]
    given = ["--input", str(folder), "--clinical", "clinical.csv", "--output", "OUTPUT", *options]
    assert commands == [
        ["vitalprep", "inspect", str(folder), *options, "--profile-out", "tracks.yaml"],
        ["vitalprep", "inspect", str(folder), "--table", "clinical.csv"],
        ["vitalprep", "check", *given],
        ["vitalprep", "run", *given],
    ]


def test_an_overlay_that_was_written_takes_the_place_of_profiles(folder: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "tracks.yaml"
    _, text, _ = _page(folder, "--profile-out", overlay, file=tmp_path / "page.html")
    assert f"Edit {overlay}:" in text
    assert f"--output OUTPUT --config {overlay}" in text
