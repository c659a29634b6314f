"""Inventory of an output, and which items have to be kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from vitalprep.contract.metadata import Metadata
from vitalprep.contract.paths import (
    DATASETS,
    HARMONIZED,
    LATEST,
    METADATA,
    RUNS,
    VERDICT,
    dataset_path,
    is_plan,
    made_by_vitalprep,
    receipt_path,
    stem_of_table,
)
from vitalprep.contract.plan import read_plan
from vitalprep.contract.receipt import Receipt
from vitalprep.contract.verdict import Latest, read_verdict
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage, StoredObject

__all__ = ["Inventory", "Item", "take_inventory"]


Kind = Literal["harmonized", "orphans", "dataset"]


@dataclass(frozen=True)
class Item:
    """One harmonized digest, its tables that no receipt names, or one data set with the plans of its run.

    `paths` are in order of removal, `size` is in bytes, `modified` is the time of the last write. `state` is that of a
    data set. `kept` is the reason for keeping the item, None if it may be removed.
    """

    kind: Kind
    name: str
    paths: tuple[str, ...]
    size: int
    modified: datetime
    state: str = ""
    kept: str | None = None

    def described(self) -> dict[str, Any]:
        """Return what ``vitalprep clean --json`` prints of it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "files": len(self.paths),
            "bytes": self.size,
            "modified": self.modified.isoformat(timespec="seconds"),
            "kept": self.kept,
        }


@dataclass(frozen=True)
class Inventory:
    """All items, and the number of foreign objects, which vitalprep did not write and never removes."""

    items: tuple[Item, ...]
    foreign: int


def take_inventory(output: Storage, *, now: datetime, older_than: timedelta) -> Inventory:
    """List an output and decide what is kept.

    A data set is kept if it is published, the latest, extended by one that is kept, or if it or its harmonized tables
    were written within `older_than` (a run may be working on it). A harmonized digest is kept if such a data set needs
    it, or if it was written within `older_than`. Tables that no receipt names (left by a killed worker, or by one that
    came second) are kept only within `older_than`. Items behind a symbolic link are kept, too.

    Raises
    ------
    RefusedError
        If it is unknown what a published data set needs.
    """
    groups, foreign = _groups(output, now)
    tables, orphans = {}, []
    for (kind, name), stored in groups.items():
        if kind == HARMONIZED:
            unnamed = _unnamed_tables(output, stored)
            tables[name] = _item("harmonized", name, [one for one in stored if one.path not in unnamed] or stored)
            if unnamed and len(unnamed) < len(stored):
                orphans.append(_item("orphans", f"{name}-orphans", [one for one in stored if one.path in unnamed]))
    sets = {name: _data_set(output, name, stored) for (kind, name), stored in groups.items() if kind == DATASETS}

    def recent(item: Item | None) -> str | None:
        past = now - item.modified if item else older_than
        return f"written {_ago(past)}" if past < older_than else None

    kept = _kept(sets, tables, _latest(output), recent)
    needed: dict[str, list[str]] = defaultdict(list)
    for name in sorted(kept.keys() & sets.keys()):
        needed[sets[name].harmonize_digest or ""].append(name)
    items = [
        replace(item, kept=f"needed by {', '.join(needed[name])}" if name in needed else recent(item))
        for name, item in sorted(tables.items())
    ]
    items += [replace(item, state="tables that no receipt names", kept=recent(item)) for item in orphans]
    items += [replace(found.item, kept=kept.get(name)) for name, found in sorted(sets.items())]
    return Inventory(tuple(replace(item, kept=item.kept or _linked(output, item)) for item in items), foreign)


def _kept(
    sets: Mapping[str, _DataSet],
    tables: Mapping[str, Item],
    latest: str | None,
    recent: Callable[[Item | None], str | None],
) -> dict[str, str]:
    """Return the reasons for keeping data sets, by id."""
    kept: dict[str, str] = {}
    for name, found in sets.items():
        if found.item.state == "published":
            kept[name] = "published"
        elif name == latest:
            kept[name] = "latest.json names it"
        elif written := recent(found.item):
            kept[name] = written
        elif written := recent(tables.get(found.harmonize_digest or "")):
            kept[name] = f"its tables were {written}"
    for name in list(kept):
        for parent in sets[name].parents:
            kept.setdefault(parent, f"{name} extends it")
    return kept


