"""Which recordings lie in an input location."""

from __future__ import annotations

from preprocessing.errors import RefusedError
from preprocessing.storage import Storage, StoredObject

__all__ = ["find_recordings"]


def find_recordings(storage: Storage) -> dict[int, StoredObject]:
    """List every ``*.vital`` at any depth whose stem is digits, by case number.

    Raises
    ------
    RefusedError
        If there is none, or a case is there twice (``1.vital`` and ``0001.vital``).
    """
    found: dict[int, StoredObject] = {}
    for stored in storage.list():
        stem, dot, ending = stored.path.rpartition("/")[2].rpartition(".")
        if not dot or ending.lower() != "vital" or not (stem.isascii() and stem.isdigit()):
            continue
        case_id = int(stem)
        if case_id in found:
            raise RefusedError(
                f"{storage.uri} holds case {case_id} twice: {found[case_id].path} and {stored.path}.",
                mend="remove one of them, or give the folder that holds the right one.",
            )
        found[case_id] = stored
    if not found:
        raise RefusedError(
            f"{storage.uri} holds no recording.",
            mend="give the folder or bucket prefix that holds files such as 0001.vital.",
        )
    return dict(sorted(found.items()))
