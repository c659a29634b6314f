"""Distributes the cases of a plan over task shards."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

__all__ = ["balanced_shards", "modulo_shards"]


def balanced_shards(size_of_case: Mapping[int, int], count: int) -> tuple[tuple[int, ...], ...]:
    """Balance shards by bytes: the largest case first, each to the shard that holds the fewest bytes.

    Parameters
    ----------
    size_of_case : mapping of int to int
        Bytes of every case's object.
    count : int
        Number of shards; fewer come back where there are fewer cases.
    """
    heap = [(0, index) for index in range(min(count, len(size_of_case)))]
    shards: list[list[int]] = [[] for _ in heap]
    for case in sorted(size_of_case, key=lambda case: (-size_of_case[case], case)):
        load, index = heapq.heappop(heap)
        shards[index].append(case)
        heapq.heappush(heap, (load + size_of_case[case], index))
    return tuple(tuple(sorted(shard)) for shard in shards)


def modulo_shards(cases: list[int], count: int) -> tuple[tuple[int, ...], ...]:
    """Deal cases out in turn by number, for hosts that find their share alone (SageMaker's multi-instance mode)."""
    ascending = sorted(cases)
    return tuple(tuple(ascending[index::count]) for index in range(min(count, len(ascending))))
