"""The files that ``vitalprep inspect`` writes are read by the commands that they are for."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from tests.inspect.made import write
from tests.pipeline import run_vitalprep
from vitalprep.contract.config_file import load_config
from vitalprep.inspect.clinical_table import table_to_fill

COLUMNS = ["caseid", "subjectid", "sex", "age", "height", "weight", "bmi", "asa"]


def _rows(data: str) -> list[dict[str, str]]:
    return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(data.splitlines())]


def _filled(paths: list[str]) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    table = table_to_fill(paths)
    rows = _rows(table.data.decode())
    assert len(rows) == table.rows
    return rows, table.without_row


def test_names_that_are_case_numbers_need_no_column_file() -> None:
    table = table_to_fill(["a/0002.vital", "10.vital"])
    assert table.data.decode() == ",".join(COLUMNS) + "\n2,,,,,,,\n10,,,,,,,\n"


def test_other_names_get_free_numbers_and_a_cell() -> None:
    rows, without_row = _filled(["0007.vital", "or1/a, b.vital", "or2/c.vital", "0.vital"])
    assert rows == [
        {"caseid": "7"},
        {"caseid": "8", "file": "or1/a, b.vital"},
        {"caseid": "9", "file": "or2/c.vital"},
        {"caseid": "10", "file": "0.vital"},
    ]
    assert without_row == ()


def test_the_second_recording_of_a_number_gets_another_and_both_are_named() -> None:
    rows, _ = _filled(["0001.vital", "1.vital", "99999999.vital"])
    assert rows == [
        {"caseid": "1", "file": "0001.vital"},
        {"caseid": "2", "file": "1.vital"},
        {"caseid": "99999999"},
    ]


@pytest.mark.parametrize("path", ["a;b.vital", "=SUM(A1).vital", "c:d.vital"])
def test_a_path_that_no_cell_can_name_has_no_row_and_is_said(path: str) -> None:
    rows, without_row = _filled([path, "1.vital"])
    assert rows == [{"caseid": "1"}]
    assert without_row == (path,)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ward")
    for number in range(8):
        write(
            folder / f"or{number}.vital",
            {
                "Bx50/HR": ("/min", [70.0 + number] * 400, 2.0),
                "Bx50/PEEP": ("hPa", [5.0] * 400, 2.0),  # the profile lists it in cmH2O
                "Solar8000/ETCO2": ("torr", [38.0] * 400, 2.0),
                'Odd "name"\n/T: # x': ("°C", [36.5, 36.7], 60.0),
                "Odd/NONE": ("", [1.0], 2.0),
            },
        )
    return folder


def test_a_filled_in_table_plans_every_recording(ward: Path, tmp_path: Path) -> None:
    table = tmp_path / "clinical.csv"
    found = run_vitalprep("inspect", ward, "--table", table).result
    assert found["table"] == {"file": str(table), "without_row": []}
    lines = table.read_text().splitlines()
    filled = [lines[0], *(line.replace(",,,,,,,,", f",{100 + n},F,50,170,70,,2,") for n, line in enumerate(lines[1:]))]
    table.write_text("\n".join(filled) + "\n")
    planned = run_vitalprep("plan", "--input", ward, "--clinical", table, "--output", tmp_path / "out").result
    assert planned["cases"] == {"requested": 8, "present": 8, "excluded": {}}


def test_the_overlay_uses_what_profiles_list_and_offers_the_rest(ward: Path, tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    assert run_vitalprep("inspect", ward, "--profile-out", file).result["profile_out"] == str(file)
    text = file.read_text()
    assert yaml.safe_load(text) == {
        "schema_version": 1,
        "inputs": [
            {
                "name": "HR",
                "sources": [{"track": "Bx50/HR", "unit": "/min", "limits": [10, 300], "stale_after": 10}],
            }
        ],
    }
    lines = text.splitlines()
    (peep,) = [line for line in lines if "track: Bx50/PEEP" in line]
    assert peep.startswith("# - {track: Bx50/PEEP, unit: mbar, limits: [LOW, HIGH], stale_after: 10}")
    assert "unit in the files: hPa; 3,200 records in 8 of 8 recordings, every 2 s; 5, 90 % within 5" in peep
    (odd,) = [line for line in lines if "T: # x" in line]
    (source,) = yaml.safe_load(odd.removeprefix("# "))
    assert source == {
        "track": 'Odd "name"\n/T: # x', "unit": "°C", "limits": ["LOW", "HIGH"], "stale_after": 180
    }  # fmt: skip
    assert "36.5 to 36.7" in odd
    assert '#   mmHg: [mmHg, "mm Hg", torr]   # Solar8000/ETCO2' in lines
    assert "# Bx50/PEEP is in hPa, not cmH2O: give its source this unit and a conversion" in lines
    again = run_vitalprep("inspect", ward, "--config", file).result
    assert {one["name"]: one["recordings"] for one in again["inputs"] if one["recordings"]} == {"HR": 8}
    assert again["unfed"]["count"] == 0


def test_a_refused_spelling_is_accepted_once_its_line_counts(ward: Path, tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    run_vitalprep("inspect", ward, "--profile-out", file)
    text = file.read_text().replace("# units:\n", "units:\n").replace("#   mmHg:", "  mmHg:")
    file.write_text(text)
    assert load_config(str(file)).units["mmHg"] == ("mmHg", "mm Hg", "torr")


def test_an_overlay_without_entries_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "1.vital", {"Solar8000/HR": ("/min", [70.0], 1.0), "A/B": ("", [1.0], 1.0)})
    file = tmp_path / "ours.yaml"
    run_vitalprep("inspect", tmp_path, "--profile-out", file)
    assert load_config(str(file)) == load_config()


@pytest.mark.parametrize("option", ["--table", "--profile-out", "--html"])
def test_an_existing_file_is_overwritten_only_with_force(ward: Path, tmp_path: Path, option: str) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    answer = run_vitalprep("inspect", ward, option, file)
    assert (answer.exit_code, file.read_text()) == (2, "mine")
    assert "--force" in answer.result["fix"]
    assert run_vitalprep("inspect", ward, option, file, "--force").exit_code == 0
    assert file.read_text() != "mine"


@pytest.mark.parametrize("option", ["--profile-out", "--html"])
def test_two_files_under_one_name_are_refused(ward: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "sub").mkdir()
    answer = run_vitalprep("inspect", ward, "--table", tmp_path / "one", option, tmp_path / "sub" / ".." / "one")
    assert (answer.exit_code, answer.result["message"]) == (2, f"--table and {option} are the same file.")
    assert not (tmp_path / "one").exists()


def test_a_file_that_cannot_be_written_is_refused(ward: Path, tmp_path: Path) -> None:
    answer = run_vitalprep("inspect", ward, "--table", tmp_path / "none" / "t.csv")
    assert (answer.exit_code, answer.result["error"]) == (2, "UsageError")
