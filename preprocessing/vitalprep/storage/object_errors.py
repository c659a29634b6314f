"""Errors about a single stored object."""

from __future__ import annotations

from vitalprep.runtime.errors import RefusedError

__all__ = ["ObjectChanged", "ObjectMissing", "OddKey"]


class ObjectMissing(RefusedError):  # noqa: N818  a state of the store
    """The named object does not exist."""


class ObjectChanged(RefusedError):  # noqa: N818
    """The named object has changed since it was planned: its etag differs."""


class OddKey(RefusedError):  # noqa: N818
    """A listed key has an empty, '.' or '..' segment."""

    key = ""
