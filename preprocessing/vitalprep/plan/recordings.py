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
        If there is none, a case is there twice (``1.vital`` and ``0001.vital``), a number is no case's, or a recording
        cannot be read as a file, for example because it is a pipe.
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
    for path, wrong in storage.odd_files().items():
        if _digits_of(path):
            raise RefusedError(
                f"The recording {storage.uri_of(path)} {wrong}.",
                fix="replace it by a copy of its content, or remove it.",
            )
    found: dict[int, StoredObject] = {}
    for stored in storage.list():
        stem = _digits_of(stored.path)
        if stem is None:
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


def _digits_of(path: str) -> str | None:
    """Return the digits in a recording's name, or None if the name is no recording's."""
    stem, dot, ending = path.rpartition("/")[2].rpartition(".")
    return stem if dot and ending.lower() == "vital" and stem.isascii() and stem.isdigit() else None
