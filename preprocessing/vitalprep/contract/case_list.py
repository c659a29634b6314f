"""Case lists such as ``1-10,17,0022``."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.printable import shortened

__all__ = ["HIGHEST_CASE", "MOST_CASES", "CaseList", "parse_case_list", "short_case_list"]

_TOKEN = re.compile(r"(\d+)(?:\s*-\s*(\d+))?", re.ASCII)
HIGHEST_CASE = 99_999_999
MOST_CASES = 1_000_000  # VitalDB has 6,388
LONGEST_SHOWN = 200
_FIX = "use VitalDB case numbers; leave the list out for all recordings of the input."


class CaseList(Collection[int]):
    """Ascending case numbers, each once, stored as ranges.

    Parameters
    ----------
    ranges : iterable of range
        In any order; they may overlap.
    """

    def __init__(self, ranges: Iterable[range]) -> None:
        self._ranges: list[range] = []
        for following in sorted(ranges, key=lambda item: item.start):
            last = self._ranges[-1] if self._ranges else None
            if last and following.start <= last.stop:
                self._ranges[-1] = range(last.start, max(last.stop, following.stop))
            else:
                self._ranges.append(following)
        self._starts = [item.start for item in self._ranges]
        self._count = sum(map(len, self._ranges))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._ranges)

    def __contains__(self, case: object) -> bool:
        if not isinstance(case, int):
            return False
        index = bisect_right(self._starts, case) - 1
        return index >= 0 and case in self._ranges[index]


def parse_case_list(spec: str) -> CaseList:
    """Return the case numbers of a list.

    Parameters
    ----------
    spec : str
        Numbers and ranges separated by commas; spaces and zero padding are allowed, duplicates collapse.

    Raises
    ------
    UsageError
        If a token is not a case number or range (``a``, ``1--2``, empty), a range is descending, a number is outside
        1 to 99,999,999, or the list has more than 1,000,000 cases. The message names the token.

    Examples
    --------
    >>> list(parse_case_list("1-3, 17,0022,2"))
    [1, 2, 3, 17, 22]
    """
    cases = CaseList(_range_of(token.strip(), spec) for token in spec.split(","))
    if len(cases) > MOST_CASES:
        raise UsageError(f"{_named(spec)}: it has {len(cases):,} cases; at most {MOST_CASES:,} are possible.", fix=_FIX)
    return cases


def short_case_list(cases: Iterable[int]) -> str:
    """Return ascending case numbers as a list with ranges, the inverse of `parse_case_list`.

    Examples
    --------
    >>> short_case_list((1, 2, 3, 17, 22))
    '1-3,17,22'
    """
    runs: list[list[int]] = []
    for case in cases:
        if runs and case == runs[-1][1] + 1:
            runs[-1][1] = case
        else:
            runs.append([case, case])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _range_of(token: str, spec: str) -> range:
    match = _TOKEN.fullmatch(token)
    shown = repr(shortened(token, LONGEST_SHOWN))
    if match is None:
        what = f"{shown} is not a case number or range" if token else "an entry is empty"
        raise UsageError(f"{_named(spec)}: {what}.", fix="use a list such as 1-10,17,0022.")
    first, last = _number(match[1]), _number(match[2] or match[1])
    if first is None or last is None or first < 1:
        raise UsageError(f"{_named(spec)}: {shown} is outside 1-{HIGHEST_CASE}.", fix="use VitalDB case numbers.")
    if first > last:
        raise UsageError(f"{_named(spec)}: the range {shown} is descending.", fix=f"use {last}-{first}.")
    if last - first >= MOST_CASES:
        raise UsageError(
            f"{_named(spec)}: {shown} has {last - first + 1:,} cases; at most {MOST_CASES:,} are possible.", fix=_FIX
        )
    return range(first, last + 1)


def _number(digits: str) -> int | None:
    """Return a number up to `HIGHEST_CASE`, or None. `int` refuses numbers of thousands of digits."""
    significant = digits.lstrip("0") or "0"
    if len(significant) > len(str(HIGHEST_CASE)):
        return None
    return int(significant)


def _named(spec: str) -> str:
    return f"Case list {shortened(spec, LONGEST_SHOWN)!r}"
