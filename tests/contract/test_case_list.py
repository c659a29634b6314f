"""Case lists as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalprep.contract.case_list import parse_case_list, short_case_list
from vitalprep.runtime.errors import UsageError


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("1-100", list(range(1, 101))),
        ("1,5,10", [1, 5, 10]),
        ("1-10,17,0022", [*range(1, 11), 17, 22]),
        ("1-5,10-15,20,25,30-35", [*range(1, 6), *range(10, 16), 20, 25, *range(30, 36)]),
        ("1-1,5,10-10", [1, 5, 10]),
        (" 3 , 1 - 2,3,0003 ", [1, 2, 3]),
        ("1-3000", list(range(1, 3001))),
    ],
)
def test_a_list_is_read(spec: str, expected: list[int]) -> None:
    assert list(parse_case_list(spec)) == expected


@pytest.mark.parametrize(
    ("spec", "token"),
    [
        ("5-3", "5-3"),
        ("1,a", "'a'"),
        ("1--2", "'1--2'"),
        ("", "an entry is empty"),
        ("1,,2", "an entry is empty"),
        ("1,2,", "an entry is empty"),
        ("-4", "'-4'"),
        ("1-2-3", "'1-2-3'"),
        ("1.5", "'1.5'"),
        ("0", "'0'"),
        ("1-99999999999", "'1-99999999999'"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "\N{ARABIC-INDIC DIGIT ONE}"),
    ],
)
def test_a_bad_token_is_named(spec: str, token: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_case_list(spec)
    assert token in caught.value.message
    assert caught.value.fix


@given(st.sets(st.integers(1, 9999), min_size=1))
def test_short_lists_read_back(cases: set[int]) -> None:
    assert set(parse_case_list(short_case_list(sorted(cases)))) == cases
