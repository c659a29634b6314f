"""Which recordings an input holds, which of them are read, and which have no case number yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from vitalprep.contract.case_list import HIGHEST_CASE
from vitalprep.contract.left_out import LeftOut, Reason
from vitalprep.plan.listing import digits_of, hidden_by, list_input, why_dangling
from vitalprep.plan.make_plan import CLINICAL_TABLE
from vitalprep.plan.recordings import assigned, bounded
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage, StoredObject

__all__ = ["Contents", "contents_of", "number_of", "spread"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Contents:
    """The recordings of an input, with or without a case number.

    Attributes
    ----------
    files : tuple of StoredObject
        Those that can be read, by path.
    unreadable : dict
        What is wrong with those that cannot be read as a file, by path.
    unnamed : tuple of str
        Paths of those whose name is no case number.
    left_out : tuple of LeftOut
        Recordings that do not count for their name or place.
    problem : RefusedError or None
        Why the recordings could not be planned without a column `file`, besides names that are no case numbers.
    clinical : bool
        Whether the input has its clinical table.
    """

    files: tuple[StoredObject, ...]
    unreadable: dict[str, str]
    unnamed: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    problem: RefusedError | None
    clinical: bool


def contents_of(storage: Storage) -> Contents:
    """List an input.

    Raises
    ------
    RefusedError
        If it holds no recording.
    """
    listing = list_input(storage)
    left_out: dict[Reason, list[str]] = {"odd_key": list(listing.odd_keys)}
    files, unreadable = [], {}
    for path in sorted(listing.recordings.keys() | listing.unreadable.keys()):
        if reason := hidden_by(path):
            left_out.setdefault(reason, []).append(path)
        elif path in listing.unreadable:
            unreadable[path] = listing.unreadable[path]
        else:
            files.append(listing.recordings[path])
    for path in sorted(listing.dangling):
        left_out.setdefault(why_dangling(path), []).append(path)
    problem = None
    try:
        found = assigned(listing, {})
    except RefusedError as error:
        problem = error
    else:
        if not files and not unreadable:
            found.refuse_none()
    clinical = storage.head(CLINICAL_TABLE, optional=True) is not None
    unnamed = tuple(file.path for file in files if number_of(file.path) is None)
    return Contents(tuple(files), unreadable, unnamed, bounded(left_out), problem, clinical)


def number_of(path: str) -> int | None:
    """Return the case number that a recording's name is, or None."""
    digits = (digits_of(path) or "").lstrip("0")
    return int(digits) if digits and len(digits) <= len(str(HIGHEST_CASE)) else None


def spread(items: Sequence[Item], most: int | None) -> list[Item]:
    """Return at most that many items, evenly spread from the first to the last; all of them for None.

    Examples
    --------
    >>> spread("abcdefghi", 3)
    ['a', 'e', 'i']
    """
    if most is None or len(items) <= most:
        return list(items)
    return [items[index * (len(items) - 1) // max(1, most - 1)] for index in range(most)]
