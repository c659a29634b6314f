"""Normalizes storage locations. Error messages never repeat credentials from a mistyped one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from vitalprep.runtime.errors import UsageError

__all__ = ["holds_credentials", "normalized_uri", "uri_parts"]

# USER:PASSWORD@ after any number of slashes. AWS secret keys may contain slashes.
_CREDENTIALS = re.compile(r"(?>(?:(?:[a-z][a-z0-9+.-]*:|s3|https?)?/+)?)[^/]*:.*@", re.IGNORECASE | re.DOTALL)

_DIRECTORY_BUCKET = "--x-s3"  # AWS reserves this ending


def holds_credentials(uri: str) -> bool:
    """Return whether a URI, even a malformed one, contains a user or password. If so, never show it.

    Examples
    --------
    >>> [holds_credentials(uri) for uri in ("s3:/AKIA:SECRET@bucket/x", "s3://bucket/a:b@c", "/data/a:b@c")]
    [True, False, False]
    """
    scheme, _, rest = uri.partition("://")
    host = rest.partition("/")[0]
    return bool(_CREDENTIALS.match(uri)) or "@" in host or (scheme.lower() == "s3" and ":" in host)


def uri_parts(uri: str, what: str = "A location") -> SplitResult:
    """Return the parts of a URI.

    Raises
    ------
    UsageError
        If it cannot be parsed, for example because of an unbalanced bracket. The message does not repeat the URI: the
        faulty character may be part of a password.
    """
    try:
        return urlsplit(uri)
    except ValueError:
        raise UsageError(
            f"{what} is not a valid URL: its host cannot be parsed.", fix="correct the part after ://."
        ) from None


def normalized_uri(uri: str | os.PathLike[str]) -> str:
    """Return a URI without trailing slash; plain and ``file://`` paths become absolute paths.

    Raises
    ------
    UsageError
        If the location is empty, contains credentials or a query, has a scheme other than ``s3`` and ``file``, is an
        ``s3://`` URI without a bucket or with a directory bucket (S3 Express), names the home folder of an unknown
        user, or is neither a string nor a path.
    """
    if not isinstance(uri, str):
        return _normalized_path(uri)
    if not uri.strip():
        raise UsageError("The storage location is empty.", fix="give a folder or s3://bucket/prefix.")
    if holds_credentials(uri):
        raise UsageError(
            "A storage location contains credentials.",
            fix="remove them and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.",
        )
    parts = uri_parts(uri)
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"  # without the query, which holds a presigned URL's signature
    if parts.scheme == "s3":
        if not parts.netloc:
            raise UsageError(f"{shown!r} names no bucket.", fix="write s3://bucket/prefix.")
        if parts.netloc.endswith(_DIRECTORY_BUCKET):
            raise UsageError(
                f"{parts.netloc} is an S3 Express bucket, which lists its objects in no order; resuming relies on it.",
                fix="use a general purpose bucket.",
            )
        if parts.query or parts.fragment:
            raise UsageError(f"{shown!r} has a query (? or #).", fix="write s3://bucket/prefix.")
        return uri.rstrip("/")
    if parts.scheme == "file":
        return os.path.abspath(unquote(parts.path))
    if "://" in uri or parts.scheme in ("http", "https"):
        raise UsageError(f"{shown!r}: the scheme {parts.scheme!r} is not supported.", fix="use a folder or s3://.")
    return _absolute(uri)


def _normalized_path(path: os.PathLike[str]) -> str:
    if not isinstance(path, os.PathLike) or not isinstance(name := os.fspath(path), str):
        raise UsageError(f"{path!r} is not a storage location.", fix="give a folder or s3://bucket/prefix.")
    if name.startswith("s3:"):
        raise UsageError(f"{type(path).__name__} collapses the slashes of s3://.", fix="pass S3 locations as str.")
    return _absolute(name)


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(Path(path).expanduser())
    except RuntimeError:  # as pathlib reports it
        user = path.partition("/")[0]
        raise UsageError(
            f"{path!r}: the home folder of {user} is not known.",
            fix=f"give the whole path; write ./{user} for a folder of that name.",
        ) from None
