"""Cases that are one recording under two numbers, by which a subject could be in two splits unnoticed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from vitalprep.contract.build_summary import SIZE
from vitalprep.features.sketch import hashes_in

__all__ = ["near_duplicates"]

FEWEST_SHARED = SIZE // 6  # hashes; unrelated cases share one of 48 at most, what was cut by half shares 24
MOST_NAMED = 64  # cases that are kept to compare with for each hash: copies of one recording have them all in common


def near_duplicates(tables: Mapping[int, str | None], sketches: Mapping[int, str]) -> list[tuple[int, ...]]:
    """Return groups of cases that are (nearly) the same recording, by case number.

    Two cases are of one group if their tables hold the same values, or if their sketches say that at least a sixth of
    what both hold together is in both: the number of hashes that both have among the smallest of either, which
    estimates it (Broder 1997, see `sketch_of`). That finds copies with other weights, of another export, and cut by
    half; not those in which more than every thirteenth value is another one. A case without a sketch, of too few
    changes or of an earlier build, is found by its table alone.

    Parameters
    ----------
    tables : mapping of int to str or None
        The digest of the values of each case's table.
    sketches : mapping of int to str
        The sketches of these cases, where there are any.
    """
    group_of: dict[int, int] = {}  # by the group's first case
    members: dict[int, list[int]] = {}
    of_table: dict[str, int] = {}
    compared = _Compared({case: sketch for case, sketch in sketches.items() if case in tables})
    for case, table in sorted(tables.items()):
        near = [of_table.setdefault(table, case)] if table else []
        near += compared.like(case)
        group_of[case], members[case] = case, [case]
        first = min(group_of[other] for other in (case, *near))
        for joined in {group_of[other] for other in (case, *near)} - {first}:
            members[first] += members[joined]
            group_of |= dict.fromkeys(members.pop(joined), first)
    return [tuple(sorted(group)) for group in members.values() if len(group) > 1]


class _Compared:
    """Index of earlier cases' sketches by hash, so that not every pair of cases has to be compared.

    Only hashes of several sketches are indexed: of unrelated cases these are few, and the index of all would be forty
    times as large as the sketches.
    """

    def __init__(self, sketches: Mapping[int, str]) -> None:
        self._sketches = sketches
        self._shared = _shared_hashes(sketches.values())
        self._case_of: dict[str, int] = {}
        self._cases_with: dict[int, list[int]] = defaultdict(list)

    def like(self, case: int) -> Iterator[int]:
        """Yield earlier cases that resemble this one, and add this one to the index."""
        sketch = self._sketches.get(case, "")
        if sketch in self._case_of:
            yield self._case_of[sketch]
        elif sketch:
            hashes = frozenset(hashes_in(sketch))
            indexed = hashes & self._shared
            shared = Counter(other for item in indexed for other in self._cases_with.get(item, ()))
            for other, count in shared.items():
                if count >= FEWEST_SHARED and self._resemblance(hashes, other) >= FEWEST_SHARED:
                    yield other
            self._case_of[sketch] = case
            for item in indexed:
                if len(self._cases_with[item]) < MOST_NAMED:
                    self._cases_with[item].append(case)

    def _resemblance(self, hashes: frozenset[int], other: int) -> int:
        """Return how many of the `SIZE` smallest hashes of both sketches occur in each of them."""
        others = frozenset(hashes_in(self._sketches[other]))
        return sum(item in hashes and item in others for item in sorted(hashes | others)[:SIZE])


def _shared_hashes(sketches: Iterable[str]) -> frozenset[int]:
    """Return the hashes that occur in several different sketches."""
    each = (item for sketch in dict.fromkeys(sketches) if sketch for item in frozenset(hashes_in(sketch)))
    every = np.fromiter(each, dtype=np.uint32)
    every.sort()
    return frozenset(every[1:][every[1:] == every[:-1]].tolist())
