"""The clinical table: as VitalDB serves it, and as it comes from other hands."""

from __future__ import annotations

import csv
import io
import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.reference import design4
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.plan import Person, settled_body
from vitalprep.features.normalize import normalize
from vitalprep.plan.clinical import Statics, read_clinical_table, settle_statics
from vitalprep.plan.readings import readings_of
from vitalprep.runtime.errors import RefusedError, UsageError

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
        (f"{HEADER}1,7,40,{'M' * 200_000},170,70,24,2\n", ["line 2", "more than 131,072 characters"]),
        (f"{HEADER}1,7,40,M,170,70,24,2\n1,8,40,M,170,70,24,2\n", ["case 1", "twice", "line 3"]),
    ],
)
def test_what_cannot_be_read_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(RefusedError) as caught:
        _row(text)
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("cell", "files"),
    [
        ("", ()),
        (" ", ()),
        ("NA", ()),
        ("OR1_230401_081500.vital", ("OR1_230401_081500.vital",)),
        (" a/1.vital ; b/2 (copy).vital", ("a/1.vital", "b/2 (copy).vital")),
        ("b.vital;a.vital;b.vital", ("b.vital", "a.vital", "b.vital")),
        ("..a.vital;a..vital", ("..a.vital", "a..vital")),
    ],
)
def test_the_column_file_names_the_recordings_of_a_case(cell: str, files: tuple[str, ...]) -> None:
    assert _row(f"File,{HEADER}{cell},1,7,40,M,170,70,24,2\n").files == files
    assert _row(f"{HEADER}1,7,40,M,170,70,24,2\n").files == ()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("a.vital;", "'a.vital;' has an empty path before or after a semicolon"),
        ("a.vital; ;b.vital", "'a.vital; ;b.vital' has an empty path"),
        (";", "';' has an empty path"),
        ("/data/a.vital", "'/data/a.vital' is not relative to the input"),
        ("C:/data/a.vital", "'C:/data/a.vital' is not relative"),
        ("s3://bucket/a.vital", "'s3://bucket/a.vital' is not relative"),
        (r"a\b.vital", "has a backslash"),
        ("a.vital;b/../../c.vital", r"'b/../../c.vital' has a step . or .."),
        ("./a.vital", r"'./a.vital' has a step"),
    ],
)
def test_a_path_that_cannot_be_below_the_input_is_refused(cell: str, words: str) -> None:
    with pytest.raises(RefusedError) as caught:
        _row(f"{HEADER.strip()},file\n1,7,40,M,170,70,24,2,{cell}\n")
    assert words in caught.value.message
    assert "table.csv, line 2 (case 1): file " in caught.value.message


def test_the_column_of_the_recordings_is_no_static() -> None:
    with pytest.raises(UsageError, match="the column file says where the recordings are"):
        load_config(None, ["statics.part={column: File, unit: '1', range: [0, 1], default: 0}"])


def test_a_row_of_another_case_is_held_to_its_form_and_not_to_its_values() -> None:
    assert _row(f"{HEADER}2,x,old,?,,,,\n1,7,40,M,170,70,24,2\n").subject_id == 7
    with pytest.raises(RefusedError, match=r"table\.csv, line 2: the row has 9 cells, the header has 8"):
        _row(f"{HEADER}2,8,40,M,170,5,70,24,2\n1,7,40,M,170,70,24,2\n")
    with pytest.raises(RefusedError, match=r"line 3: the quote that opens in this line is never closed"):
        _row(f'{HEADER}1,7,40,M,170,70,24,2\n2,8,"40,M,170,70,24,2\n')


def test_the_line_is_that_of_the_file_where_the_row_starts() -> None:
    text = f'note,{HEADER}\n,,\n"two\r\nlines",2,8,40,M,170,70,24,2\n"and\nthree\n",1,7,old,M,170,70,24,2\n'
    with pytest.raises(RefusedError, match=r"table\.csv, line 6 \(case 1\): age 'old'"):
        _row(text.replace("\n,,\n", "\n,,,,,,,,\n"))


