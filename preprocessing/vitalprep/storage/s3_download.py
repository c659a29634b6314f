"""Resumable download of an S3 object. It never mixes bytes of two versions of the object."""

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

__all__ = ["READ_CHUNK", "Download", "is_md5_of_other", "quoted", "same_etag"]

READ_CHUNK = 1024 * 1024
_MD5_ETAG = re.compile(r'"[0-9a-f]{32}"')


class Download:
    """The body of one object, in chunks.

    Parameters
    ----------
    path : str
        Path below the store's prefix.
    name : str
        Name to show in error messages.
    etag, size : optional
        Required etag and size in bytes. By default, those of the first response.

    Attributes
    ----------
    etag, size
        Etag and size in bytes of the object, known after the first chunk.
    """

    def __init__(self, store: ObjectStore, path: str, name: str, *, etag: str | None, size: int | None) -> None:
        self._store = store
        self._path = path
        self._name = name
        self._pieces: Iterator[Any] | None = None
        self._position = 0
        self._demanded = etag is not None
        self.etag = None if etag is None else quoted(etag)
        self.size = size

    def begin(self) -> int:
        """Request the remaining bytes, and return the object's size in bytes.

        Raises
        ------
        Transient
            If the response has another etag, length or range than expected.
        """
        options: Any = {"if_match": self.etag} if self.etag else {}
        if self._position:
            options["range"] = (self._position, self.size)
        try:
            answer = obstore.get(self._store, self._path, options=options)
        except PreconditionError:
            if self._demanded:
                raise
            raise self._mismatch("it changed while it was being read") from None
        size, etag = answer.meta["size"], quoted(answer.meta["e_tag"] or "") or None
        if self.size not in (None, size):
            raise self._mismatch(f"the response gives a size of {size} bytes, expected {self.size}")
        if self.etag not in (None, etag):
            raise self._mismatch(f"the response has etag {etag}, expected {self.etag}")
        if answer.range != (self._position, size):
            raise self._mismatch(f"the response has bytes {answer.range}, expected {(self._position, size)}")
        self.etag = etag
        self.size = size
        self._pieces = iter(answer.stream(min_chunk_size=READ_CHUNK))
        return size

    def piece(self) -> memoryview | None:
        """Return the next chunk, or None after the last. May be called again after an error: it resumes."""
        if self._position and self._position == self.size:
            return None
        if self._pieces is None:
            self.begin()
        assert self._pieces is not None
        pieces, self._pieces = self._pieces, None  # after any error, the next call sends a new request
        piece = next(pieces, None)
        if piece is None:
            if self._position != self.size:
                raise self._mismatch(f"received {self._position} of {self.size} bytes")
            return None
        self._position += len(piece)
        self._pieces = pieces
        return memoryview(piece)

    def _mismatch(self, how: str) -> Transient:
        return Transient(RetryableError(f"Could not read {self._name}: {how}.", fix="run it again: it resumes."))


def quoted(etag: str) -> str:
    """Return an etag in quotes, as S3 writes it: some servers leave them out in listings, or in responses.

    Examples
    --------
    >>> [quoted(etag) for etag in ('"0a"', "0a", "")]
    ['"0a"', '"0a"', '']
    """
    return etag if not etag or '"' in etag else f'"{etag}"'


def same_etag(one: str, other: str) -> bool:
    """Return whether two etags are the same, each with or without its quotes."""
    return quoted(one) == quoted(other)


def is_md5_of_other(etag: str | None, data: bytes) -> bool:
    """Return whether an etag looks like an MD5 but is not the MD5 of the data.

    Not every etag is an MD5: after a multipart upload it has another form; under SSE-KMS it has the same form.
    """
    if etag is None or not _MD5_ETAG.fullmatch(etag):
        return False
    return hashlib.md5(data, usedforsecurity=False).hexdigest() != etag.strip('"')
