"""Cases that are one recording under two numbers: a subject could so stand in two splits without anybody knowing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import product

from preprocessing.config import Config, Input
from preprocessing.harmonize.receipt import Receipt
from preprocessing.harmonize.series import FeatureQuality

__all__ = ["near_duplicates"]

FEWEST_SHARED = 5  # inputs that vary and agree: of unrelated cases, one pair in 10^8 would agree in as many by chance
SAME_MEAN = 0.002  # of the normalization range; the means of unrelated cases lie a tenth of it apart
SAME_LENGTH = 0.02
CELL_INPUTS = 2


def near_duplicates(receipts: Mapping[int, Receipt], config: Config) -> list[tuple[int, ...]]:
    """Return the groups of harmonized cases that are (nearly) one recording, each by case number.

    A case belongs to a group if its table has the SHA-256 of one of the group; or if it records the same inputs as the
    group's first case, is as long within 2 %, and the mean of every input that varies in both agrees within 0.2 % of
    its range, in five inputs at least. Doses and tidal volumes are left out: they depend on the weight in the clinical
    table.
    """
    inputs = [item for item in config.inputs if not _per_weight(item)]
    groups: dict[int, list[int]] = {}  # by their first case
    of_table: dict[str, int] = {}
    cells: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for case, receipt in sorted(receipts.items()):
        varying = _varying(receipt, inputs)
        first = of_table.get(receipt.parquet_sha256 or "")
        if first is None and len(varying) >= FEWEST_SHARED:
            near = (other for cell in _cells_around(varying, inputs) for other in cells.get(cell, ()))
            first = next((other for other in near if _alike(receipt, receipts[other], inputs)), None)
            if first is None:
                cells[next(_cells_around(varying, inputs, reach=(0,)))].append(case)
        first = case if first is None else first
        groups.setdefault(first, []).append(case)
        if receipt.parquet_sha256:
            of_table.setdefault(receipt.parquet_sha256, first)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _per_weight(item: Input) -> bool:
    return any(source.conversion is not None and source.conversion.factor is None for source in item.sources)


def _varying(receipt: Receipt, inputs: list[Input]) -> dict[str, float]:
    """Return the means of the inputs that a case recorded with more than one value."""
    found = {}
    for item in inputs:
        quality = receipt.features.get(item.name)
        if quality is not None and quality.mean is not None and quality.minimum != quality.maximum:
            found[item.name] = quality.mean
    return found


def _cells_around(
    means: Mapping[str, float], inputs: list[Input], *, reach: tuple[int, ...] = (-1, 0, 1)
) -> Iterator[tuple[object, ...]]:
    """Yield the cells in which a like case can stand, so that not every pair of cases has to be compared."""
    ranges = {item.name: item.range for item in inputs}
    chosen = list(means)[:CELL_INPUTS]
    places = [int(means[name] // (SAME_MEAN * (ranges[name][1] - ranges[name][0]))) for name in chosen]
    for steps in product(reach, repeat=len(chosen)):
        yield (frozenset(means), *(place + step for place, step in zip(places, steps, strict=True)))


def _alike(a: Receipt, b: Receipt, inputs: list[Input]) -> bool:
    lengths = sorted((a.seconds or 0, b.seconds or 0))
    if lengths[1] - lengths[0] > SAME_LENGTH * lengths[1]:
        return False
    return all(
        _same_mean(a.features[item.name], b.features[item.name], item)
        for item in inputs
        if item.name in _varying(a, inputs)
    )


def _same_mean(a: FeatureQuality, b: FeatureQuality, item: Input) -> bool:
    if a.mean is None or b.mean is None:
        return False
    return abs(a.mean - b.mean) <= SAME_MEAN * (item.range[1] - item.range[0])
