"""Storage: one API over local folders and S3, and the only module that knows `obstore`.

A storage URI is ``s3://bucket/prefix``, ``file:///path`` or a plain path. Transient S3 faults are retried inside
`obstore` with exponential backoff; what reaches the caller is one of the project's errors, naming the object.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, S3Store

from preprocessing.arriving import Arriving
from preprocessing.errors import RefusedError, RetryableError, UsageError, VitalprepError

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

__all__ = ["ObjectChanged", "ObjectMissing", "Storage", "StoredObject", "Writer", "normalized_uri", "read_uri"]

RETRIES: RetryConfig = {
    "max_retries": 8,
    "retry_timeout": timedelta(minutes=3),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=20), "base": 2},
}
# The time-out covers a whole body: 112 MB, VitalDB's largest case, at 1 MB/s.
REQUEST_TIMEOUT = "2m"
CONNECT_TIMEOUT = "10s"
LISTING_CHUNK = 1000
READ_CHUNK = 1024 * 1024
WRITE_BUFFER = 16 * 1024 * 1024

_NO_SPACE = "os error 28"
_NOT_ALLOWED = ("os error 1)", "os error 13", "os error 20", "os error 30", "AccessDenied", "NoSuchBucket")


class ObjectMissing(RefusedError):  # noqa: N818  a state of the store
    """The object named is not there."""


class ObjectChanged(RefusedError):  # noqa: N818
    """The object named is no longer the one that was planned (its etag differs)."""


class Writer(Protocol):
    """What `Storage.writer` yields."""

    def write(self, data: bytes, /) -> Any:
        """Append bytes."""


@dataclass(frozen=True)
class StoredObject:
    """One listed object: path below the storage's root, size in bytes, etag as the store gives it."""

    path: str
    size: int
    etag: str


def normalized_uri(uri: str) -> str:
    """Return a URI without trailing slash; plain and ``file://`` paths become absolute paths.

    Raises
    ------
    UsageError
        If the scheme is not one of ``s3``, ``file`` or none, or an ``s3://`` URI names no bucket.
    """
    if not uri.strip():
        raise UsageError("An empty storage location was given.", mend="give a folder or s3://bucket/prefix.")
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        if not parts.netloc:
            raise UsageError(f"{uri!r} names no bucket.", mend="write s3://bucket/prefix.")
        return uri.rstrip("/")
    if parts.scheme == "file":
        return os.path.abspath(unquote(parts.path))
    if "://" in uri:
        raise UsageError(f"{uri!r}: storage of kind {parts.scheme!r} is not supported.", mend="use a folder or s3://.")
    return os.path.abspath(Path(uri).expanduser())


def read_uri(uri: str) -> bytes:
    """Return one object named by its whole URI."""
    folder, _, name = normalized_uri(uri).rpartition("/")
    return Storage(folder or "/").get(name)


def _s3_store(uri: str) -> ObjectStore:
    parts = urlsplit(uri)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        client_options={
            "timeout": REQUEST_TIMEOUT,
            "connect_timeout": CONNECT_TIMEOUT,
            # Only for an endpoint that the user has named so; AWS itself is always asked by TLS.
            "allow_http": endpoint.startswith("http://"),
        },
        retry_config=RETRIES,
        config={"endpoint": endpoint} if endpoint else None,
    )


