"""The one form of a storage location."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from preprocessing.errors import UsageError

__all__ = ["normalized_uri"]


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
        if not parts.netloc or "@" in parts.netloc:  # before an @ stand credentials: not to be repeated here
            raise UsageError(f"{_without_secrets(uri)!r} names no bucket.", mend="write s3://bucket/prefix.")
        if parts.query or parts.fragment:
            raise UsageError(f"{_without_secrets(uri)!r} has a query (? or #).", mend="write s3://bucket/prefix.")
        return uri.rstrip("/")
    if parts.scheme == "file":
        return os.path.abspath(unquote(parts.path))
    if "://" in uri:
        raise UsageError(
            f"{_without_secrets(uri)!r}: storage of kind {parts.scheme!r} is not supported.",
            mend="use a folder or s3://.",
        )
    return os.path.abspath(Path(uri).expanduser())


def _without_secrets(uri: str) -> str:
    """Return a URI without user, password and query: a presigned URL carries its signature there."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
