"""The storage API of every stage: objects by path below one location."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError

from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.storage.bucket import Bucket
from vitalprep.storage.each_object import EachObject
from vitalprep.storage.folder import STAGED, Folder, has_odd_name
from vitalprep.storage.forks import refuse_fork
from vitalprep.storage.local_reads import file_bytes, file_meta, file_pieces
from vitalprep.storage.location import normalized_uri
from vitalprep.storage.object_errors import AccessDenied, ObjectMissing, missing
from vitalprep.storage.retries import Transient
from vitalprep.storage.s3_download import Download, is_md5_of_other, quoted
from vitalprep.storage.stream import Arriving

__all__ = ["WRITE_BUFFER", "Storage", "StoredObject", "Writer"]

WRITE_BUFFER = 16 * 1024 * 1024  # larger objects go to S3 as multipart uploads with parts of this size
PARTS_AT_ONCE = 4
SPOOL = 256 * 1024 * 1024  # buffered in memory until the upload; larger objects are buffered in TMPDIR

Outcome = TypeVar("Outcome")

_buckets_without_md5: set[str] = set()  # SSE-KMS: etags look like MD5s, but are not


class Writer(Protocol):
    """Sequential writer, as `Storage.writer` yields it."""

    def write(self, data: bytes, /) -> Any:
        """Append bytes."""


@dataclass(frozen=True)
class StoredObject:
    """One listed object: path below the storage's root, size in bytes, etag, time of the last write."""

    path: str
    size: int
    etag: str
    modified: datetime | None = None


