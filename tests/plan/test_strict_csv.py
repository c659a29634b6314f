"""The strict reading of tables: what Python's csv reads, and nothing that it reads loosely."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vitalprep.plan.strict_csv import CsvTable
from vitalprep.runtime.errors import RefusedError

KNOWN = ("caseid", "subjectid")
HEADER = "caseid,subjectid,note\n"


def _rows(data: bytes) -> list[tuple[int, dict[str, str]]]:
    return list(CsvTable(data, "t.csv", KNOWN))


def _message(data: bytes) -> str:
    with pytest.raises(RefusedError) as caught:
        _rows(data)
    assert caught.value.fix
    return f"{caught.value}"


TEXT = st.text(st.one_of(st.sampled_from('",;\t\r\n 1a'), st.characters(exclude_categories=["Cs"])), max_size=6)
TABLES = st.integers(1, 4).flatmap(lambda count: st.lists(st.lists(TEXT, min_size=count, max_size=count), max_size=6))


@st.composite
def written_tables(draw: st.DrawFn) -> bytes:
    """A table as a program writes it, with the line ends and marks of any system."""
    rows = draw(TABLES)
    text = io.StringIO(newline="")
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    csv.writer(text, lineterminator=end, quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))).writerows(
        rows
    )
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return (mark + text.getvalue()).encode()


@st.composite
def changed_tables(draw: st.DrawFn) -> bytes:
    """A written table in which some bytes are exchanged, put in or taken out."""
    data = bytearray(draw(written_tables()))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 1))
        data[place : place + gone] = draw(
            st.sampled_from([b"", b'"', b",", b"\n", b"\r", b";", b" ", b"\xe4", b"\0", b"x"])
        )
    return bytes(data)


def _expected(data: bytes) -> list[tuple[int, dict[str, str]]] | None:
    """What csv gives for a table that is right by checks which share nothing with the reader; None if it is not."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if not _quotes_are_well_formed(text):
        return None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found, before = [], 0
    for cells in reader:
        if any(cell.strip() for cell in cells):
            found.append((before + 1, cells))
        before = reader.line_num
    if not found:
        return []
    names = [name.strip().lower() for name in found[0][1]]
    named = [name for name in names if name]
    if len(set(named)) < len(named) or any(len(cells) != len(names) for _, cells in found):
        return None
    return [(line, dict(zip(names, cells, strict=True))) for line, cells in found[1:]]


def _quotes_are_well_formed(text: str) -> bool:
    """RFC 4180 as an automaton of four states, character by character."""
    state = "start"
    for sign in text:
        if state == "quoted":
            state = "closed" if sign == '"' else "quoted"
        elif sign == '"':
            if state == "plain":
                return False
            state = "quoted"
        elif sign in ",\r\n":
            state = "start"
        elif state == "closed":
            return False
        else:
            state = "plain"
    return state != "quoted"


@settings(deadline=None, max_examples=400)
@given(data=changed_tables())
@example(data=b'a,b\n1,"x"y\n')
@example(data=b'a,b\n1,x"y"\n')
@example(data=b'a,b\n1, "y"\n')
@example(data=b'a,b\n1,"y\r\n\r"\r\r\n,\n2,""""')
@example(data=b"\xef\xbb\xbf\n , \r\na,\r1,2")
def test_it_gives_what_csv_gives_or_refuses_with_the_line(data: bytes) -> None:
    expected = _expected(data)
    if expected is None:
        said = re.search(r"t\.csv, line (\d+): ", _message(data))
        assert said
        lines = io.StringIO(data.decode("latin-1"), newline="").readlines()
        assert 1 <= int(said[1]) <= len(lines)
    else:
        assert _rows(data) == expected


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (HEADER + "1,1,a\n2,2,b,\n", 3, ["has 4 cells, the header has 3", "decimal comma", "decimal point (170.5"]),
        (HEADER + "1,1,a\n\n2\n", 4, ["has 1 cell, the header has 3"]),
        (HEADER + "1;1;a\n", 2, ["separated by semicolons", "with commas"]),
        (HEADER + "1,1,a\n2\t2\tb\n", 3, ["separated by tabs"]),
        (HEADER.replace(",", ";") + "1;1;a\n", 1, ["separated by semicolons", "with commas"]),
        (HEADER.replace(",", "\t"), 1, ["separated by tabs"]),
        (HEADER.replace(",", "|"), 1, ["separated by vertical bars"]),
        ("caseid,subjectid;note\n", 1, ["separated by semicolons"]),
        ("sep=;\n" + HEADER.replace(",", ";"), 1, ["separated by semicolons"]),
        ("sep=,\n" + HEADER, 1, ["'sep=,' is a spreadsheet's note", "remove the line"]),
        ('"caseid,subjectid,note"\n"1,1,a"\n', 1, ["one quoted cell"]),
        (
            "\n,,\ncaseid,subjectid, CaseID \n",
            3,
            ["'caseid' is there twice: column 1 is 'caseid' and column 3 is ' CaseID '"],
        ),
        (HEADER + '1,1,a\n2,"2,b\n3,3,c\n', 3, ["the quote that opens in this line is never closed"]),
        (HEADER + '"1\n",1,"a\n2,2,b\n', 3, ["the quote that opens in this line is never closed"]),
        (HEADER + '1,1,"a\n2,2,"b"\n', 3, ["text follows the quote that closes a cell", "opens in line 2"]),
        (HEADER + '1,1,5" tall\n', 2, ["a quote stands inside a cell that does not begin with one: '5\" tall'"]),
        (HEADER + '1,1, "a"\n', 2, ["inside a cell", "any blank before it"]),
        (HEADER + "1,1,a\n2,\0,b\n", 3, ["NUL byte"]),
        (HEADER + f"1,1,{'a' * 200_000}\n", 2, ["more than 131,072 characters"]),
        (HEADER + '1,1,"' + "a\n" * 100_000, 2, ["more than 131,072 characters", "close its quote"]),
        (HEADER + "," * 1_000_000, 2, ["1,000,000 characters or more"]),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_fix(data: str, line: int, words: list[str]) -> None:
    said = _message(data.encode())
    assert said.startswith(f"t.csv, line {line}: ")
    for word in words:
        assert word in said


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_named(code: str) -> None:
    said = _message((HEADER + "1,1,a\n").encode(code))
    assert said.startswith("t.csv, line 1: ")
    assert code[:6].upper() in said or "UTF-16" in said
    assert "CSV UTF-8" in said


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_another_code_page_is_named_with_its_line(end: str) -> None:
    text = f"{HEADER}1,1,a\n" + "\n" * 20_000 + "2,2,Schenkelhals\N{LATIN SMALL LETTER U WITH DIAERESIS}\n"
    data = text.replace("\n", end).encode("latin-1")
    said = _message(data)
    assert said.startswith(
        f"t.csv, line 20003: it is not UTF-8 text (byte {data.index(0xFC)} is 0xfc), but perhaps Latin-1"
    )


def test_columns_without_a_name_may_be_several() -> None:
    data = b"caseid,,subjectid, ,\n1,x,2,y,z\n"
    assert CsvTable(data, "t.csv", KNOWN).columns == KNOWN
    [(line, cells)] = _rows(data)
    assert (line, cells["caseid"], cells["subjectid"]) == (2, "1", "2")


def test_rows_of_separators_and_blanks_are_skipped() -> None:
    data = b"caseid,subjectid\n,\n1,2\n , \t\n\n,,,,\n"
    assert _rows(data) == [(3, {"caseid": "1", "subjectid": "2"})]
