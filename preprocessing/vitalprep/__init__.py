"""vitalprep turns VitalDB surgical recordings into a validated training set of TFRecords.

Open a finished data set with `describe`, `read` (NumPy) or `load` (TensorFlow); see `vitalprep.loading`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vitalprep.runtime.version import __version__

if TYPE_CHECKING:
    from vitalprep.loading import Batch, Description, Feature, Origins, Window, describe, load, read
    from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError, VitalprepError

__all__ = [
    "Batch",
    "Description",
    "Feature",
    "Origins",
    "RefusedError",
    "RetryableError",
    "UsageError",
    "VitalprepError",
    "Window",
    "__version__",
    "describe",
    "load",
    "read",
]

_ERRORS = ("RefusedError", "RetryableError", "UsageError", "VitalprepError")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Imported on first use, so that the command starts in a fraction of the time.
    return getattr(import_module("vitalprep.runtime.errors" if name in _ERRORS else "vitalprep.loading"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
