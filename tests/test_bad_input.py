"""Bad input: one clear message, the right exit code, a reason where it concerns one case, no effect on the others."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline import Answer, receipts, run_vitalprep


@pytest.fixture
def source(recordings: Path, tmp_path: Path) -> Path:
    """A copy of the recordings that a test may spoil."""
    return Path(shutil.copytree(recordings, tmp_path / "input"))


def _refused(answer: Answer, exit_code: int, *words: str) -> None:
    assert answer.exit_code == exit_code
    assert answer.result["ok"] is False
    assert answer.result["fix"]
    for word in words:
        assert word in answer.result["message"], answer.result
    assert answer.result["message"] in answer.last_message, "the message is the last log line"
    assert "Traceback" not in json.dumps(answer.log)


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = run_vitalprep("run", "--input", tmp_path / "empty", "--output", tmp_path / "out")
    _refused(answer, 65, str(tmp_path / "empty"), "no recording")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    answer = run_vitalprep("run", "--input", tmp_path / "absent", "--output", tmp_path / "out")
    _refused(answer, 2, str(tmp_path / "absent"), "does not exist")


def test_no_clinical_table(source: Path, tmp_path: Path) -> None:
    (source / "clinical_data.csv").unlink()
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out")
    _refused(answer, 65, "clinical_data.csv")


def test_no_requested_case_is_there(source: Path, tmp_path: Path) -> None:
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out", "--cases", "900-903")
    _refused(answer, 65, "None of the 4 requested cases", "raw_object_missing 4")


def test_no_case_has_a_clinical_row(source: Path, tmp_path: Path) -> None:
    table = source / "clinical_data.csv"
    table.write_text(table.read_text().splitlines(keepends=True)[0])
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out")
    _refused(answer, 65, "no_clinical_row 14")


def test_an_output_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (("run",), ("check", "--only", "raw-data")):
        answer = run_vitalprep(*arguments, "--input", source, "--output", tmp_path / "file" / "out")
        assert answer.exit_code == 2
        assert str(tmp_path / "file") in answer.last_message


@pytest.mark.parametrize("token", ["5-3", "a", "1--2", "1,,2", ""])
def test_a_bad_case_list(source: Path, tmp_path: Path, token: str) -> None:
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out", "--cases", token)
    _refused(answer, 2, "Case list")


def test_an_unknown_configuration_key(source: Path, tmp_path: Path) -> None:
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out", "--set", "windowing.stp=60")
    _refused(answer, 2, "windowing.stp", "unknown")


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    answer = run_vitalprep("run", "--inptu", tmp_path)
    assert answer.exit_code == 2
    assert "--inptu" in answer.result["message"]


def _text(data: bytes) -> bytes:
    return b"time,value\n1,2\n"


def _empty(data: bytes) -> bytes:
    return b""


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]


def _huge_length(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data) + b"\x01" + (0xFFFFFFF0).to_bytes(4, "little"))


def _junk_after(data: bytes) -> bytes:
    return data + b"junk"


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], set[str]]] = {
    "text": (_text, {"not_vital"}),
    "empty": (_empty, {"not_vital"}),
    "cut": (_cut, {"truncated"}),
    "flipped": (_flipped, {"corrupt", "truncated"}),
    "huge-length": (_huge_length, {"corrupt"}),
    "junk-after": (_junk_after, {"corrupt"}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_recording_is_excluded_and_the_others_are_not(source: Path, tmp_path: Path, damage: str) -> None:
    spoil, reasons = DAMAGE[damage]
    path = source / "raw-data" / "0004.vital"
    path.write_bytes(spoil(path.read_bytes()))
    answer = run_vitalprep(
        "run", "--input", source, "--output", tmp_path / "out", "--set", "validation.min_success_rate=0.9"
    )
    assert answer.exit_code == 0, answer.result
    receipt = receipts(tmp_path / "out")[4]
    assert receipt["status"] == "excluded"
    assert receipt["reason"] in reasons
    assert receipt["detail"]
    assert answer.result["excluded"] == {receipt["reason"]: 1}
    assert answer.result["written"] == 13


def test_a_file_too_long_for_any_recording_is_not_read_twice(source: Path, tmp_path: Path) -> None:
    path = source / "raw-data" / "0004.vital"
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # sparse: reading it would take until tomorrow
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path, "--set", "validation.min_success_rate=0.9")
    assert answer.result["excluded"] == {"too_large": 1}
    assert not [line for line in answer.log if "read again" in line["message"]]


def test_below_the_success_rate_nothing_is_published(source: Path, tmp_path: Path) -> None:
    for case in (2, 7):
        (source / "raw-data" / f"{case:04d}.vital").write_bytes(b"no recording")
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out")
    _refused(answer, 65, "not_vital 2", "85.7%", "95%")
    accounting = json.loads(next((tmp_path / "out").glob("runs/*/accounting.json")).read_bytes())
    assert accounting["excluded"] == {"not_vital": 2}
    assert accounting["requested"] == 14
    assert not list((tmp_path / "out").glob("datasets/*/validation.json"))
    assert not (tmp_path / "out" / "datasets" / "latest.json").exists()


def test_every_case_excluded(source: Path, tmp_path: Path) -> None:
    for path in source.glob("raw-data/*.vital"):
        path.write_bytes(b"no recording")
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out")
    _refused(answer, 65, "Only 0.0% of 14 recordings", "not_vital 14")
    assert list((tmp_path / "out").glob("runs/*/accounting.json"))


def test_short_recordings_are_named_so(source: Path, tmp_path: Path) -> None:
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out", "--set", "windowing.window=100000")
    assert answer.exit_code == 65
    accounting = json.loads(next((tmp_path / "out").glob("runs/*/accounting.json")).read_bytes())
    assert accounting["excluded"] == {"too_short": 14}


def test_windows_without_observations_can_be_refused(source: Path, tmp_path: Path) -> None:
    answer = run_vitalprep(
        "run", "--input", source, "--output", tmp_path / "out", "--set", "windowing.min_observed_fraction=1"
    )
    accounting = json.loads(next((tmp_path / "out").glob("runs/*/accounting.json")).read_bytes())
    assert accounting["excluded"].get("no_window", 0) + accounting["written"] == 14
    assert accounting["excluded"].get("no_window", 0) > 0
    assert answer.exit_code in (0, 65)