class Storage:
    """The objects below one storage URI.

    Parameters
    ----------
    uri : str
        Root of the paths that the methods take.
    create : bool
        Make a local folder that is not there. Without it, a missing folder is a `UsageError`.
    """

    def __init__(self, uri: str, *, create: bool = False) -> None:
        self.uri = normalized_uri(uri)
        if self.uri.startswith("s3://"):
            self._store = _s3_store(self.uri)
            return
        if not create and not Path(self.uri).is_dir():
            raise UsageError(f"The folder {self.uri} does not exist.", mend="check the path for a typing error.")
        try:
            self._store = LocalStore(self.uri, mkdir=create)
        except (OSError, BaseError) as error:
            raise UsageError(
                f"The folder {self.uri} cannot be made or opened ({_first_line(error)}).",
                mend="choose a folder that this user may write.",
            ) from error

    def uri_of(self, path: str) -> str:
        """Return the whole URI of a path below the root."""
        return f"{self.uri.rstrip('/')}/{path}"

    def get(self, path: str, *, etag: str | None = None) -> bytes:
        """Return an object's bytes.

        Raises
        ------
        ObjectMissing
            If there is no such object.
        ObjectChanged
            If `etag` is given and the object has another one.
        """
        options: Any = {"if_match": etag} if etag else None
        with self._errors("read", path):
            answer = obstore.get(self._store, path, options=options)
            data = answer.bytes().to_bytes()
        if len(data) != answer.meta["size"]:
            raise RetryableError(
                f"{self.uri_of(path)}: {len(data)} of {answer.meta['size']} bytes arrived.", mend="retry."
            )
        return data

    def arriving(self, path: str, *, etag: str | None = None) -> Arriving:
        """Begin to read an object, to be used while the rest of it is on its way.

        Raises
        ------
        RetryableError, RefusedError
            As `get`, some of them only while it is read.
        """
        if not self.uri.startswith("s3://"):  # a local file in pieces takes five times as long as at once
            data = self.get(path, etag=etag)
            return Arriving([data], len(data), name=self.uri_of(path))
        with self._errors("read", path):
            answer = obstore.get(self._store, path, options={"if_match": etag} if etag else None)
        return Arriving(self._chunks(answer, path), answer.meta["size"], name=self.uri_of(path))

    def head(self, path: str) -> StoredObject | None:
        """Return an object's size and etag, or None if it is not there."""
        try:
            with self._errors("read", path):
                meta = obstore.head(self._store, path)
        except ObjectMissing:
            return None
        return StoredObject(meta["path"], meta["size"], meta["e_tag"] or "")

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object at any depth below a path prefix (whole path segments)."""
        with self._errors("list", prefix):
            for chunk in obstore.list(self._store, prefix or None, chunk_size=LISTING_CHUNK):
                for meta in chunk:
                    yield StoredObject(meta["path"], meta["size"], meta["e_tag"] or "")

    def put(self, path: str, data: bytes) -> None:
        """Write an object whole: readers see the old one or the new one, never a part."""
        with self._errors("write", path):
            obstore.put(self._store, path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object unless one is there. Return whether this call (or a retry inside it) wrote it.

        The store decides (`If-None-Match: *`), so of two writers exactly one wins.
        """
        try:
            with self._errors("write", path):
                obstore.put(self._store, path, data, mode="create")
        except _AlreadyThere:
            return False
        return True

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error."""
        for path in paths:
            try:
                with self._errors("remove", path):
                    obstore.delete(self._store, path)
            except ObjectMissing:
                continue

    @contextmanager
    def writer(self, path: str) -> Iterator[Writer]:
        """Write an object in parts. It appears when the block ends, and not at all if the block raises."""
        with self._errors("write", path), obstore.open_writer(self._store, path, buffer_size=WRITE_BUFFER) as writer:
            yield writer

    def _chunks(self, answer: obstore.GetResult, path: str) -> Iterator[memoryview]:
        with self._errors("read", path):
            for chunk in answer.stream(min_chunk_size=READ_CHUNK):
                yield memoryview(chunk)

    @contextmanager
    def _errors(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except VitalprepError:
            raise
        except (BaseError, OSError) as error:
            raise _translated(error, verb, self.uri_of(path)) from error


class _AlreadyThere(VitalprepError):  # noqa: N818
    """Internal: a create-only put found an object."""


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]


def _translated(error: Exception, verb: str, uri: str) -> VitalprepError:
    text = _first_line(error)
    if isinstance(error, AlreadyExistsError):
        return _AlreadyThere(f"{uri} is already there.", mend="read it.")
    if isinstance(error, PreconditionError):
        if verb == "write":  # S3 answers 412 or 409 to a create-only put that lost
            return _AlreadyThere(f"{uri} is already there.", mend="read it.")
        return ObjectChanged(f"{uri} has changed since it was planned.", mend="plan again.")
    refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    if refused or any(sign in str(error) for sign in _NOT_ALLOWED):
        return UsageError(
            f"Could not {verb} {uri}: {text}.", mend="check the location, the credentials and the permissions."
        )
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(f"{uri} is not there.", mend="check the location, or run the stage that writes it.")
    if _NO_SPACE in str(error):
        return RetryableError(f"Could not {verb} {uri}: no space left.", mend="free space on the disk, then retry.")
    return RetryableError(f"Could not {verb} {uri}: {text}.", mend="retry; if it stays, check the storage's health.")
