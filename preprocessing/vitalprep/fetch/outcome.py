"""What a fetch came to, in words: which cases are not there or have no row, and what can be done about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vitalprep.contract.case_list import short_case_list
from vitalprep.fetch.recording import Fetched
from vitalprep.plan.clinical import clinical_rows
from vitalprep.runtime.errors import RefusedError, RetryableError

__all__ = ["Rows", "refuse_incomplete", "rows_of"]

MOST_NAMED = 5

_SAID = {
    "failed": "Did not come:",
    "denied": "The service refuses",
    "missing": "The service does not have",
    "refused": "What came is no recording:",
}


@dataclass(frozen=True)
class Rows:
    """What a clinical table says of the cases that were asked for.

    Attributes
    ----------
    uri : str
        Of the table.
    missing : tuple of int
        Cases without a row.
    unreadable : tuple of str
        What is wrong with the rows that planning would refuse, each with its place.
    """

    uri: str
    missing: tuple[int, ...]
    unreadable: tuple[str, ...]


def rows_of(table: bytes, uri: str, cases: tuple[int, ...]) -> Rows:
    """Look for the cases' rows in a clinical table.

    Raises
    ------
    RefusedError
        If it is no such table.
    """
    there: set[int | None] = set()
    unreadable = []
    for case_id, row in clinical_rows(table, uri, frozenset(cases)):
        there.add(case_id)
        if isinstance(row, RefusedError):
            unreadable.append(row.message.removeprefix(f"{uri}, ").rstrip("."))
    return Rows(uri, tuple(case for case in cases if case not in there), tuple(unreadable))


def refuse_incomplete(cases: tuple[int, ...], outcomes: Mapping[int, Fetched], rows: Rows) -> None:
    """Name what is not there of what was asked for, if anything is not.

    Raises
    ------
    RetryableError
        If cases did not come for faults that outlasted the retries.
    RefusedError
        If a retry cannot help: the service does not have some, what it has is no recording, or rows are missing.
    """
    of: defaultdict[str, list[int]] = defaultdict(list)
    for case in cases:
        of[outcomes[case].outcome if case in outcomes else "not asked"].append(case)
    come = len(of["there"]) + len(of["fetched"])
    if come == len(cases) and not (rows.missing or rows.unreadable):
        return
    message = " ".join([f"{come} of {len(cases)} recordings are there.", *_parts(of, outcomes), *_said_of(rows)])
    if of["failed"]:
        raise RetryableError(message, fix="run it again: it resumes; if it stays, check the network and the service.")
    raise RefusedError(message, fix=_mend(of, rows, come))


def _parts(of: Mapping[str, list[int]], outcomes: Mapping[int, Fetched]) -> Iterator[str]:
    for name, what in _SAID.items():
        if of[name]:
            yield f"{what} {short_case_list(of[name])} ({outcomes[of[name][0]].detail.rstrip('.')})."
    if of["not asked"]:
        yield f"After so many in a row, {short_case_list(of['not asked'])} were not asked for."


def _said_of(rows: Rows) -> Iterator[str]:
    if rows.missing:
        yield f"Without a row in {rows.uri}: {short_case_list(rows.missing)}."
    if rows.unreadable:
        more = f" (and {len(rows.unreadable) - MOST_NAMED} more)" if len(rows.unreadable) > MOST_NAMED else ""
        yield f"Rows in {rows.uri} that cannot be read: {'; '.join(rows.unreadable[:MOST_NAMED])}{more}."


def _mend(of: Mapping[str, list[int]], rows: Rows, come: int) -> str:
    """Say what can be done; that the others are there only if there are any."""
    parts = []
    if of["denied"]:
        parts.append("see whether the service lets you in (--base-url, a proxy, its terms), and run it again")
    if of["missing"] or of["refused"]:
        parts.append("leave the cases that it does not have out of --cases")
    if rows.unreadable:
        parts.append(f"correct it in {rows.uri}")
    if rows.missing:
        parts.append(f"add the missing rows to {rows.uri}, or leave these cases out")
    left_out = any(of[name] for name in ("denied", "missing", "refused", "not asked"))
    return "; ".join(parts) + ("; the others are there." if come and left_out else ".")