@pytest.mark.parametrize("column", ["age", "height", "weight", "bmi", "asa"])
@pytest.mark.parametrize("cell", ["1e308", "3.5e38", "1e-38", "1e-200", "5e-324"])
def test_a_number_that_no_record_can_hold_is_missing(column: str, cell: str) -> None:
    cells = {"age": "40", "height": "170", "weight": "70", "bmi": "24", "asa": "2"} | {column: cell}
    row = _row(f"caseid,subjectid,sex,{','.join(cells)}\n1,7,M,{','.join(cells.values())}\n")
    assert row.measures[column] is None
    config = load_config()
    found = settle_statics(row, config)
    index = [static.name for static in config.statics].index(column)
    assert found.origins[index] == (0 if column == "bmi" else 2), "the bmi is computed from height and weight"


@pytest.mark.parametrize(("height", "weight"), [("1e-38", "70"), ("1.2e-38", "3e38"), ("3e38", "1.2e-38")])
def test_a_bmi_that_no_record_can_hold_is_missing(height: str, weight: str) -> None:
    config = load_config()
    found = settle_statics(_row(f"{HEADER}1,7,40,M,{height},{weight},,2\n"), config)
    index = [static.name for static in config.statics].index("bmi")
    assert (found.values[index], found.origins[index] == 2) in [(24.2, True), (70 / 1.7**2, False)]


