"""Writes the files of a set: whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vitalprep.runtime.errors import RetryableError

__all__ = ["explained", "json_bytes", "unfinished", "write_whole"]


def json_bytes(document: dict[str, Any]) -> bytes:
    """Return a document as indented JSON."""
    return (json.dumps(document, indent=2) + "\n").encode("utf-8")


def unfinished(path: Path) -> Path:
    """Return the temporary name of a file that is being written."""
    return path.with_name(f".{path.name}.tmp")  # no .vital suffix, so that readers of the folder ignore it


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    temporary = unfinished(path)
    try:
        with explained(path):
            temporary.write_bytes(data)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Translate disk errors, and say what they mean for the set."""
    try:
        yield
    except OSError as error:
        raise RetryableError(
            f"Could not write {path} ({error.strerror or error}); the finished cases are complete.",
            fix="free space or fix the disk, then run the same command again: it resumes.",
        ) from error
