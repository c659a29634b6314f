"""Untrusted text is escaped in terminals, logs and results, and otherwise shown unchanged."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import COMMAND, run_vitalprep
from vitalprep.clean.command import _print_inventory
from vitalprep.clean.inventory import Inventory, Item
from vitalprep.cli.main import main
from vitalprep.cli.report import report
from vitalprep.cost.tables import _print_backends
from vitalprep.runtime.console import log, log_through, report_failure
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.status.command import print_status

HOSTILE = "\x1b[2J\x1b]0;x\x07\r\n\x85\u2028\u2029\u202e\udc80"
"""Clears the screen, names the window, breaks the line in five ways, turns it around, and is no text."""
NAMED = "\x1b[2J\x9b2J\x85\u2028\u202e"  # as a file system and a JSON text may hold it


def printed(text: str) -> bool:
    return text.replace("\n", "").isprintable()


def test_an_error_is_one_printable_line_even_after_pickling() -> None:
    error = RefusedError(f"{HOSTILE} is there.", fix=f"remove {HOSTILE}.")
    again = copy.copy(error)
    for one in (error, again):
        assert one.message == str(one.args[0]) == RefusedError(one.message, fix="").message
        assert one.message.isprintable()
        assert one.fix.isprintable()
        assert r"\x1b[2J" in one.message
    assert (again.message, again.fix) == (error.message, error.fix)


def test_intended_line_breaks_are_kept() -> None:
    error = UsageError("Terms:\n  1) \x1b[2Jnone\n", fix="accept them.", lines=True)
    for one in (error, copy.copy(error)):
        assert one.message == "Terms:\n  1) \\x1b[2Jnone\n"


def test_a_log_line_is_one_printable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("handlers", []), ("level", logging.INFO), ("propagate", False)):
        monkeypatch.setattr(logging.getLogger("vitalprep"), name, value)
    records: list[logging.LogRecord] = []
    log_through(records.append)
    log(f"case 1 of {HOSTILE}")
    log("one\ntwo\x1b[2J", lines=True)
    report_failure(UsageError("one\ntwo", fix="three.", lines=True))
    first, second, third = (record.getMessage() for record in records)
    assert first.isprintable()
    assert second == "one\ntwo\\x1b[2J"
    assert third == "one\ntwo Fix: three."


def _note(folder: Path) -> None:
    (folder / "source.json").write_text(json.dumps({"source": {"name": "x", "licence": "y", NAMED + "\n": 1}}))


def _twice(folder: Path) -> None:
    shutil.copytree(folder / "raw-data", folder / NAMED)


def _large(folder: Path) -> None:
    (folder / f"a{NAMED}").mkdir()
    (folder / f"a{NAMED}" / f"{'9' * 30}.vital").touch()


def _config(folder: Path) -> None:
    (folder / "config.yaml").write_text(json.dumps({"windowing": {NAMED + "\n": 1}}))


@pytest.mark.parametrize("spoil", [_note, _config])
def test_a_hostile_name_in_an_error_is_escaped(recordings: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    source = Path(shutil.copytree(recordings, tmp_path / "in"))
    (source / "config.yaml").write_text("{}")
    spoil(source)
    arguments = ("--input", source, "--output", tmp_path / "out", "--config", source / "config.yaml")
    answer = run_vitalprep("plan", *arguments)
    assert answer.exit_code in (2, 65)
    assert answer.result["message"].isprintable()
    assert answer.last_message.isprintable()


@pytest.mark.parametrize("spoil", [_twice, _large])
def test_a_hostile_name_of_a_recording_is_left_out_by_its_escaped_name(
    recordings: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    source = Path(shutil.copytree(recordings, tmp_path / "in"))
    spoil(source)
    answer = run_vitalprep("plan", "--input", source, "--output", tmp_path / "out")
    assert answer.exit_code == 0
    [said] = [line["message"] for line in answer.log if line.get("reason") == "odd_key"]
    assert r"\x1b[2J" in said
    assert all(line["message"].isprintable() for line in answer.log)


def test_an_unexpected_error_is_printable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError(HOSTILE)

    monkeypatch.setattr("vitalprep.cli.main.vitalprep", fail)
    for arguments in (["vitalprep"], ["vitalprep", "--json"]):
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit, match="1"):
            main()
        said = capsys.readouterr()
        assert printed(said.err)
        if "--json" in arguments:
            assert json.loads(said.out)["message"].isprintable()


ODD = ("w/[old]/out", "w/[/out]", "[bold]x[/bold]", f"x{HOSTILE}y")


def _a_result(text: str) -> None:
    report(f"Done {text}", {text: text, "windows": {text: 1}}, as_json=False)


def _a_status(text: str) -> None:
    shard: dict[str, Any] = {"index": 0, "label": text, "state": text, "done": 0, "cases": 1, "excluded": 0}
    shard |= {"bytes_per_second": 0.0, "seconds_left": None, "updated": None}
    one = {
        "dataset_id": text,
        "name": text,
        "state": text,
        "planned": None,
        "requested": None,
        "windows": {},
        "windows_unobserved": {},
        "windows_dropped": None,
        "shards": [shard],
        "problem": text,
    }
    print_status({"output": text, "latest": text, "datasets": [one], "problem": text}, shards=True)
    print_status({"output": text, "latest": None, "datasets": [], "problem": None}, shards=False)


def _an_inventory(text: str) -> None:
    item = Item("dataset", text, (text,), 1, datetime.now(UTC), state=text, kept=text)
    _print_inventory(Inventory((item,), 0), [])


def _an_estimate(text: str) -> None:
    numbers = dict.fromkeys(("vcpu_hours", "minutes", "dollars", "compute", "requests", "transfer"), 1.0)
    _print_backends({"local": {"label": text, "shards": 1, "tasks": 1, "priced": text} | numbers}, text)


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("shown", [_a_result, _a_status, _an_inventory, _an_estimate])
def test_tables_show_values_literally(
    shown: Callable[[str], None], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    shown(text)
    said = capsys.readouterr().out
    assert printed(said)
    assert (text if text.isprintable() else r"x\x1b[2J") in said


def test_a_folder_name_with_brackets_is_printed_literally(recordings: Path, tmp_path: Path) -> None:
    output = tmp_path / "w" / "[" / "out]"
    arguments = ["plan", "--input", str(recordings), "--output", str(output), "--cases", "1-9"]
    wide = os.environ | {"COLUMNS": "400"}
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, env=wide)
    assert done.returncode == 0, done.stderr
    assert f"{output}/datasets/" in done.stdout
