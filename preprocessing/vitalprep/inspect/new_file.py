"""Writes local files for a person: an existing one is never overwritten unasked."""

from __future__ import annotations

import os
from pathlib import Path

from vitalprep.runtime.errors import RetryableError, UsageError

__all__ = ["refuse_existing", "write_new"]


def refuse_existing(option: str, file: str) -> None:
    """Raise `UsageError` if a file exists, so that nothing is read in vain."""
    if os.path.lexists(file):
        raise _exists(option, file)


def write_new(option: str, file: str, data: bytes, *, force: bool) -> None:
    """Write a file; with `force` also over an existing one.

    Raises
    ------
    UsageError
        If it exists, or its folder does not.
    RetryableError
        If it cannot be written for another reason.
    """
    try:
        with Path(file).open("wb" if force else "xb") as out:
            out.write(data)
    except FileExistsError:
        raise _exists(option, file) from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise UsageError(f"{option} {file} cannot be written ({error.strerror}).", fix="give another file.") from error
    except OSError as error:
        raise RetryableError(
            f"{option} {file} cannot be written ({error.strerror}).", fix="make room, or give another file."
        ) from error


def _exists(option: str, file: str) -> UsageError:
    return UsageError(f"{option} {file} exists.", fix="give another file, or --force to overwrite it.")
