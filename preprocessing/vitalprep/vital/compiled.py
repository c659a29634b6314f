"""The compiled reader of records, or why it is not there."""

from __future__ import annotations

from vitalprep.runtime.errors import UsageError

try:
    from vitalprep.vital import _records
except ImportError as error:  # installed without a C compiler, which suffices for loading data sets
    raise UsageError(
        f"The compiled reader of recordings is not installed ({error}). Only loading data sets works without it.",
        fix="install a C compiler and Python's headers (Debian: apt-get install gcc python3-dev), then install "
        "vitalprep again: pip install --force-reinstall --no-deps /path/to/vitalprep.",
    ) from error

__all__ = ["_records"]