def test_a_table_is_read_row_by_row() -> None:
    row = b"9,7,40,M,170,70,24,2\n"
    data = HEADER.encode() + row * (4_000_000 // len(row)) + b"1,7,40,M,170,70,24,2\n"
    tracemalloc.start()
    try:
        assert list(read_clinical_table(data, "table.csv", {1})) == [1]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000, "the table has 4 MB"
    finally:
        tracemalloc.stop()


def test_a_table_of_too_many_rows_or_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vitalprep.plan.clinical.MOST_ROWS", 3)
    row, other = "1,7,40,M,170,70,24,2\n", "2,,,,,,,\n"
    assert _row(HEADER + row + other * 2)
    with pytest.raises(RefusedError, match=r"table\.csv, line 5: the table has more than 3 rows"):
        _row(HEADER + row + other * 3)
    monkeypatch.setattr("vitalprep.plan.clinical.MOST_BYTES", 50)
    with pytest.raises(RefusedError, match=r"table\.csv has more than 5e-05 MB"):
        _row(HEADER + row)


def test_the_real_table_is_read_whole(shared_data: Path) -> None:
    path = shared_data / "vitaldb_open" / "clinical_data.csv"
    rows = read_clinical_table(path.read_bytes(), str(path), range(1, 7000))
    config = load_config()
    assert len(rows) == 6388
    asa = [static.name for static in config.statics].index("asa")
    assert sum(settle_statics(row, config).origins[asa] == 2 for row in rows.values()) == 133


HB = "{unit: g/dL, limits: [2, 25], range: [5, 20], default: 13}"
NUMBER = load_config(None, [f"statics.hb={HB}"])


def _config(tmp_path: Path, **changed: object) -> Config:
    """Return the default configuration with other sections, as a file of one's own gives it whole."""
    path = tmp_path / "whole.yaml"
    path.write_text(yaml.safe_dump(load_config().content() | changed))
    return load_config(str(path))


def _settled(text: str, config: Config) -> Statics:
    return settle_statics(read_clinical_table(text.encode(), "table.csv", {1}, readings_of(config))[1], config)


def _last(cell: str, config: Config) -> Statics:
    """Settle a case whose row ends in one more cell, of the column of the last static."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*HEADER.strip().split(","), config.statics[-1].table_column])
    writer.writerow([1, 7, 40, "M", 170, 70, 24, 2, cell])
    return _settled(text.getvalue(), config)


CELLS = st.one_of(
    st.text("0123456789.+-eE_ >,", max_size=8),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6),
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(
        ["", "NaN", "NA", "na ", "inf", "-Infinity", "1e39", "1e400", "0x10", "\N{ARABIC-INDIC DIGIT ONE}"]
    ),
)


@settings(deadline=None)
@given(
    cell=CELLS,
    limits=st.one_of(st.none(), st.tuples(st.integers(-50, 10), st.integers(11, 60))),
    default=st.floats(-100, 100),
)
@example(cell="2", limits=(2, 25), default=13.0)
@example(cell="25.0000001", limits=(2, 25), default=13.0)
@example(cell="-0", limits=None, default=13.0)
def test_a_number_of_any_column_is_what_the_specification_says(
    cell: str, limits: tuple[int, int] | None, default: float
) -> None:
    config = NUMBER.model_copy(
        update={
            "statics": (
                *NUMBER.statics[:-1],
                NUMBER.statics[-1].model_copy(update={"limits": limits, "default": default}),
            )
        }
    )
    static = config.statics[-1]
    try:
        value, origin, counted = design4.numeric_static(cell, limits=limits, value_range=static.range, default=default)
    except design4.NotANumber:
        with pytest.raises(RefusedError, match="case 1"):
            _last(cell, config)
        return
    found = _last(cell, config)
    assert float(normalize(found.values[-1], static.range)) == pytest.approx(value, abs=1e-6)
    assert found.origins[-1] == origin
    assert found.outside_limits == (("hb",) if counted else ())
    assert found.origins[:-1] == (0,) * 6, "the others stay as they are"


@settings(deadline=None)
@given(cell=CELLS)
def test_the_six_statics_are_read_as_ever(cell: str) -> None:
    """A number above 0, which for the age may be 0 or begin with >; all other numbers are missing."""
    for column in ("age", "height", "weight", "bmi", "asa"):
        cells = dict.fromkeys(("age", "height", "weight", "bmi", "asa"), "") | {column: cell}
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["caseid", "subjectid", "sex", *cells])
        writer.writerow([1, 7, "M", *cells.values()])
        written = cell.strip()
        number = written.removeprefix(">") if column == "age" else written
        try:
            expected = design4.number_in_cell(number)
            if expected is None and number != written:
                raise design4.NotANumber(cell)  # > and no number
        except design4.NotANumber:
            if "e" in cell.lower():
                continue  # too large, which is missing, or no number, which is refused
            with pytest.raises(RefusedError, match=column):
                _row(text.getvalue())
            continue
        if expected is not None and (expected < 0 or (expected == 0 and column != "age")):
            expected = None
        if expected and expected < 1.17549435e-38:
            expected = None  # no normal float32
        assert _row(text.getvalue()).measures[column] == expected


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("low", ["table.csv, line 2 (case 1): hb 'low' is no number; statics.hb reads it"]),
        (">12", ["'>12'"]),
        ("1_0", ["'1_0'"]),
        ("1e39", ["'1e39' is too large"]),
    ],
)
def test_what_is_no_number_is_named_with_its_place_and_key(cell: str, words: list[str]) -> None:
    with pytest.raises(RefusedError) as caught:
        _last(cell, NUMBER)
    for word in words:
        assert word in caught.value.message
    assert caught.value.fix == "correct the cell, or leave it empty."


@pytest.mark.parametrize("cell", ["12,5", "-0,5", "1,234.5", ">89,5"])
def test_a_quoted_decimal_comma_is_named(cell: str) -> None:
    with pytest.raises(
        RefusedError, match=r"has a decimal comma, or one between thousands; statics\.hb reads it"
    ) as caught:
        _last(cell, NUMBER)
    assert caught.value.fix == "write a decimal point, and no separator of thousands (170.5)."


def test_a_column_is_found_without_regard_to_case_and_may_have_another_name() -> None:
    config = load_config(None, ["statics.hb={column: Preop_HB, unit: g/dL, range: [5, 20], default: 13}"])
    header = HEADER.strip() + ", PREOP_hb \n"
    assert _settled(f"{header}1,7,40,M,170,70,24,2,-3\n", config).values[-1] == -3, "a value, without limits"


def test_a_column_of_the_six_keeps_its_meaning_under_another_name() -> None:
    old = load_config(None, ["statics.old={column: age, unit: years, range: [60, 90], default: 60}"])
    assert _settled(f"{HEADER}1,7,>89,M,170,70,24,2\n", old).values[-1] == 89
    man = load_config(None, ['statics.man={column: sex, unit: "1", range: [-1, 1], default: -1}'])
    assert _settled(f"{HEADER}1,7,40,M,170,70,24,2\n", man).values[-1] == 1


def test_the_weight_of_doses_is_the_static_s_whatever_its_column() -> None:
    config = load_config(None, ["statics.weight.column=kg"])
    text = HEADER.replace("weight", "kg") + "1,7,40,M,170,81,24,2\n"
    found = _settled(text, config)
    assert settled_body(found.values, found.body, config) == {"height": 170, "sex": 1, "weight": 81}


def test_limits_hold_for_the_six_too_and_for_what_follows_from_them() -> None:
    config = load_config(None, ["statics.height.limits=[30, 250]", "statics.bmi.limits=[5, 100]"])
    row = "1,7,40,M,1.7,70,{},2\n"
    found = _settled(HEADER + row.format(""), config)
    assert (found.values[2], found.values[4]) == (170, 24.2)
    assert found.origins == (0, 0, 2, 0, 2, 0)
    assert found.outside_limits == ("height",)
    assert settled_body(found.values, found.body, config)["height"] == 170
    assert _settled(HEADER + row.format("224"), config).outside_limits == ("height", "bmi")
    computed = load_config(None, ["statics.height.limits=[1, 250]", "statics.bmi.limits=[5, 100]"])
    found = _settled(HEADER + row.format(""), computed)
    assert (found.values[4], found.origins[4], found.outside_limits) == (24.2, 2, ("bmi",))
    assert _settled(f"{HEADER}1,7,40,M,170,70,224,2\n", computed).origins[4] == 2, "dropped, not computed instead"


@pytest.mark.parametrize(
    ("without", "words", "fix"),
    [
        (["asa"], ["table.csv lacks the column 'asa', which statics.asa reads."], "statics.asa.column"),
        (["hb"], ["'hb', which statics.hb reads"], "statics.hb.column"),
        (["asa", "bmi"], ["columns 'bmi', which statics.bmi reads; 'asa', which statics.asa reads"], "statics.bmi"),
        (["caseid"], ["lacks the column 'caseid'"], "caseid, subjectid"),
        (["subjectid", "asa"], ["lacks the column 'subjectid'"], "caseid, subjectid"),
    ],
)
def test_a_table_without_a_configured_column_is_refused(without: list[str], words: list[str], fix: str) -> None:
    columns = [name for name in [*HEADER.strip().split(","), "hb"] if name not in without]
    with pytest.raises(RefusedError) as caught:
        read_clinical_table((",".join(columns) + "\n").encode(), "table.csv", {1}, readings_of(NUMBER))
    for word in words:
        assert word in caught.value.message
    assert fix in caught.value.fix


def test_a_table_needs_no_column_that_nothing_configured_reads(tmp_path: Path) -> None:
    default = load_config().content()
    statics = [item for item in default["statics"] if item["name"] in ("age", "sex")]
    body = {"height": 171, "weight": 72}
    config = _config(tmp_path, statics=statics, body=body)
    with pytest.raises(RefusedError, match=r"'weight', which inputs\.Propofol_INF\.sources\.Orchestra/PPF20_RATE"):
        _settled("caseid,subjectid,sex,age,height\n1,7,M,40,180\n", config)
    found = _settled("caseid,subjectid,sex,age,height,weight\n1,7,M,40,180,\n", config)
    assert found == Statics((40, 1), (0, 0), (), Person(height=180))
    assert settled_body(found.values, found.body, config) == {"height": 180, "sex": 1, "weight": 72}

    unweighted = [item for item in default["inputs"] if item["name"] != "TV" and not item["name"].endswith("_INF")]
    targets = [{"name": "PEEP", "input": "PEEP"}]
    config = _config(tmp_path, statics=statics, body=body, inputs=unweighted, targets=targets)
    found = _settled("caseid,subjectid,sex,age\n1,7,M,40\n", config)
    assert found == Statics((40, 1), (0, 0), (), Person())
    assert settled_body(found.values, found.body, config) == {"height": 171, "sex": 1, "weight": 72}


def test_age_is_read_where_it_is_no_static(tmp_path: Path) -> None:
    statics = [item for item in load_config().content()["statics"] if item["name"] != "age"]
    config = _config(tmp_path, statics=statics)
    assert _settled(f"{HEADER}1,7,>89,M,170,70,24,2\n", config).body == Person(age=89)
    assert _settled("caseid,subjectid,sex,height,weight,bmi,asa\n1,7,M,170,70,24,2\n", config).body == Person()


def test_a_cell_that_nothing_configured_reads_is_not_known_rather_than_refused(tmp_path: Path) -> None:
    statics = [item for item in load_config().content()["statics"] if item["name"] != "age"]
    config = _config(tmp_path, statics=statics)
    assert _settled(f"{HEADER}1,7,forty,M,170,70,24,2\n", config).body == Person()
    config = _config(tmp_path, statics=[item for item in statics if item["name"] != "sex"], body={"sex": -1})
    with pytest.raises(RefusedError, match=r"sex '1' is neither M nor F; inputs\.TV\.sources\.Solar8000/VENT_TV"):
        _settled(f"{HEADER}1,7,40,1,170,70,24,2\n", config)
