"""Case lists such as ``1-10,17,0022``."""

from __future__ import annotations

import re

from vitalprep.runtime.errors import UsageError

__all__ = ["HIGHEST_CASE", "parse_case_list", "short_case_list"]

_TOKEN = re.compile(r"(\d+)(?:\s*-\s*(\d+))?", re.ASCII)
HIGHEST_CASE = 99_999_999


def parse_case_list(spec: str) -> tuple[int, ...]:
    """Return the case numbers of a list, ascending and each once.

    Parameters
    ----------
    spec : str
        Numbers and ranges separated by commas; spaces and zero padding are allowed, duplicates collapse.

    Raises
    ------
    UsageError
        If a token is not a case number or range (``a``, ``1--2``, empty), a range is descending, or a number is outside
        1 to 99,999,999. The message names the token.

    Examples
    --------
    >>> parse_case_list("1-3, 17,0022,2")
    (1, 2, 3, 17, 22)
    """
    cases: set[int] = set()
    for token in spec.split(","):
        cases.update(_range_of(token.strip(), spec))
    return tuple(sorted(cases))


def short_case_list(cases: list[int] | tuple[int, ...]) -> str:
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
    if match is None:
        what = f"{token!r} is not a case number or range" if token else "an entry is empty"
        raise UsageError(f"Case list {spec!r}: {what}.", fix="use a list such as 1-10,17,0022.")
    first = int(match[1])
    last = int(match[2] or match[1])
    if first > last:
        raise UsageError(f"Case list {spec!r}: the range {token!r} is descending.", fix=f"use {last}-{first}.")
    if first < 1 or last > HIGHEST_CASE:
        raise UsageError(f"Case list {spec!r}: {token!r} is outside 1-{HIGHEST_CASE}.", fix="use VitalDB case numbers.")
    return range(first, last + 1)
