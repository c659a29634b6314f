"""Lists the recordings of an input location."""

from __future__ import annotations

from vitalprep.contract.case_list import HIGHEST_CASE
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage, StoredObject

__all__ = ["find_recordings", "recordings_there"]


def find_recordings(storage: Storage) -> dict[int, StoredObject]:
    """List every ``*.vital`` at any depth whose stem is digits, by case number.

    Raises
    ------
    RefusedError
        If there is none, a case is there twice (``1.vital`` and ``0001.vital``), or a number is no case's.
    """
    found = recordings_there(storage)
    if not found:
        raise RefusedError(
            f"{storage.uri} holds no recording.",
            fix="give the folder or bucket prefix that holds files such as 0001.vital.",
        )
    return found


def recordings_there(storage: Storage) -> dict[int, StoredObject]:
    """List recordings as `find_recordings` does; an empty input gives an empty mapping."""
    found: dict[int, StoredObject] = {}
    for stored in storage.list():
        stem, dot, ending = stored.path.rpartition("/")[2].rpartition(".")
        if not dot or ending.lower() != "vital" or not (stem.isascii() and stem.isdigit()):
            continue
        if len(stem.lstrip("0")) > len(str(HIGHEST_CASE)):
            raise RefusedError(
                f"{storage.uri_of(stored.path)} has a case number above {HIGHEST_CASE}.",
                fix="rename it, or move it out of the input.",
            )
        case_id = int(stem)
        if case_id in found:
            raise RefusedError(
                f"{storage.uri} holds case {case_id} twice: {found[case_id].path} and {stored.path}.",
                fix="remove one of them, or give the folder that holds the right one.",
            )
        found[case_id] = stored
    return dict(sorted(found.items()))
