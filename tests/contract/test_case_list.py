"""Case lists as people write them."""

from __future__ import annotations

import tracemalloc

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
        ("1-99999999", "'1-99999999' has 99,999,999 cases; at most 1,000,000"),
        ("2-1000002", "'2-1000002' has 1,000,001 cases"),
        ("1-600000,700000-1200000", "it has 1,100,001 cases; at most 1,000,000"),
        ("9" * 1_000_000, "999..."),
        ("0" * 1_000_000, "000..."),
        ("x" * 1_000_000, "xxx..."),
        ("1-" + "9" * 1_000_000, "1-999"),
    ],
)
def test_a_bad_token_is_named(spec: str, token: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_case_list(spec)
    assert token in caught.value.message
    assert len(caught.value.message) < 1000
    assert caught.value.fix


def test_a_long_list_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        cases = parse_case_list("1-500000,400000-1000000,0007")
        assert (len(cases), 1 in cases, 1_000_000 in cases, 1_000_001 in cases, "7" in cases) == (
            1_000_000, True, True, False, False,
        )  # fmt: skip
        assert sum(1 for _ in cases) == 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@given(st.sets(st.integers(1, 9999), min_size=1))
def test_short_lists_read_back(cases: set[int]) -> None:
    found = parse_case_list(short_case_list(sorted(cases)))
    assert list(found) == sorted(cases)
    assert len(found) == len(cases)
    assert all((case in found) == (case in cases) for case in range(min(cases) - 1, max(cases) + 2))
