"""Whether a store refuses to create what exists, which keeps two workers from replacing each other's results."""

from __future__ import annotations

import obstore
from obstore.exceptions import AlreadyExistsError

from vitalprep.storage.storage import Storage

__all__ = ["honours_create_only"]

TRIES = 3  # another process may remove the object in between


def honours_create_only(storage: Storage, path: str) -> bool:
    """Create an object again and again until the store refuses, and remove it.

    Unlike `Storage.create`, it needs no right to read.

    Returns
    -------
    bool
        False if the store created it each time.
    """

    def create() -> bool:
        try:
            obstore.put(storage._store, path, b"", mode="create")
        except AlreadyExistsError:
            return False
        return True

    is_refused = any(not storage._do("write", path, create) for _ in range(1 + TRIES))
    storage.delete([path])
    return is_refused
