"""Assigns windows to output files and orders them, deterministically from the seed and the data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vitalprep.contract.paths import tfrecord_name

__all__ = ["OutputFile", "output_files", "windows_in_order"]


@dataclass(frozen=True)
class OutputFile:
    """One file. `parts` are the shards in it, each a tuple of case ids; with `layout: single` there are several."""

    name: str
    parts: tuple[tuple[int, ...], ...]


def output_files(
    bytes_of_case: Mapping[int, int], *, split: str, seed: int, shard_bytes: float, layout: str
) -> list[OutputFile]:
    """Distribute the cases of a split over files, in the order of ``sha256("<seed>:<case_id>")``.

    Parameters
    ----------
    bytes_of_case : mapping of int to int
        Framed record bytes of every case, before compression. Cases with 0 bytes are skipped.
    shard_bytes : float
        Size limit of a shard in bytes. A case is never divided, so a single larger case gets a shard of its own.
    """
    shards: list[list[int]] = []
    filled = 0
    for case in sorted(bytes_of_case, key=lambda case: _hash(f"{seed}:{case}")):
        if not bytes_of_case[case]:
            continue
        if not shards or filled + bytes_of_case[case] > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(case)
        filled += bytes_of_case[case]
    parts = tuple(tuple(shard) for shard in shards)
    if layout == "single":
        return [OutputFile(tfrecord_name(split, 0, 1, layout=layout), parts)]
    return [
        OutputFile(tfrecord_name(split, index, len(parts), layout=layout), (part,)) for index, part in enumerate(parts)
    ]


def windows_in_order(starts_of_case: Mapping[int, Iterable[int]], *, seed: int) -> Sequence[tuple[int, int]]:
    """Return (case, start second) of a shard's windows, in the order of ``sha256("<seed>:<case_id>:<start>")``."""
    windows = [(case, int(start)) for case, starts in starts_of_case.items() for start in starts]
    return sorted(windows, key=lambda window: _hash(f"{seed}:{window[0]}:{window[1]}"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
