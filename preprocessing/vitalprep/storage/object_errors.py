"""Errors about a single stored object."""

from __future__ import annotations

from vitalprep.runtime.errors import RefusedError, UsageError

__all__ = ["AccessDenied", "ObjectChanged", "ObjectMissing", "OddKey", "missing"]


class AccessDenied(UsageError):  # noqa: N818
    """S3 refuses a request for want of a right. S3 answers the same for a missing object if the caller may not list."""


class ObjectMissing(RefusedError):  # noqa: N818  a state of the store
    """The named object does not exist."""


def missing(uri: str) -> ObjectMissing:
    """Return the error for an object that does not exist."""
    return ObjectMissing(f"{uri} does not exist.", fix="check the location, or run the stage that writes it.")


class ObjectChanged(RefusedError):  # noqa: N818
    """The named object has changed since it was planned: its etag differs."""


class OddKey(RefusedError):  # noqa: N818
    """A listed key has an empty, '.' or '..' segment."""

    key = ""
