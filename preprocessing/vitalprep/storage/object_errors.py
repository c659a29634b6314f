"""What a store can say of an object."""

from __future__ import annotations

from vitalprep.runtime.errors import RefusedError

__all__ = ["ObjectChanged", "ObjectMissing"]


class ObjectMissing(RefusedError):  # noqa: N818  a state of the store
    """The object named is not there."""


class ObjectChanged(RefusedError):  # noqa: N818
    """The object named is no longer the one that was planned (its etag differs)."""
