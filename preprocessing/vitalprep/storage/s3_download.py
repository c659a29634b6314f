"""An S3 object's body in pieces, going on after a fault where it stopped, and never with bytes of another object."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import PreconditionError

from vitalprep.runtime.errors import RetryableError
from vitalprep.storage.retries import Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import ObjectStore

__all__ = ["READ_CHUNK", "Download", "is_md5_of_other"]

READ_CHUNK = 1024 * 1024
_MD5_ETAG = re.compile(r'"[0-9a-f]{32}"')


class Download:
    """The body of one object.

    Parameters
    ----------
    path : str
        Below the store's prefix.
    name : str
        What to call it in an error.
    etag, size : optional
        What the object must have; without, the first answer settles it.

    Attributes
    ----------
    etag, size
        Of the object, after the first piece.
    """

    def __init__(self, store: ObjectStore, path: str, name: str, *, etag: str | None, size: int | None) -> None:
        self._store = store
        self._path = path
        self._name = name
        self._pieces: Iterator[Any] | None = None
        self._position = 0
        self._demanded = etag is not None
        self.etag = etag
        self.size = size

    def begin(self) -> int:
        """Ask for what has not come yet, and return the object's size.

        Raises
        ------
        Transient
            If the answer is about other bytes: another etag, length or range.
        """
        options: Any = {"if_match": self.etag} if self.etag else {}
        if self._position:
            options["range"] = (self._position, self.size)
        try:
            answer = obstore.get(self._store, self._path, options=options)
        except PreconditionError:
            if self._demanded:
                raise
            raise self._disagrees("it changed while it was read") from None
        size, etag = answer.meta["size"], answer.meta["e_tag"]
        if self.size not in (None, size):
            raise self._disagrees(f"the answer is about {size} bytes, the object has {self.size}")
        if self.etag not in (None, etag):
            raise self._disagrees(f"the answer has the etag {etag}, asked for was {self.etag}")
        if answer.range != (self._position, size):
            raise self._disagrees(f"bytes {answer.range} came, asked for were {(self._position, size)}")
        self.etag = etag
        self.size = size
        self._pieces = iter(answer.stream(min_chunk_size=READ_CHUNK))
        return size

    def piece(self) -> memoryview | None:
        """Return the next piece, or None after the last. After an error it may be called again."""
        if self._position and self._position == self.size:
            return None
        if self._pieces is None:
            self.begin()
        assert self._pieces is not None
        pieces, self._pieces = self._pieces, None  # whatever breaks, the next call asks anew
        piece = next(pieces, None)
        if piece is None:
            if self._position != self.size:
                raise self._disagrees(f"{self._position} of {self.size} bytes arrived")
            return None
        self._position += len(piece)
        self._pieces = pieces
        return memoryview(piece)

    def _disagrees(self, how: str) -> Transient:
        return Transient(RetryableError(f"Could not read {self._name}: {how}.", fix="run it again: it resumes."))


def is_md5_of_other(etag: str | None, data: bytes) -> bool:
    """Return whether an etag that looks like an MD5 is not the data's.

    The etag of an object that came in parts is none, and looks so; one under SSE-KMS is none, and looks like one.
    """
    if etag is None or not _MD5_ETAG.fullmatch(etag):
        return False
    return hashlib.md5(data, usedforsecurity=False).hexdigest() != etag.strip('"')
