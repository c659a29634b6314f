"""Objects by path below one location: what every stage reads and writes through."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError

from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.storage.bucket import Bucket
from vitalprep.storage.folder import Folder
from vitalprep.storage.forks import refuse_fork
from vitalprep.storage.location import normalized_uri
from vitalprep.storage.object_errors import ObjectChanged, ObjectMissing
from vitalprep.storage.retries import Transient
from vitalprep.storage.s3_download import READ_CHUNK, Download, is_md5_of_other
from vitalprep.storage.stream import Arriving

__all__ = ["WRITE_BUFFER", "Storage", "StoredObject", "Writer", "read_uri"]

LISTING_CHUNK = 1000
WRITE_BUFFER = 16 * 1024 * 1024  # what is larger goes to S3 in parts of this size
PARTS_AT_ONCE = 4
SPOOL = 256 * 1024 * 1024  # held in memory until it is uploaded; what is larger lies in TMPDIR

Outcome = TypeVar("Outcome")

_buckets_without_md5: set[str] = set()  # their etags look like MD5s and are none: SSE-KMS


class Writer(Protocol):
    """What `Storage.writer` yields."""

    def write(self, data: bytes, /) -> Any:
        """Append bytes."""


@dataclass(frozen=True)
class StoredObject:
    """One listed object: path below the storage's root, size in bytes, etag as the store gives it, time of writing."""

    path: str
    size: int
    etag: str
    modified: datetime | None = None


def read_uri(uri: str) -> bytes:
    """Return one object named by its whole URI."""
    folder, _, name = normalized_uri(uri).rpartition("/")
    return Storage(folder or "/").get(name)


