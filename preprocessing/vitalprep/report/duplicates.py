"""Cases that are one recording under two numbers, by which a subject could be in two splits unnoticed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from vitalprep.contract.build_summary import SIZE
from vitalprep.contract.receipt import Receipt
from vitalprep.features.sketch import hashes_in

__all__ = ["near_duplicates"]

FEWEST_SHARED = SIZE // 6  # hashes; unrelated cases share one of 48 at most, what was cut by half shares 24
MOST_NAMED = 64  # cases that are kept to compare with for each hash: copies of one recording have them all in common


def near_duplicates(receipts: Mapping[int, Receipt], sketches: Mapping[int, str]) -> list[tuple[int, ...]]:
    """Return groups of cases that are (nearly) the same recording, by case number.

    Two cases are of one group if their tables hold the same values, or if their sketches say that at least a sixth of
    what both hold together is in both: the number of hashes that both have among the smallest of either, which
    estimates it (Broder 1997, see `sketch_of`). That finds copies with other weights, of another export, and cut by
    half; not those in which more than every thirteenth value is another one. A case without a sketch, of too few
    changes or of an earlier build, is found by its table alone.
    """
    group_of: dict[int, int] = {}  # by the group's first case
    members: dict[int, list[int]] = {}
    of_table: dict[str, int] = {}
    compared = _Compared()
    for case, receipt in sorted(receipts.items()):
        near = [of_table.setdefault(receipt.values_digest, case)] if receipt.values_digest else []
        near += compared.like(case, sketches.get(case, ""))
        group_of[case], members[case] = case, [case]
        first = min(group_of[other] for other in (case, *near))
        for joined in {group_of[other] for other in (case, *near)} - {first}:
            members[first] += members[joined]
            group_of |= dict.fromkeys(members.pop(joined), first)
    return [tuple(sorted(group)) for group in members.values() if len(group) > 1]


class _Compared:
    """Index of earlier cases' sketches by hash, so that not every pair of cases has to be compared."""

    def __init__(self) -> None:
        self._case_of: dict[str, int] = {}
        self._hashes: dict[int, frozenset[int]] = {}
        self._cases_with: dict[int, list[int]] = defaultdict(list)

    def like(self, case: int, sketch: str) -> Iterator[int]:
        """Yield earlier cases that resemble this one, and add this one to the index."""
        if sketch in self._case_of:
            yield self._case_of[sketch]
        elif sketch:
            hashes = frozenset(hashes_in(sketch))
            shared = Counter(other for item in hashes for other in self._cases_with.get(item, ()))
            for other, count in shared.items():
                if count >= FEWEST_SHARED and self._resemblance(hashes, self._hashes[other]) >= FEWEST_SHARED:
                    yield other
            self._case_of[sketch], self._hashes[case] = case, hashes
            for item in hashes:
                if len(self._cases_with[item]) < MOST_NAMED:
                    self._cases_with[item].append(case)

    @staticmethod
    def _resemblance(a: frozenset[int], b: frozenset[int]) -> int:
        """Return how many of the `SIZE` smallest hashes of both sketches occur in each of them."""
        return sum(item in a and item in b for item in sorted(a | b)[:SIZE])
