"""Removes what no published data set needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from vitalprep.clean.inventory import Inventory, Item, take_inventory
from vitalprep.contract.paths import DATASETS, HARMONIZED, LATEST, RUNS, made_by_vitalprep
from vitalprep.runtime.console import log, progress
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import Storage

__all__ = ["Cleaned", "clean"]


@dataclass(frozen=True)
class Cleaned:
    """What was found and removed. `swept` counts unfinished files of killed processes, which listings omit."""

    inventory: Inventory
    removed: tuple[Item, ...]
    swept: int

    def described(self) -> dict[str, Any]:
        """Return what ``vitalprep clean --json`` prints."""
        return {
            "items": [item.described() for item in self.inventory.items],
            "foreign": self.inventory.foreign,
            "removed": [item.name for item in self.removed],
            "bytes_removed": sum(item.size for item in self.removed),
            "swept": self.swept,
        }


def clean(
    output_uri: str, names: Sequence[str], *, older_than: timedelta, agree: Callable[[Inventory, list[Item]], bool]
) -> Cleaned:
    """List an output, ask, and remove what is not needed.

    Parameters
    ----------
    names : sequence of str
        Harmonized digests or data set ids. Empty: everything that is not needed.
    older_than : timedelta
        Keep what is younger, because a run may be working on it.
    agree : callable
        Receives the inventory and the items to remove. Nothing is removed unless it returns True.

    Raises
    ------
    UsageError
        If a name is unknown.
    RefusedError
        If a named item is needed. Then nothing is removed.
    """
    output = Storage(output_uri)
    inventory = take_inventory(output, now=datetime.now(UTC), older_than=older_than)
    chosen = _chosen(inventory, names)
    if not agree(inventory, chosen):
        return Cleaned(inventory, (), 0)
    # The answer may take hours. In the meantime a run may have started, or a data set been published.
    still = take_inventory(output, now=datetime.now(UTC), older_than=older_than)
    removed = []
    for item in chosen:
        now = next((other for other in still.items if (other.kind, other.name) == (item.kind, item.name)), None)
        if now is None or now.kept:
            log(f"{item.kind} {item.name} is kept: {now.kept if now else 'it no longer exists'}", level=logging.WARNING)
            continue
        _remove(output, now)
        removed.append(now)
    swept = sum(output.sweep(folder, of=_is_swept) for folder in (HARMONIZED, DATASETS, RUNS))
    return Cleaned(inventory, tuple(removed), swept)


def _chosen(inventory: Inventory, names: Sequence[str]) -> list[Item]:
    if not names:
        return [item for item in inventory.items if item.kept is None]
    unknown = sorted(set(names) - {item.name for item in inventory.items})
    if unknown:
        raise UsageError(
            f"{unknown[0]!r} is neither a harmonized digest nor a data set of this output.",
            fix="give a name that `vitalprep clean --dry-run` lists.",
        )
    chosen = [item for item in inventory.items if item.name in names]
    for item in chosen:
        if item.kept:
            raise RefusedError(
                f"The {item.kind} {item.name} is kept: {item.kept}. Nothing was removed.",
                fix="leave it out. If no run is working, --older-than 0 removes the age limit. To give up a published "
                "data set, remove its validation.json.",
            )
    return chosen


def _remove(output: Storage, item: Item) -> None:
    with progress(f"remove {item.name}", len(item.paths)) as advance:
        for path in item.paths:
            output.delete([path])
            advance()
    if not output.uri.startswith("s3://"):
        folders = {path.rpartition("/")[0] for path in item.paths}
        for folder in sorted(folders, reverse=True):  # deeper folders first
            with suppress(OSError):  # not empty
                Path(output.uri, folder).rmdir()
    log(f"{item.kind} {item.name} removed", kind=item.kind, item=item.name, files=len(item.paths), bytes=item.size)


def _is_swept(path: str) -> bool:
    return made_by_vitalprep(path) or path == LATEST
