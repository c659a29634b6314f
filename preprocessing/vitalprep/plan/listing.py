"""Lists what an input location holds: recordings by their path, and what is no recording for its name or place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from vitalprep.contract.left_out import Reason
from vitalprep.storage import Storage, StoredObject

__all__ = ["Listing", "digits_of", "hidden_by", "list_input", "why_dangling"]

_NAMES = re.compile(r".*\.vital(?:[\W_].*)?", re.IGNORECASE | re.DOTALL)
_TRASH = frozenset({"$recycle.bin", "#recycle", "@eadir", "lost+found", "__macosx"})


@dataclass(frozen=True)
class Listing:
    """What is there below an input.

    Attributes
    ----------
    uri : str
        Of the input.
    recordings : mapping
        Every object whose name is a recording's, or was one before an ending was added, by path.
    unreadable : mapping
        What is wrong with the recordings that cannot be read as a file, by path. They may be in `recordings`, too.
    dangling : frozenset of str
        Links that lead nowhere and could be recordings or folders of recordings.
    odd_keys : tuple of str
        Recordings whose path no storage call takes, and the first key below each such segment of S3's keys.
    """

    uri: str
    recordings: Mapping[str, StoredObject]
    unreadable: Mapping[str, str]
    dangling: frozenset[str]
    odd_keys: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there that looks like a recording."""
        return not (self.recordings or self.unreadable or self.dangling or self.odd_keys)


def list_input(storage: Storage) -> Listing:
    """List an input."""
    odd: list[str] = []
    recordings = {stored.path: stored for stored in storage.list(odd=odd) if _is_named(stored.path)}
    return Listing(
        uri=storage.uri,
        recordings=recordings,
        unreadable={path: wrong for path, wrong in storage.odd_files().items() if _is_named(path)},
        dangling=frozenset(filter(_may_be_one, storage.dangling_links())),
        odd_keys=tuple(sorted(map(_printable, [*filter(_is_named, storage.odd_names()), *odd]))),
    )


def hidden_by(path: str) -> Reason | None:
    """Return why a recording does not count for its name or place alone; None where it counts."""
    parts = PurePosixPath(path).parts
    if any(part.lower() in _TRASH or part.lower().startswith(".trash") for part in parts[:-1]):
        return "trash"
    if any(part.startswith(".") for part in parts):
        return "hidden"
    return None if path.lower().endswith(".vital") else "other_ending"


def why_dangling(path: str) -> Reason:
    """Return why a link that leads nowhere is left out."""
    hidden = hidden_by(path)
    return hidden if hidden in ("hidden", "trash") else "dangling_link"


def digits_of(path: str) -> str | None:
    """Return the digits of a recording's name, or None where it has others."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    return stem if stem.isascii() and stem.isdigit() else None


def _may_be_one(path: str) -> bool:
    """Return whether a link could lead to a recording, or to a folder of recordings."""
    return _is_named(path) or not PurePosixPath(path).suffix


def _printable(path: str) -> str:
    """Return a path that is UTF-8: other bytes as their codes."""
    return path.encode(errors="backslashreplace").decode()


def _is_named(path: str) -> bool:
    return _NAMES.fullmatch(path.rstrip("/").rpartition("/")[2]) is not None
