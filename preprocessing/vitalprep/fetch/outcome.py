"""Error messages of an incomplete fetch: which cases or rows are missing, and how to fix it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from vitalprep.contract.case_list import short_case_list
from vitalprep.fetch.recording import Fetched
from vitalprep.plan.clinical import clinical_rows
from vitalprep.runtime.errors import RefusedError, RetryableError

__all__ = ["Rows", "refuse_incomplete", "rows_of"]

MOST_NAMED = 5

_PROBLEMS = {
    "failed": "Failed to download",
    "denied": "The service denies access to",
    "missing": "The service does not have",
    "refused": "Not a valid recording:",
}


@dataclass(frozen=True)
class Rows:
    """The rows of the requested cases in a clinical table.

    Attributes
    ----------
    uri : str
        URI of the table.
    missing : tuple of int
        Cases without a row.
    unreadable : tuple of str
        For each row that planning would refuse, the problem and its line.
    """

    uri: str
    missing: tuple[int, ...]
    unreadable: tuple[str, ...]


def rows_of(table: bytes, uri: str, cases: Collection[int]) -> Rows:
    """Find the rows of some cases in a clinical table.

    Raises
    ------
    RefusedError
        If the bytes are not a clinical table.
    """
    there: set[int | None] = set()
    unreadable = []
    for case_id, row in clinical_rows(table, uri, cases):
        there.add(case_id)
        if isinstance(row, RefusedError):
            unreadable.append(row.message.removeprefix(f"{uri}, ").rstrip("."))
    return Rows(uri, tuple(case for case in cases if case not in there), tuple(unreadable))


def refuse_incomplete(cases: Collection[int], outcomes: Mapping[int, Fetched], rows: Rows) -> None:
    """Raise an error that names every missing recording and row, if any.

    Raises
    ------
    RetryableError
        If downloads failed after all retries.
    RefusedError
        If a retry cannot help: the service does not have some cases or denies access, a download is not a valid
        recording, or rows are missing or invalid.
    """
    of: defaultdict[str, list[int]] = defaultdict(list)
    for case in cases:
        of[outcomes[case].outcome if case in outcomes else "not asked"].append(case)
    present = len(of["present"]) + len(of["fetched"])
    if present == len(cases) and not (rows.missing or rows.unreadable):
        return
    message = " ".join(
        [f"{present} of {len(cases)} recordings are present.", *_case_problems(of, outcomes), *_row_problems(rows)]
    )
    if of["failed"]:
        raise RetryableError(
            message, fix="run it again: it resumes; if the error persists, check the network and the service."
        )
    raise RefusedError(message, fix=_fix(of, rows, present))


def _case_problems(of: Mapping[str, list[int]], outcomes: Mapping[int, Fetched]) -> Iterator[str]:
    for name, what in _PROBLEMS.items():
        if of[name]:
            yield f"{what} {short_case_list(of[name])} ({outcomes[of[name][0]].detail.rstrip('.')})."
    if of["not asked"]:
        yield f"After too many consecutive failures, {short_case_list(of['not asked'])} were not requested."


def _row_problems(rows: Rows) -> Iterator[str]:
    if rows.missing:
        yield f"Cases without a row in {rows.uri}: {short_case_list(rows.missing)}."
    if rows.unreadable:
        more = f" (and {len(rows.unreadable) - MOST_NAMED} more)" if len(rows.unreadable) > MOST_NAMED else ""
        yield f"Invalid rows in {rows.uri}: {'; '.join(rows.unreadable[:MOST_NAMED])}{more}."


def _fix(of: Mapping[str, list[int]], rows: Rows, present: int) -> str:
    parts = []
    if of["denied"]:
        parts.append("check your access to the service (--base-url, proxy, terms of use) and run it again")
    if of["missing"] or of["refused"]:
        parts.append("remove the unavailable cases from --cases")
    if rows.unreadable:
        parts.append(f"correct the rows in {rows.uri}")
    if rows.missing:
        parts.append(f"add the missing rows to {rows.uri}, or remove these cases from --cases")
    left_out = any(of[name] for name in ("denied", "missing", "refused", "not asked"))
    return "; ".join(parts) + ("; the other recordings are present." if present and left_out else ".")
