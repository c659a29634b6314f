"""Which recording belongs to which case: by the clinical table's column `file`, else by the digits of its name."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vitalprep.contract.case_list import HIGHEST_CASE
from vitalprep.contract.left_out import MOST_NAMES, SHOWN, WHY, LeftOut, Reason, short_path
from vitalprep.plan.listing import Listing, digits_of, hidden_by, list_input, why_dangling
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage, StoredObject

__all__ = ["Recordings", "assigned", "bounded", "described", "find_recordings", "recordings_there"]

Files = tuple[StoredObject, ...]


@dataclass(frozen=True)
class Recordings:
    """The recordings of an input.

    Attributes
    ----------
    uri : str
        Of the input.
    by_case : mapping
        Each case's files, in order.
    missing : mapping
        For each case that a cell or a link names, but lacks: the paths that are not there.
    left_out : tuple of LeftOut
        The recordings that no case uses.
    dangling : frozenset of str
        Links that lead nowhere; the missing paths are among them, or are not there at all.
    """

    uri: str
    by_case: Mapping[int, Files]
    missing: Mapping[int, tuple[str, ...]]
    left_out: tuple[LeftOut, ...]
    dangling: frozenset[str] = frozenset()

    @property
    def cases(self) -> set[int]:
        """The cases that are there or named."""
        return self.by_case.keys() | self.missing.keys()

    def refuse_none(self) -> None:
        """Raise `RefusedError` if there is no recording of any case."""
        if self.cases:
            return
        for one in self.left_out:
            if one.reason == "no_case_number":
                there = "1 recording is there, but its name is no case number"
                if one.count > 1:
                    there = f"{one.count} recordings are there, but their names are no case numbers"
                raise RefusedError(
                    f"{there}: {one.shown} in {self.uri}.",
                    fix="add a column file to the clinical table, which says each case's path below the input (columns "
                    f"caseid,file; a row: 1,{short_path(one.names[0])}; `vitalprep inspect INPUT --table FILE` writes "
                    "such a table), or rename them to their case number (0001.vital).",
                )
        raise RefusedError(
            f"{self.uri} holds no recording{self._left_out_beside()}.",
            fix="give the folder or bucket prefix that holds files such as 0001.vital.",
        )

    def warn(self, requested: Collection[int]) -> None:
        """Log what is left out, and what the requested cases lack."""
        for one in self.left_out:
            log(
                f"left out: {one.described}",
                level=logging.WARNING,
                reason=one.reason,
                left_out=one.count,
            )
        for case in self.missing:
            if case in requested:
                log(
                    f"case {case} is excluded, raw_object_missing: {self._lacks(case)}",
                    level=logging.WARNING,
                    case_id=case,
                )

    def lacking(self, requested: Collection[int]) -> str:
        """Return what some cases lack, of those that a cell or a link names: the first ones in one phrase, or none."""
        cases = [case for case in self.missing if case in requested]
        more = f"; and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
        return "; ".join(f"case {case}: {self._lacks(case)}" for case in cases[:SHOWN]) + more

    def _lacks(self, case: int) -> str:
        return ", ".join(
            f"{short_path(path)} is {'a link that leads nowhere' if path in self.dangling else 'not there'}"
            for path in self.missing[case]
        )

    def _left_out_beside(self) -> str:
        return f", only such as are left out: {described(self.left_out)}" if self.left_out else ""


def find_recordings(storage: Storage, cells: Mapping[int, tuple[str, ...]] | None = None) -> Recordings:
    """List an input, and say which recording belongs to which case; `cells` are those of the column `file`.

    Raises
    ------
    RefusedError
        If there is none, a case is there twice (``1.vital`` and ``0001.vital``), a file is named twice or is another
        case's by its name, a number is no case's, or a recording cannot be read as a file, for example a pipe.
    """
    found = assigned(list_input(storage), cells or {})
    found.refuse_none()
    return found


def recordings_there(storage: Storage) -> dict[int, StoredObject]:
    """List the recordings whose names are case numbers, by case; an empty input gives an empty mapping."""
    return {case: files[0] for case, files in assigned(list_input(storage), {}).by_case.items()}


def assigned(listing: Listing, cells: Mapping[int, tuple[str, ...]]) -> Recordings:
    """Say which recording belongs to which case; see `find_recordings`."""
    named = {case: paths for case, paths in cells.items() if paths}
    case_of = _case_of(named)
    _refuse_taken(case_of, cells)
    missing = {
        case: absent
        for case, paths in named.items()
        if (
            absent := tuple(path for path in paths if path not in listing.recordings and path not in listing.unreadable)
        )
    }
    for path in listing.unreadable:
        if path in case_of or (hidden_by(path) is None and _is_number(path)):
            _refuse_unreadable(listing, path)
    found: dict[int, Files] = {
        case: tuple(listing.recordings[path] for path in paths) for case, paths in named.items() if case not in missing
    }
    left_out: dict[Reason, list[str]] = {}
    for path in sorted(listing.recordings.keys() | listing.unreadable.keys()):
        if path in case_of:
            continue
        reason = hidden_by(path) or (None if _is_number(path) else "no_case_number")
        case = _case_number(listing, path) if reason is None else 0
        if reason is None and case in named:
            reason = "other_file"
        if reason is not None:
            left_out.setdefault(reason, []).append(path)
            continue
        _refuse_twice(listing, case, found, path)
        found[case] = (listing.recordings[path],)
    for path in sorted(listing.dangling):
        left_out.setdefault(why_dangling(path), []).append(path)
        case = _case_number(listing, path) if hidden_by(path) is None and _is_number(path) else 0
        if case and path not in case_of and case not in found and case not in named:
            missing[case] = (*missing.get(case, ()), path)
    if listing.odd_keys:
        left_out["odd_key"] = sorted(listing.odd_keys)
    return Recordings(
        uri=listing.uri,
        by_case=dict(sorted(found.items())),
        missing=dict(sorted(missing.items())),
        left_out=bounded(left_out),
        dangling=listing.dangling,
    )


def described(left_out: tuple[LeftOut, ...]) -> str:
    """Return what is left out in one phrase."""
    return "; ".join(one.described for one in left_out)


def bounded(left_out: Mapping[Reason, Sequence[str]]) -> tuple[LeftOut, ...]:
    """Return how many recordings are left out for each reason, and the first of their paths."""
    return tuple(
        LeftOut(reason=reason, count=len(names), names=tuple(names[:MOST_NAMES]))
        for reason in WHY
        if (names := left_out.get(reason))
    )


def _case_of(named: Mapping[int, tuple[str, ...]]) -> dict[str, int]:
    """Return the case that names each path."""
    found: dict[str, int] = {}
    for case, paths in named.items():
        for path in paths:
            if path in found:
                whose = f"case {case} twice" if found[path] == case else f"case {found[path]} and case {case}"
                raise RefusedError(
                    f"The column file names {short_path(path)} for {whose}.",
                    fix="name each recording once in the clinical table.",
                )
            found[path] = case
    return found


def _refuse_taken(case_of: Mapping[str, int], cells: Mapping[int, tuple[str, ...]]) -> None:
    """Refuse a recording that a cell names for a case, and its own digits for another one whose cell is empty."""
    for path, case in case_of.items():
        digits = (digits_of(path) or "").lstrip("0")
        if not digits or hidden_by(path) is not None or len(digits) > len(str(HIGHEST_CASE)):
            continue
        own = int(digits)
        if own == case or cells.get(own) != ():
            continue
        raise RefusedError(
            f"The column file names {short_path(path)} for case {case}, and by its name it is the recording of case "
            f"{own}, whose cell is empty.",
            fix=f"correct the cell of case {case}, or name the recording of case {own} in its own cell.",
        )


def _is_number(path: str) -> bool:
    return digits_of(path) is not None


def _case_number(listing: Listing, path: str) -> int:
    digits = (digits_of(path) or "").lstrip("0")
    if len(digits) > len(str(HIGHEST_CASE)):
        raise RefusedError(
            f"{listing.uri.rstrip('/')}/{path} has a case number above {HIGHEST_CASE}.",
            fix="rename it, name it in the clinical table's column file, or move it out of the input.",
        )
    return int(digits or "0")


def _refuse_twice(listing: Listing, case: int, found: Mapping[int, Files], path: str) -> None:
    if case in found:
        raise RefusedError(
            f"{listing.uri} holds case {case} twice: {found[case][0].path} and {path}.",
            fix="remove one of them, give the folder that holds the right one, or name the right ones in the clinical "
            "table's column file.",
        )


def _refuse_unreadable(listing: Listing, path: str) -> None:
    raise RefusedError(
        f"The recording {listing.uri.rstrip('/')}/{path} {listing.unreadable[path]}.",
        fix="replace it by a copy of its content, or remove it.",
    )
