"""Checks that the files next to the records match ``croissant.json``, which publish wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from vitalprep.contract.build_summary import BuildSummary
from vitalprep.contract.paths import dataset_path
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["description_problems"]

CROISSANT, CARD = "croissant.json", "README.md"


def description_problems(output: Storage, dataset_id: str, summaries: Iterable[BuildSummary]) -> tuple[list[str], str]:
    """Return the problems, and the text for the verdict if there are none.

    Data sets from versions that published neither data card nor ``croissant.json`` pass.
    """
    listing = _read(output, dataset_id, CROISSANT)
    if listing is None:
        if _read(output, dataset_id, CARD) is None:
            return [], f"published without {CARD} and {CROISSANT}, as before there were any"
        return [f"{CROISSANT} is missing"], ""
    try:
        listed = {item["name"]: item for item in json.loads(listing)["distribution"] if "sha256" in item}
    except (ValueError, KeyError, TypeError):
        return [f"{CROISSANT} cannot be read"], ""
    built = {file.name: (file.bytes, file.sha256) for summary in summaries for file in summary.files}
    problems = [f"{CROISSANT} does not list {name}" for name in sorted({*built, CARD} - listed.keys())]
    for name, item in sorted(listed.items()):
        there = built.get(name) or _size_and_digest(output, dataset_id, name)
        if there is None:
            problems.append(f"{name} is missing")
        elif not _agrees(item, *there):
            problems.append(f"{name} differs from the file that {CROISSANT} lists")
    return problems, f"{len(listed)} files as {CROISSANT} lists them"


def _agrees(item: Mapping[str, Any], size: int, sha256: str) -> bool:
    return item.get("contentSize") == f"{size} B" and item["sha256"] == sha256


def _size_and_digest(output: Storage, dataset_id: str, name: str) -> tuple[int, str] | None:
    data = _read(output, dataset_id, name) if "/" not in name else None
    return None if data is None else (len(data), hashlib.sha256(data).hexdigest())


def _read(output: Storage, dataset_id: str, name: str) -> bytes | None:
    try:
        return output.get(dataset_path(dataset_id, name))
    except ObjectMissing:
        return None
