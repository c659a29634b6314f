"""Limits of the clinical table's columns, and columns in another unit."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from vitalprep.contract.config_file import load_config
from vitalprep.plan.clinical import read_clinical_table, settle_statics
from vitalprep.plan.make_plan import PlanRequest
from vitalprep.plan.units import refuse_wrong_units
from vitalprep.run.plan_run import plan_run
from vitalprep.runtime.errors import RefusedError

HEADER = "caseid,subjectid,age,sex,height,weight,bmi,asa\n"
RIGHT = {"age": "50", "height": "170", "weight": "70", "bmi": "", "asa": "2"}
CONFIG = load_config()


def _rows(changed: dict[str, list[str]], total: int):  # type: ignore[no-untyped-def]
    """Read a table of `total` cases; the first ones have other cells in the changed columns."""
    lines = [HEADER]
    for case in range(1, total + 1):
        cells = RIGHT | {name: values[case - 1] for name, values in changed.items() if case <= len(values)}
        lines.append(
            f"{case},{case},{cells['age']},M,{cells['height']},{cells['weight']},{cells['bmi']},{cells['asa']}\n"
        )
    return read_clinical_table("".join(lines).encode(), "t.csv", range(1, total + 1))


@pytest.mark.parametrize(
    ("column", "within", "outside"),
    [
        ("age", ["0", "120", ">89"], ["120.1", "1960"]),
        ("height", ["30", "250"], ["29.9", "250.1", "1.7"]),
        ("weight", ["0.3", "400"], ["0.29", "400.1", "70000"]),
        ("bmi", ["5", "100"], ["4.9", "100.1"]),
    ],
)
def test_the_default_statics_have_limits(column: str, within: list[str], outside: list[str]) -> None:
    index = [item.name for item in CONFIG.statics].index(column)
    for cell in (*within, *outside):
        settled = settle_statics(_rows({column: [cell]}, 1)[1], CONFIG)
        assert (column in settled.outside_limits) is (cell in outside)
        if cell in outside:
            assert (settled.values[index], settled.origins[index]) == (CONFIG.statics[index].default, 2)


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        (
            "height",
            ["1.70", "1.8", "1.65"],
            ["case 1 1.7, case 2 1.8, case 3 1.65", "it looks like metres or feet.", "30 to 250 cm"],
        ),
        ("height", ["1700", "1810", "655"], ["it looks like millimetres."]),
        ("height", ["5.6", "6.1", "5.9"], ["it looks like feet"]),
        ("height", ["20", "21.5", "18"], ["it looks like inches"]),
        ("weight", ["70000", "810", "3200"], ["column weight", "0.3 to 400 kg", "it looks like grams"]),
        ("weight", ["450", "520", "480"], ["column weight", "it looks like pounds or grams."]),
        ("age", ["600", "1200", "130"], ["column age", "0 to 120 years", "it looks like months or days"]),
        ("age", ["20000", "1200", "130"], ["it looks like days."]),
        ("age", ["1951", "2011", "1970"], ["it looks like years of birth"]),
        ("bmi", ["0.00242", "0.0031", "0.002"], ["column bmi", "it looks like kg/cm2"]),
        ("height", ["1.70", "25000", "3"], ["case 3 3)."]),
    ],
)
def test_a_column_in_another_unit_is_refused_with_what_it_looks_like(
    column: str, cells: list[str], words: list[str]
) -> None:
    with pytest.raises(RefusedError) as caught:
        refuse_wrong_units(_rows({column: cells}, 8), CONFIG)
    said = caught.value.message
    for word in (*words, f"column {column} is not in", "3 of 8 cases"):
        assert word in said
    assert f"convert the column {column} to" in caught.value.fix
    assert f"statics.{column}.limits" in caught.value.fix


@pytest.mark.parametrize(("outside", "total", "refused"), [(2, 2, False), (3, 3, True), (3, 60, False), (3, 59, True)])
def test_more_than_five_percent_and_at_least_three_cases(outside: int, total: int, refused: bool) -> None:
    rows = _rows({"weight": ["70000"] * outside}, total)
    if refused:
        with pytest.raises(RefusedError, match=f"{outside} of {total} cases"):
            refuse_wrong_units(rows, CONFIG)
    else:
        refuse_wrong_units(rows, CONFIG)


def test_a_computed_bmi_is_judged_like_one_of_the_table() -> None:
    with pytest.raises(RefusedError) as caught:
        refuse_wrong_units(_rows({"height": ["67", "70", "64"]}, 8), CONFIG)
    assert "bmi (computed from height and weight) is not in kg/m2: 3 of 8 cases" in caught.value.message
    assert "(case 1 155.937, case 2 142.857, case 3 170.898); it looks like a height in inches" in caught.value.message
    assert "convert height to cm and weight to kg" in caught.value.fix


def test_a_column_of_one_s_own_is_judged_too_and_one_without_limits_is_not() -> None:
    rows = _rows({"asa": ["20", "30", "40"]}, 8)
    refuse_wrong_units(rows, CONFIG)
    with pytest.raises(RefusedError, match="column asa is not in 1: 3 of 8 cases"):
        refuse_wrong_units(rows, load_config(None, ["statics.asa.limits=[1, 6]"]))


def _with_cells(recordings: Path, folder: Path, column: str, cell: str, count: int) -> Path:
    table = folder / "table.csv"
    header, *rows = (recordings / "clinical_data.csv").read_text(encoding="utf-8-sig").splitlines()
    index = header.split(",").index(column)
    changed = [row.split(",") for row in rows]
    for cells in changed[:count]:
        cells[index] = cell
    table.write_text("\n".join([header, *(",".join(cells) for cells in changed)]) + "\n")
    return table


def test_planning_refuses_the_column_and_writes_nothing(recordings: Path, tmp_path: Path) -> None:
    table = _with_cells(recordings, tmp_path, "height", "1.7", 3)
    with pytest.raises(RefusedError, match="column height is not in cm: 3 of"):
        plan_run(PlanRequest(input=str(recordings), config=CONFIG, clinical=str(table)), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_planning_names_the_cases_of_a_few_values_outside(
    recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = _with_cells(recordings, tmp_path, "height", "1.7", 1)
    with caplog.at_level(logging.WARNING):
        plan_run(PlanRequest(input=str(recordings), config=CONFIG, clinical=str(table)), str(tmp_path / "out"))
    assert "statics.height.limits [30, 250] drop the value of column height in 1 of" in caplog.text


def test_planning_warns_of_recordings_without_a_row(
    recordings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "table.csv"
    shutil.copy(recordings / "clinical_data.csv", table)
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    gone = sorted(int(line.split(",")[lines[0].split(",").index("caseid")]) for line in lines[-2:])
    table.write_text("\n".join(lines[:-2]) + "\n")
    with caplog.at_level(logging.WARNING):
        planned = plan_run(
            PlanRequest(input=str(recordings), config=CONFIG, clinical=str(table)), str(tmp_path / "out")
        )
    total = len(planned.plan.cases) + 2
    [said] = [record.getMessage() for record in caplog.records if "have no row" in record.getMessage()]
    assert f"2 of {total} cases with a recording have no row in the clinical table" in said
    assert f"{gone[0]}" in said.rpartition(":")[2]
