"""Reading one object by its URI."""

from __future__ import annotations

from vitalprep.runtime.errors import RefusedError
from vitalprep.storage.location import normalized_uri
from vitalprep.storage.storage import Storage

__all__ = ["read_uri"]

MOST_BYTES = 256 * 10**6  # of an object that is read whole, such as a clinical table


def read_uri(uri: str, *, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of one object, given its full URI.

    Raises
    ------
    ObjectMissing
        If the object does not exist.
    RefusedError
        If it has more than `most` bytes, or is no regular file.
    """
    folder, _, name = normalized_uri(uri).rpartition("/")
    storage = Storage(folder or "/")
    found = storage.head(name)
    if found is not None and found.size > most:
        raise RefusedError(
            f"{storage.uri_of(name)} has {found.size / 1e6:,.1f} MB; at most {most / 1e6:g} MB are read.",
            fix="leave out what is not needed, or check the location.",
        )
    return storage.get(name)
