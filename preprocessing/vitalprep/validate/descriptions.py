"""Checks that the files next to the records match ``croissant.json``, which publish wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from vitalprep.contract.build_summary import BuildSummary
from vitalprep.contract.content_id import FEATURES, content_id
from vitalprep.contract.metadata import read_metadata
from vitalprep.contract.paths import METADATA, REPORT, dataset_folder, dataset_path, made_by_vitalprep
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage

__all__ = ["content_problems", "description_problems"]

CROISSANT, CARD = "croissant.json", "README.md"
FROM_THE_FIRST = (FEATURES, "dataset_info.json", "cases.csv", METADATA)  # of every version
PUBLISHED = (*FROM_THE_FIRST, "config.yaml", CARD, CROISSANT, REPORT)


def description_problems(output: Storage, dataset_id: str, summaries: Iterable[BuildSummary]) -> tuple[list[str], str]:
    """Return the problems, and the text for the verdict if there are none.

    Data sets from versions that published neither data card nor ``croissant.json`` pass: their metadata state no
    content id. Where publish failed half-way, what it had not written yet is missing.
    """
    missing = _missing(output, dataset_id)
    problems = [f"{name} is missing" for name in missing]
    listing = _read(output, dataset_id, CROISSANT)
    if listing is None:
        return problems, f"published without {CARD} and {CROISSANT}, as before there were any"
    try:
        listed = {_text(item["name"]): item for item in json.loads(listing)["distribution"] if "sha256" in item}
    except (ValueError, KeyError, TypeError):
        return [*problems, f"{CROISSANT} cannot be read"], ""
    built = {file.name: (file.bytes, file.sha256) for summary in summaries for file in summary.files}
    problems += [f"{CROISSANT} does not list {name}" for name in sorted({*built, CARD} - listed.keys())]
    for name, item in sorted(listed.items()):
        if not made_by_vitalprep(dataset_path(dataset_id, name)):
            problems.append(f"{CROISSANT} lists {name!r}, which is no file of a data set")
            continue
        stored = built.get(name) or _size_and_digest(output, dataset_id, name)
        if stored is None:
            problems += [] if name in missing else [f"{name} is missing"]
        elif not _agrees(item, *stored):
            problems.append(f"{name} differs from the file that {CROISSANT} lists")
    return problems, f"{len(listed)} files as {CROISSANT} lists them"


def content_problems(output: Storage, dataset_id: str, files: Mapping[str, str | None]) -> tuple[list[str], str | None]:
    """Hold the content id of the metadata against the files that lie there.

    Parameters
    ----------
    files : mapping of str to str or None
        SHA-256 (hex) of each TFRecord file as it was read, by name; None for a missing one.

    Returns
    -------
    list of str
        What does not agree.
    str or None
        The content id that the metadata state; None where they state none, as those of vitalprep 0.1.0.
    """
    try:
        metadata = read_metadata(output, dataset_id)
    except RefusedError as error:
        return [error.message.rstrip(".")], None
    if metadata is None or metadata.content_id is None:
        return [], None
    stated, features = metadata.content_id, _read(output, dataset_id, FEATURES)
    if features is None:
        return [f"{FEATURES} is missing"], stated
    there = [(name, sha256) for name, sha256 in files.items() if sha256 is not None]
    found = content_id(features, there)
    return ([] if found == stated else [f"{METADATA} states the content id {stated}, the files have {found}"]), stated


def _missing(output: Storage, dataset_id: str) -> list[str]:
    """Return the files that are not there, of those that the version wrote that published the data set."""
    folder = dataset_folder(dataset_id)
    there = {stored.path.removeprefix(f"{folder}/") for stored in output.list(folder)}
    try:
        metadata = read_metadata(output, dataset_id)
    except RefusedError:
        metadata = None
    wanted: tuple[str, ...] = PUBLISHED
    if metadata is not None and metadata.content_id is None:
        wanted = (*FROM_THE_FIRST, CROISSANT) if CARD in there else FROM_THE_FIRST
    return [name for name in wanted if name not in there]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _agrees(item: Mapping[str, Any], size: int, sha256: str) -> bool:
    return item.get("contentSize") == f"{size} B" and item["sha256"] == sha256


def _size_and_digest(output: Storage, dataset_id: str, name: str) -> tuple[int, str] | None:
    data = _read(output, dataset_id, name) if "/" not in name else None
    return None if data is None else (len(data), hashlib.sha256(data).hexdigest())


def _read(output: Storage, dataset_id: str, name: str) -> bytes | None:
    return output.get_or_none(dataset_path(dataset_id, name))