@dataclass(frozen=True)
class _DataSet:
    item: Item
    harmonize_digest: str | None
    parents: tuple[str, ...]


def _groups(output: Storage, now: datetime) -> tuple[Mapping[tuple[str, str], list[StoredObject]], int]:
    groups: dict[tuple[str, str], list[StoredObject]] = defaultdict(list)
    foreign = 0
    for folder, kind in ((HARMONIZED, HARMONIZED), (DATASETS, DATASETS), (RUNS, DATASETS)):
        for stored in output.list(folder):
            if made_by_vitalprep(stored.path):
                name = stored.path.split("/")[1]
                groups[kind, name].append(replace(stored, modified=stored.modified or now))
            elif stored.path != LATEST:
                foreign += 1
    return groups, foreign


def _unnamed_tables(output: Storage, stored: Iterable[StoredObject]) -> set[str]:
    """Return the tables that no receipt names. A receipt is read only where its case has several tables."""
    tables: dict[str, list[str]] = defaultdict(list)
    paths = {one.path for one in stored}
    for path in sorted(paths):
        stem = stem_of_table(path)
        if stem is not None:
            tables[stem].append(path)
    unnamed = {path for stem, found in tables.items() if receipt_path(stem) not in paths for path in found}
    for stem, found in tables.items():
        if len(found) > 1 and receipt_path(stem) in paths:
            path = receipt_path(stem)
            receipt = Receipt.from_bytes(output.get(path), uri=output.uri_of(path))
            unnamed |= set(found) - {receipt.table(stem).path}
    return unnamed


def _item(kind: Kind, name: str, stored: Iterable[StoredObject]) -> Item:
    objects = sorted(stored, key=lambda item: (_removal_rank(item.path), item.path))
    return Item(
        kind=kind,
        name=name,
        paths=tuple(item.path for item in objects),
        size=sum(item.size for item in objects),
        modified=max(item.modified for item in objects if item.modified),
    )


def _removal_rank(path: str) -> int:
    """Return the rank of a path: what refers to other files is removed before them, plans are removed last."""
    if path.startswith(RUNS):
        return 4 if is_plan(path) else 3
    if path.endswith("/validation.json"):
        return 0
    is_receipt = path.startswith(HARMONIZED) and path.endswith(".json")
    return 1 if is_receipt or "/build-" in path else 2


def _data_set(output: Storage, name: str, stored: Iterable[StoredObject]) -> _DataSet:
    item = _item("dataset", name, stored)
    state = _state(output, item)
    plans = [path for path in item.paths if is_plan(path)]
    if plans:
        plan = read_plan(output, plans[0])
        return _DataSet(replace(item, state=state), plan.harmonize_digest, plan.parents)
    metadata = dataset_path(name, METADATA)
    if metadata in item.paths:
        content = Metadata.from_bytes(output.get(metadata), uri=output.uri_of(metadata))
        return _DataSet(replace(item, state=state), content.harmonize_digest, content.parents)
    if state == "published":
        raise RefusedError(
            f"{output.uri_of(DATASETS)}/{name} is published, but its plan and {METADATA} are missing: it is "
            "unknown what it needs, so nothing is removed.",
            fix="restore one of them, or remove its validation.json to give it up.",
        )
    return _DataSet(replace(item, state=state), None, ())


def _state(output: Storage, item: Item) -> str:
    if dataset_path(item.name, VERDICT) in item.paths:
        verdict = read_verdict(output, item.name)
        return "published" if verdict and verdict.passed else "refused"
    return "unproved" if any(path.startswith(DATASETS) for path in item.paths) else "planned"


def _linked(output: Storage, item: Item) -> str | None:
    """Return why an item behind a symbolic link is kept: only what lies in the output itself is removed."""
    if output.uri.startswith("s3://"):
        return None
    root = Path(output.uri).resolve()
    folders = {path.rpartition("/")[0] for path in item.paths}
    return (
        "it is behind a symbolic link"
        if any((root / folder).resolve() != root / folder for folder in folders)
        else None
    )


def _latest(output: Storage) -> str | None:
    latest = Latest.from_storage(output, LATEST)
    return None if latest is None else latest.dataset_id


def _ago(past: timedelta) -> str:
    hours = max(past.total_seconds() / 3600, 0)
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"