class Storage:
    """The objects below one storage URI.

    All methods raise `RetryableError` where a retry may help later (S3 or disk trouble, a full disk, a vanished mount)
    and `UsageError` where it cannot (permissions, credentials, a bucket that is not there).

    Parameters
    ----------
    uri : str
        Root of the paths that the methods take.
    create : bool
        Make a local folder that is not there. Without it, a missing folder is a `UsageError`.
    retry_seconds : float, optional
        How long a fault of S3 is retried; 0: not at all. Default: as the environment says, see `Bucket`.
    """

    def __init__(
        self, uri: str | os.PathLike[str], *, create: bool = False, retry_seconds: float | None = None
    ) -> None:
        self.uri = normalized_uri(uri)
        if self.uri.startswith("s3://"):
            self._place: Bucket | Folder = Bucket(self.uri, retry_seconds=retry_seconds)
        else:
            self._place = Folder(self.uri, create=create)
        self._store = self._place.store

    def uri_of(self, path: str) -> str:
        """Return the whole URI of a path below the root."""
        return f"{self.uri.rstrip('/')}/{path}"

    def get(self, path: str, *, etag: str | None = None, size: int | None = None) -> bytes:
        """Return an object's bytes, of which length and, where the etag is one, MD5 are proved.

        Parameters
        ----------
        etag, size : optional
            What the object must have.

        Raises
        ------
        ObjectMissing
            If there is no such object.
        ObjectChanged
            If it has another etag.
        RetryableError
            If another number of bytes arrives, however often it is tried.
        """
        if isinstance(self._place, Folder):
            return self._read_file(path, etag, size)
        before: bytes | None = None

        def attempt() -> bytes:
            nonlocal before
            download = Download(self._store, path, self.uri_of(path), etag=etag, size=size)
            data = b"".join(self._pieces(download, path))
            bucket = self.uri.split("/")[2]
            if bucket in _buckets_without_md5 or not is_md5_of_other(download.etag, data):
                return data
            if data == before:  # twice the same: no fault on the way, but an etag that is no MD5
                _buckets_without_md5.add(bucket)
                return data
            before = data
            wrong = RetryableError(f"Could not read {self.uri_of(path)}: its MD5 is not its etag.", fix="retry.")
            raise Transient(wrong)

        return self._do("read", path, attempt)

    def arriving(self, path: str, *, etag: str | None = None, size: int | None = None) -> Arriving:
        """Begin to read an object, to be used while the rest of it is on its way.

        Raises
        ------
        RetryableError, RefusedError
            As `get`, some of them only while it is read.
        """
        if isinstance(self._place, Folder):
            meta = self._do("read", path, lambda: self._file(path, etag, size))
            return Arriving(self._file_pieces(self._place, path, meta), meta["size"], name=self.uri_of(path))
        download = Download(self._store, path, self.uri_of(path), etag=etag, size=size)
        return Arriving(self._pieces(download, path), self._do("read", path, download.begin), name=self.uri_of(path))

    def head(self, path: str) -> StoredObject | None:
        """Return an object's size and etag, or None if it is not there."""
        try:
            meta = self._do("read", path, lambda: obstore.head(self._store, path))
        except ObjectMissing:
            return None
        return StoredObject(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object at any depth below a path prefix (whole path segments)."""
        pages: Iterator[Any] | None = None
        last: str | None = None

        def page() -> Any:
            nonlocal pages
            going, pages = pages, None  # whatever breaks, the next try begins behind the last page
            if going is None:
                going = obstore.list(self._store, prefix or None, offset=last, chunk_size=LISTING_CHUNK)
            found = next(going, None)
            pages = going
            return found

        while metas := self._do("list", prefix, page):
            for meta in metas:
                yield StoredObject(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])
            last = metas[-1]["path"]

    def put(self, path: str, data: bytes | IO[bytes]) -> None:
        """Write an object whole, of bytes or an open file: readers see the old one or the new one, never a part."""
        self._do("write", path, lambda: self._upload(path, data))

    def create(self, path: str, data: bytes) -> bool:
        """Write an object unless one is there. Return whether this call wrote it, be it with a try that seemed to fail.

        The store decides (`If-None-Match: *`), so of two writers exactly one wins.
        """
        tries = 0

        def attempt() -> bool:
            nonlocal tries
            tries += 1
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                there = self._get_if_there(path)
                if there is None:  # removed again, or in the hands of another writer: S3's 409
                    raise
                return tries > 1 and there == data
            return True

        return self._do("write", path, attempt)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error."""
        for path in paths:
            try:
                self._do("remove", path, lambda path=path: obstore.delete(self._store, path))  # type: ignore[misc]
            except ObjectMissing:
                continue

    @contextmanager
    def writer(self, path: str) -> Iterator[Writer]:
        """Write an object in parts. It appears when the block ends, and not at all if the block raises.

        To S3 it goes when it is whole, so that it can be sent again.
        """
        if isinstance(self._place, Folder):
            with (
                self._place.errors(verb="write", uri=self.uri_of(path)),
                obstore.open_writer(self._store, path, buffer_size=WRITE_BUFFER) as writer,
            ):
                yield writer
            return
        with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool:
            try:
                yield spool
            except OSError as error:
                raise RetryableError(
                    f"Could not keep {self.uri_of(path)} in {tempfile.gettempdir()} for its upload: {error.strerror}.",
                    fix="free space there or set TMPDIR, then run it again: it resumes.",
                ) from error
            self._do("write", path, lambda: self._upload(path, spool))

    def sweep(self, prefix: str, *, of: Callable[[str], bool]) -> int:
        """Remove what killed processes left of unfinished local writes below a prefix; see `Folder.sweep`.

        Unfinished uploads to S3 are for the bucket to sweep, by a lifecycle rule.
        """
        return self._place.sweep(prefix, of=of) if isinstance(self._place, Folder) else 0

    def _do(self, verb: str, path: str, action: Callable[[], Outcome]) -> Outcome:
        refuse_fork()
        try:
            return self._place.do(action, verb=verb, uri=self.uri_of(path))
        except ValueError as error:  # of `obstore`, before it asks
            raise UsageError(
                f"Could not {verb} {self.uri_of(path)!r}: a path has no empty part and none of dots.",
                fix="correct the path.",
            ) from error

    def _read_file(self, path: str, etag: str | None, size: int | None) -> bytes:
        def read() -> bytes:
            answer = obstore.get(self._store, path, options={"if_match": etag} if etag else None)
            data = answer.bytes().to_bytes()
            _refuse_size(len(data), answer.meta["size"] if size is None else size)
            return data

        return self._do("read", path, read)

    def _file(self, path: str, etag: str | None, size: int | None) -> obstore.ObjectMeta:
        options: Any = {"head": True} | ({"if_match": etag} if etag else {})
        meta = obstore.get(self._store, path, options=options).meta
        _refuse_size(meta["size"], meta["size"] if size is None else size)
        return meta

    def _file_pieces(self, folder: Folder, path: str, meta: obstore.ObjectMeta) -> Iterator[bytes]:
        left, uri = meta["size"], self.uri_of(path)
        # Not by `obstore`, which copies each piece twice: that takes three times as long.
        with folder.errors(verb="read", uri=uri), Path(folder.path, path).open("rb", buffering=0) as file:
            while piece := file.read(READ_CHUNK):
                left -= len(piece)
                if left <= 0 and obstore.head(self._store, path)["e_tag"] != meta["e_tag"]:
                    raise ObjectChanged(f"{uri} has changed while it was read.", fix="plan again.")
                yield piece

    def _pieces(self, download: Download, path: str) -> Iterator[memoryview]:
        while (piece := self._do("read", path, download.piece)) is not None:
            yield piece

    def _get_if_there(self, path: str) -> bytes | None:
        try:
            return self.get(path)
        except ObjectMissing:
            return None

    def _upload(self, path: str, data: bytes | IO[bytes]) -> None:
        if not isinstance(data, bytes):
            data.seek(0)
        obstore.put(self._store, path, data, chunk_size=WRITE_BUFFER, max_concurrency=PARTS_AT_ONCE)


def _refuse_size(found: int, wanted: int) -> None:
    if found != wanted:
        raise OSError(f"{found} of {wanted} bytes were read")
