"""Cases that are one recording under two numbers: a subject could so stand in two splits without anybody knowing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise, product

from preprocessing.config import Config, Input
from preprocessing.harmonize.receipt import Receipt
from preprocessing.harmonize.series import FeatureQuality

__all__ = ["near_duplicates"]

FEWEST_SHARED = 5  # inputs that vary and agree: of unrelated cases, one pair in 10^8 would agree in as many by chance
SAME_MEAN = 0.002  # of the normalization range; the means of unrelated cases lie a tenth of it apart
SAME_LENGTH = 0.02
CELL_INPUTS = 2


def near_duplicates(receipts: Mapping[int, Receipt], config: Config) -> list[tuple[int, int]]:
    """Return the pairs of harmonized cases that are (nearly) the same recording, by case number.

    Two cases are, if their tables have the same SHA-256; or if they record the same inputs, are equally long within
    2 %, and the mean of every input that varies in both agrees within 0.2 % of its range, in five inputs at least.
    Doses and tidal volumes are left out: they depend on the weight in the clinical table.
    """
    pairs = {pair for cases in _same_tables(receipts).values() for pair in pairwise(cases)}
    inputs = [item for item in config.inputs if not _per_weight(item)]
    cells: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for case, receipt in sorted(receipts.items()):
        varying = _varying(receipt, inputs)
        if len(varying) < FEWEST_SHARED:
            continue
        for other in {other for cell in _cells_around(varying, inputs) for other in cells.get(cell, ())}:
            if _alike(receipt, receipts[other], inputs):
                pairs.add((other, case))
        cells[next(_cells_around(varying, inputs, reach=(0,)))].append(case)
    return sorted(pairs)


def _same_tables(receipts: Mapping[int, Receipt]) -> dict[str, list[int]]:
    tables: dict[str, list[int]] = defaultdict(list)
    for case, receipt in sorted(receipts.items()):
        if receipt.parquet_sha256:
            tables[receipt.parquet_sha256].append(case)
    return tables


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
