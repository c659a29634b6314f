"""An output is never written among the recordings, however the two are spelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep
from vitalprep.contract.locations import refuse_locations
from vitalprep.runtime.errors import UsageError


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "vitaldb"
    (folder / "raw-data").mkdir(parents=True)
    (folder / "raw-data" / "0001.vital").touch()
    return folder


@pytest.mark.parametrize(
    "spelled", ["{raw}", "{raw}/", "{raw}/raw-data", "{raw}/raw-data/../out", "{link}", "file://{raw}/x"]
)
def test_an_output_at_or_inside_the_input_is_refused(raw: Path, tmp_path: Path, spelled: str) -> None:
    (link := tmp_path / "link").symlink_to(raw)
    with pytest.raises(UsageError, match="would be written among the recordings") as caught:
        refuse_locations(str(raw), spelled.format(raw=raw, link=link))
    assert "beside" in caught.value.fix
    with pytest.raises(UsageError, match="would be written among the recordings"):
        refuse_locations(f"{link}/", spelled.format(raw=raw, link=link))


@pytest.mark.parametrize(
    ("source", "output", "refused"),
    [
        ("s3://b/raw", "s3://b/raw/", True),
        ("s3://b/raw/", "s3://b/raw/out", True),
        ("s3://b", "s3://b/out", True),
        ("s3://b/out/datasets/x", "s3://b/out", True),
        ("s3://b/raw", "s3://b/raw-out", False),
        ("s3://b/raw", "s3://b", False),
        ("s3://b/raw", "s3://c/raw", False),
        ("/raw", "s3://raw", False),
    ],
)
def test_prefixes_are_compared_by_whole_segments(source: str, output: str, refused: bool) -> None:
    if not refused:
        refuse_locations(source, output)
        return
    with pytest.raises(UsageError):
        refuse_locations(source, output)


@pytest.mark.parametrize("folder", ["harmonized", "datasets", "runs"])
def test_an_input_where_the_output_writes_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder / "x").mkdir(parents=True)
    for source in (tmp_path / folder, tmp_path / folder / "x"):
        with pytest.raises(UsageError, match=f"lies inside {folder}/ of the --output"):
            refuse_locations(str(source), str(tmp_path))
    refuse_locations(str(tmp_path / "raw"), str(tmp_path))


def test_commands_refuse_before_anything_is_written(raw: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for command in ("run", "plan", "check"):
        answer = run_vitalprep(command, "--input", raw, "--output", raw / "raw-data")
        assert answer.exit_code == 2
        assert "among the recordings" in str(answer.result)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_recording_as_input_names_its_folder(raw: Path, tmp_path: Path) -> None:
    answer = run_vitalprep("run", "--input", raw / "raw-data" / "0001.vital", "--output", tmp_path / "out")
    assert answer.exit_code == 2
    assert "is one recording" in answer.result["message"]
    assert f"--input {raw}/raw-data" in answer.result["fix"]
    with pytest.raises(UsageError, match="is one recording") as caught:
        refuse_locations("s3://bucket/raw/0001.vital", "s3://bucket/out")
    assert "--input s3://bucket/raw," in caught.value.fix
    (table := raw / "clinical_data.csv").touch()
    other = run_vitalprep("cost", "--input", table)
    assert (other.exit_code, f"{table} is a file" in other.result["message"]) == (2, True)
    assert str(raw) in other.result["fix"]
