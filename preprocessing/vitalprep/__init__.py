"""vitalprep turns VitalDB surgical recordings into a validated training set of TFRecords.

Open a finished data set with `describe`, `read` (NumPy) or `load` (TensorFlow); see `vitalprep.loading`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vitalprep.runtime.version import __version__

if TYPE_CHECKING:
    from vitalprep.loading import Batch, Description, Feature, Origins, Window, describe, load, read

_LOADING = ("Batch", "Description", "Feature", "Origins", "Window", "describe", "load", "read")
__all__ = ["Batch", "Description", "Feature", "Origins", "Window", "__version__", "describe", "load", "read"]


def __getattr__(name: str) -> Any:
    if name not in _LOADING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import vitalprep.loading  # not before it is asked for: the command starts in a fraction of the time

    return getattr(vitalprep.loading, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
