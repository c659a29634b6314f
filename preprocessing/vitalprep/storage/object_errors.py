"""Errors about a single stored object."""

from __future__ import annotations

from vitalprep.runtime.errors import RefusedError, UsageError

__all__ = ["AccessDenied", "ObjectChanged", "ObjectMissing", "OddKey"]


class AccessDenied(UsageError):  # noqa: N818
    """S3 refuses a request for want of a right. A missing object is refused like that to whom may not list it."""


class ObjectMissing(RefusedError):  # noqa: N818  a state of the store
    """The named object does not exist."""


class ObjectChanged(RefusedError):  # noqa: N818
    """The named object has changed since it was planned: its etag differs."""


class OddKey(RefusedError):  # noqa: N818
    """A listed key has an empty, '.' or '..' segment."""

    key = ""
