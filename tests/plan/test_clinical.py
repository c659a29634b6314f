"""The clinical table: as VitalDB serves it, and as it comes from other hands."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitalprep.contract.config_file import load_config
from vitalprep.plan.clinical import read_clinical_table, settle_statics
from vitalprep.runtime.errors import RefusedError

HEADER = "caseid,subjectid,age,sex,height,weight,bmi,asa\n"


def _row(text: str, case: int = 1):  # type: ignore[no-untyped-def]
    return read_clinical_table(text.encode(), "table.csv", {case})[case]


def _statics(cells: str) -> dict[str, tuple[float, int]]:
    config = load_config()
    statics = settle_statics(_row(f"{HEADER}1,7,{cells}\n"), config)
    names = [static.name for static in config.statics]
    return dict(zip(names, zip(statics.values, statics.origins, strict=True), strict=True))


def test_column_order_bom_extra_columns_and_line_ends_do_not_matter() -> None:
    text = "\ufeffSEX,note,asa,bmi,weight,height,age,subjectid,caseid\r\nF,x,3,22.5,61.2,165,>89,7,1\r\n"
    row = _row(text)
    assert row.subject_id == 7
    assert row.measures == {"sex": -1, "asa": 3, "bmi": 22.5, "weight": 61.2, "height": 165, "age": 89}


def test_what_is_missing_gets_the_default_and_says_so() -> None:
    assert _statics(",,,,,") == {
        "age": (50, 2),
        "sex": (-1, 2),
        "height": (170, 2),
        "weight": (70, 2),
        "bmi": (24.2, 2),
        "asa": (2, 2),
    }


def test_what_is_not_positive_is_missing() -> None:
    statics = _statics("0,M,-1,0,-5,0")
    assert statics["age"] == (0, 0)
    assert statics["sex"] == (1, 0)
    assert [statics[name][1] for name in ("height", "weight", "bmi", "asa")] == [2, 2, 2, 2]


def test_bmi_is_computed_from_what_was_measured() -> None:
    assert _statics("40,M,200,80,,1")["bmi"] == (pytest.approx(20.0), 0)
    assert _statics("40,M,,80,,1")["bmi"] == (24.2, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("caseid,subjectid,age,sex,height,weight,bmi\n", ["'asa'"]),
        (f"{HEADER}1,7,old,M,170,70,24,2\n", ["line 2", "case 1", "age", "'old'"]),
        (f"{HEADER}1,7,40,X,170,70,24,2\n", ["line 2", "sex", "'X'"]),
        (f"{HEADER}1,7,40,M,inf,70,24,2\n", ["height", "'inf'"]),
        (f"{HEADER}1,,40,M,170,70,24,2\n", ["case 1", "subjectid"]),
        (f"{HEADER}one,7,40,M,170,70,24,2\n", ["caseid", "'one'"]),
        (f"{HEADER}../1,7,40,M,170,70,24,2\n", ["caseid", "'../1'"]),
        (f"{HEADER}=1+1,7,40,M,170,70,24,2\n", ["caseid", "'=1+1'"]),
        (f"{HEADER}1_0,7,40,M,170,70,24,2\n", ["caseid", "'1_0'"]),
        (f"{HEADER}\N{ARABIC-INDIC DIGIT ONE},7,40,M,170,70,24,2\n", ["caseid", "no whole number"]),
        (f"{HEADER}1,{2**63},40,M,170,70,24,2\n", ["subjectid", "out of range"]),
        (f"{HEADER}1,7,4_0,M,170,70,24,2\n", ["age", "'4_0'"]),
        (f"{HEADER}1,7,40,M,{'9' * 5000},70,24,2\n", ["height", "9..."]),
        (f"{HEADER}1,7,40,{'M' * 200_000},170,70,24,2\n", ["no CSV", "field larger"]),
        (f"{HEADER}1,7,40,M,170,70,24,2\n1,8,40,M,170,70,24,2\n", ["case 1", "twice", "line 3"]),
    ],
)
def test_what_cannot_be_read_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(RefusedError) as caught:
        _row(text)
    for word in words:
        assert word in caught.value.message


def test_a_binary_file_is_no_table() -> None:
    with pytest.raises(RefusedError, match="not UTF-8"):
        read_clinical_table(b"\xff\xfe\x00", "table.csv", {1})


def test_the_real_table_is_read_whole(shared_data: Path) -> None:
    path = shared_data / "vitaldb_open" / "clinical_data.csv"
    rows = read_clinical_table(path.read_bytes(), str(path), range(1, 7000))
    config = load_config()
    assert len(rows) == 6388
    asa = [static.name for static in config.statics].index("asa")
    assert sum(settle_statics(row, config).origins[asa] == 2 for row in rows.values()) == 133
