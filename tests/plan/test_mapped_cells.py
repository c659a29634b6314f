"""Cells that say which source applies are known to the configuration, or refused with what is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.plan.clinical import read_clinical_table
from vitalprep.plan.mapped_cells import mapped_columns
from vitalprep.plan.readings import readings_of
from vitalprep.runtime.errors import RefusedError

SOURCE = (
    "{{track: Pump/PUMP{0}_RATE, unit: mL/h, conversion: {{per_kg_h: {{concentration: 20}}}}, limits: [0, 2000], "
    "stale_after: 60, where: {{column: Pump{0}, value: {1}}}}}"
)
OWN = f"""
inputs:
  - name: Propofol_INF
    combine: sum
    sources: [{SOURCE.format(1, "Propofol 2%")}, {SOURCE.format(2, "Propofol 2%")}]
  - {{name: Noradrenalin_INF, sources: [{SOURCE.format(2, "Noradrénaline")}]}}
ignored_cells: [NaCl 0.9%]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return load_config(str(path))


def _cells(config: Config, *rows: str, header: str = "PUMP1,pump2", wanted: tuple[int, ...] = (1,)) -> dict[str, str]:
    lines = [f"caseid,subjectid,age,sex,height,weight,bmi,asa,{header}"]
    lines += [f"{number},{number},50,M,180,80,24.7,2,{row}" for number, row in enumerate(rows, start=1)]
    data = "\n".join(lines).encode()
    return read_clinical_table(data, "t.csv", wanted, readings_of(config), mapped_columns(config))[1].cells


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (" PROPOFOL 2% ,NORADRE\u0301NALINE", {"pump1": "propofol 2%", "pump2": "noradr\u00e9naline"}),
        ("propofol 2%,", {"pump1": "propofol 2%"}),
        ("NaN,nacl 0.9%", {}),
        (",propofol 2%", {"pump2": "propofol 2%"}),
    ],
)
def test_texts_are_compared_without_case_and_blanks(config: Config, row: str, expected: dict[str, str]) -> None:
    assert _cells(config, row) == expected


@pytest.mark.parametrize("cell", ["propofol", "propofol 1%", "propofol  2%", "noradrénaline", "0"])
def test_a_text_that_this_column_does_not_map_is_refused(config: Config, cell: str) -> None:
    with pytest.raises(RefusedError) as refused:
        _cells(config, "propofol 2%,", f"{cell},", wanted=(1, 2))
    message = str(refused.value)
    assert f"t.csv, line 3 (case 2): pump1 {cell!r} is no text that the configuration maps" in message
    assert "inputs.Propofol_INF.sources.Pump/PUMP1_RATE.where reads it" in message
    assert "Known: 'propofol 2%', 'nacl 0.9%'." in message
    assert "ignored_cells" in refused.value.fix


def test_rows_of_other_cases_may_say_anything(config: Config) -> None:
    assert _cells(config, "propofol 2%,", "ketamine,") == {"pump1": "propofol 2%"}


def test_a_table_without_the_column_is_refused(config: Config) -> None:
    with pytest.raises(
        RefusedError, match=r"lacks the column 'pump2', which inputs\.Propofol_INF\.sources\.Pump/PUMP2"
    ):
        _cells(config, "propofol 2%", header="pump1")


def test_nothing_is_read_by_default() -> None:
    assert mapped_columns(load_config()) == ()
    assert _cells(load_config(), "ketamine,") == {}
