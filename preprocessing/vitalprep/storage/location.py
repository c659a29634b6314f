"""The one form of a storage location, and that no secret of a mistyped one is repeated."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from vitalprep.runtime.errors import UsageError

__all__ = ["holds_credentials", "normalized_uri", "uri_parts"]

# USER:PASSWORD@ in the first part, with as many slashes before it as were typed; AWS's own passwords hold slashes, too.
_CREDENTIALS = re.compile(r"(?>(?:(?:[a-z][a-z0-9+.-]*:|s3|https?)?/+)?)[^/]*:.*@", re.IGNORECASE | re.DOTALL)


def holds_credentials(uri: str) -> bool:
    """Return whether a URI, be it written wrongly, names a user or a password: then it must not be repeated.

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
        If it has none, as with half a pair of brackets. It is not repeated: what is wrong may stand in a password.
    """
    try:
        return urlsplit(uri)
    except ValueError:
        raise UsageError(f"{what} is no URL: its host cannot be read.", fix="correct what stands after ://.") from None


def normalized_uri(uri: str | os.PathLike[str]) -> str:
    """Return a URI without trailing slash; plain and ``file://`` paths become absolute paths.

    Raises
    ------
    UsageError
        If it holds credentials or a query, its scheme is not one of ``s3``, ``file`` or none, an ``s3://`` URI names no
        bucket, or it is neither a text nor a path.
    """
    if not isinstance(uri, str):
        return _normalized_path(uri)
    if not uri.strip():
        raise UsageError("An empty storage location was given.", fix="give a folder or s3://bucket/prefix.")
    if holds_credentials(uri):
        raise UsageError("A location has credentials in its URI.", fix="take them out; set AWS's own variables.")
    parts = uri_parts(uri)
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"  # without query: a presigned URL has its signature there
    if parts.scheme == "s3":
        if not parts.netloc:
            raise UsageError(f"{shown!r} names no bucket.", fix="write s3://bucket/prefix.")
        if parts.query or parts.fragment:
            raise UsageError(f"{shown!r} has a query (? or #).", fix="write s3://bucket/prefix.")
        return uri.rstrip("/")
    if parts.scheme == "file":
        return os.path.abspath(unquote(parts.path))
    if "://" in uri or parts.scheme in ("http", "https"):
        raise UsageError(f"{shown!r}: storage of kind {parts.scheme!r} is not supported.", fix="use a folder or s3://.")
    return os.path.abspath(Path(uri).expanduser())


def _normalized_path(path: os.PathLike[str]) -> str:
    if not isinstance(path, os.PathLike) or not isinstance(name := os.fspath(path), str):
        raise UsageError(f"{path!r} is no storage location.", fix="give a folder or s3://bucket/prefix.")
    if name.startswith("s3:"):
        raise UsageError(f"{type(path).__name__} drops a slash of s3://.", fix="give what lies in S3 as a str.")
    return os.path.abspath(Path(name).expanduser())