class Storage:
    """The objects below one storage URI.

    All methods raise `RetryableError` if a later retry may help (S3 or disk fault, full disk, lost mount), and
    `UsageError` if it cannot (permissions, credentials, missing bucket).

    Parameters
    ----------
    uri : str
        Root of the paths that the methods take.
    create : bool
        Create a missing local folder. If false, a missing folder is a `UsageError`.
    retry_seconds : float, optional
        How long to retry an S3 fault, in seconds; 0 disables retries. The default comes from the environment, see
        `Bucket`.
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
        """Return the full URI of a path below the root."""
        return f"{self.uri.rstrip('/')}/{path}"

    def get(self, path: str, *, etag: str | None = None, size: int | None = None) -> bytes:
        """Return an object's bytes, after checking their length and, if the etag is an MD5, their MD5.

        Parameters
        ----------
        etag, size : optional
            Required etag and size in bytes.

        Raises
        ------
        ObjectMissing
            If the object does not exist.
        ObjectChanged
            If its etag differs from `etag`.
        RetryableError
            If length or MD5 are wrong in every attempt.
        """
        if isinstance(self._place, Folder):
            self._refuse_odd(path)
            return self._do("read", path, lambda: file_bytes(self._store, path, etag, size))
        before: bytes | None = None

        def attempt() -> bytes:
            nonlocal before
            download = Download(self._store, path, self.uri_of(path), etag=etag, size=size)
            data = b"".join(self._pieces(download, path))
            bucket = self.uri.split("/")[2]
            if bucket in _buckets_without_md5 or not is_md5_of_other(download.etag, data):
                return data
            if data == before:  # the same bytes twice: no transfer fault, so the etag is not an MD5
                _buckets_without_md5.add(bucket)
                return data
            before = data
            wrong = RetryableError(
                f"Could not read {self.uri_of(path)}: the MD5 of the bytes received differs from the etag.",
                fix="run it again: it resumes.",
            )
            raise Transient(wrong)

        return self._read(path, attempt)

    def arriving(
        self, path: str, *, etag: str | None = None, size: int | None = None, hashed: bool = False
    ) -> Arriving:
        """Open an object for sequential reading while it is still downloading.

        Parameters
        ----------
        etag, size : optional
            Required etag and size in bytes.
        hashed : bool
            Whether `Arriving.sha256` will be asked for.

        Raises
        ------
        RetryableError, RefusedError
            As `get`. Some are raised only while the stream is read.
        """
        if isinstance(self._place, Folder):
            self._refuse_odd(path)
            meta = self._do("read", path, lambda: file_meta(self._store, path, etag, size))
            pieces = file_pieces(self._place, path, meta)
            return Arriving(pieces, meta["size"], name=self.uri_of(path), hashed=hashed)
        download = Download(self._store, path, self.uri_of(path), etag=etag, size=size)
        total = self._read(path, download.begin)
        return Arriving(self._pieces(download, path), total, name=self.uri_of(path), hashed=hashed)

    def get_or_none(self, path: str) -> bytes | None:
        """Return an object's bytes as `get` does, or None if it does not exist."""
        try:
            return self.get(path)
        except ObjectMissing:
            return None

    def head(self, path: str, *, optional: bool = False) -> StoredObject | None:
        """Return an object's size and etag, or None if it does not exist.

        Parameters
        ----------
        optional : bool
            Where these credentials may neither read nor list, take the object as one that does not exist, and log it.
        """
        self._refuse_odd(path)
        try:
            meta = self._do("read", path, lambda: obstore.head(self._store, path))
        except ObjectMissing:
            return None
        except AccessDenied as error:
            listed = self._is_listed(path)
            if listed or (listed is None and not optional):
                raise
            if listed is None:
                log(f"{self.uri_of(path)} counts as absent: {error.message}", level=logging.WARNING, key=path)
            return None
        return self._stored(meta)

    def list(self, prefix: str = "", *, odd: MutableSequence[str] | None = None) -> Iterator[StoredObject]:
        """Yield every object below a prefix, recursively. The prefix matches whole path segments.

        A local file whose modification time cannot be read has an empty etag and no time. Local files of `odd_names`
        are not listed.

        Parameters
        ----------
        odd : list of str, optional
            Takes the keys of S3 that have an empty, '.' or '..' segment, see `EachObject`. By default they are refused.
        """
        if isinstance(self._place, Folder) and self._place.is_odd(prefix):
            yield from self._list_oddities(self._place, prefix)
            return
        yield from map(self._stored, EachObject(self._store, self._do, odd).below(prefix))

    def odd_files(self, prefix: str = "") -> dict[str, str]:
        """Return what below a prefix cannot be read, by path, and why: local pipes, devices, times out of range."""
        return self._place.odd_files(prefix) if isinstance(self._place, Folder) else {}

    def odd_names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the paths below a prefix that no method takes: local names with control characters, or no UTF-8."""
        return self._place.odd_names(prefix) if isinstance(self._place, Folder) else ()

    def dangling_links(self, prefix: str = "") -> tuple[str, ...]:
        """Return the paths below a prefix that are local links that lead nowhere."""
        return self._place.dangling_links(prefix) if isinstance(self._place, Folder) else ()

    def put(self, path: str, data: bytes | IO[bytes]) -> None:
        """Write an object atomically from bytes or an open file: readers see the old object or the new one."""
        self._do("write", path, lambda: self._upload(path, data))

    def create(self, path: str, data: bytes) -> bool:
        """Create an object unless it exists. Return whether this call created it.

        The store decides (`If-None-Match: *`), so exactly one of two concurrent writers wins. If an attempt of this
        call succeeded although it reported an error, the result is True as well.
        """
        tries = 0

        def attempt() -> bool:
            nonlocal tries
            tries += 1
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                stored = self.get_or_none(path)
                if stored is None:  # deleted meanwhile, or another writer is active (S3's 409)
                    raise
                return tries > 1 and stored == data
            return True

        return self._do("write", path, attempt)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects. A missing object is not an error."""
        for path in paths:
            try:
                self._do("remove", path, lambda path=path: obstore.delete(self._store, path))  # type: ignore[misc]
            except ObjectMissing:
                continue

    @contextmanager
    def writer(self, path: str) -> Iterator[Writer]:
        """Write an object sequentially. It appears when the block ends; if the block raises, it does not appear.

        For S3, the object is buffered and uploaded at the end, so that the upload can be retried.
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
                    f"Could not buffer {self.uri_of(path)} in {tempfile.gettempdir()} for upload: {error.strerror}.",
                    fix="free space there or set TMPDIR, then run it again: it resumes.",
                ) from error
            self._do("write", path, lambda: self._upload(path, spool))

    def sweep(self, prefix: str, *, of: Callable[[str], bool]) -> int:
        """Remove the temporary files of killed local writers below a prefix; see `Folder.sweep`.

        For S3 it does nothing: a lifecycle rule of the bucket removes incomplete multipart uploads.
        """
        return self._place.sweep(prefix, of=of) if isinstance(self._place, Folder) else 0

    def _do(self, verb: str, path: str, action: Callable[[], Outcome]) -> Outcome:
        refuse_fork()
        try:
            return self._place.do(action, verb=verb, uri=self.uri_of(path))
        except ValueError as error:  # `obstore` rejects the path before it sends a request
            raise UsageError(
                f"Could not {verb} {self.uri_of(path)!r}: a path must not have an empty, '.' or '..' segment.",
                fix="correct the path.",
            ) from error

    def _read(self, path: str, action: Callable[[], Outcome]) -> Outcome:
        """Read an object. One that is answered with 403, and that a listing does not have, is missing."""
        try:
            return self._do("read", path, action)
        except AccessDenied:
            if self._is_listed(path) is False:
                raise missing(self.uri_of(path)) from None
            raise

    def _refuse_odd(self, path: str) -> None:
        if isinstance(self._place, Folder):
            self._place.refuse_odd(path)

    def _list_oddities(self, folder: Folder, prefix: str) -> Iterator[StoredObject]:
        """List a folder that holds files at which `obstore.list` panics."""
        odd = folder.odd_files(prefix)
        for path, status in folder.entries(prefix):
            if not stat.S_ISREG(status.st_mode) or STAGED.fullmatch(path) or has_odd_name(path):
                continue
            found = StoredObject(path, status.st_size, "") if path in odd else self.head(path)
            if found is not None:
                yield found

    def _pieces(self, download: Download, path: str) -> Iterator[memoryview]:
        while (piece := self._do("read", path, download.piece)) is not None:
            yield piece

    def _is_listed(self, path: str) -> bool | None:
        """Return whether a listing has an object; None where these credentials may not list.

        S3 answers 403 for a missing object where the right to list holds for a prefix only.
        """
        try:
            return EachObject(self._store, self._do, []).has(path)
        except AccessDenied:
            return None

    def _upload(self, path: str, data: bytes | IO[bytes]) -> None:
        if not isinstance(data, bytes):
            data.seek(0)
        obstore.put(self._store, path, data, chunk_size=WRITE_BUFFER, max_concurrency=PARTS_AT_ONCE)

    def _stored(self, meta: obstore.ObjectMeta) -> StoredObject:
        etag = meta["e_tag"] or ""
        if not isinstance(self._place, Folder):
            etag = quoted(etag)
        return StoredObject(meta["path"], meta["size"], etag, meta["last_modified"])
