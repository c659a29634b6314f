"""A case's sketch: equal to a slow literal implementation; changes that must and must not affect it."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from vitalprep.contract.build_summary import SIZE
from vitalprep.contract.config_file import load_config
from vitalprep.features.sketch import hashes_in, sketch_of

CONFIG = load_config()
NAMES = [item.name for item in CONFIG.inputs]
OF_THE_CLINICAL_TABLE = ("Propofol_INF", "Remifentanil_INF", "Noradrenalin_INF", "TV")


def table_of(columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
    """A table as it is read: column after column in memory, NaN in all that are not given."""
    length = max(map(len, columns.values()))
    rows = np.full((len(NAMES), length), np.nan, dtype=np.float32)
    for name, values in columns.items():
        rows[NAMES.index(name), : len(values)] = values
    return rows.T


def walk(seed: int, length: int = 2000, *, hold: int = 2, step: float = 1.0) -> NDArray[np.float64]:
    """A signal of whole steps about 60, each value shown for `hold` seconds, with a gap in it."""
    random = np.random.default_rng(seed)
    values = 60 + step * np.cumsum(random.integers(-2, 3, length // hold) - 0.0)
    shown = np.clip(np.repeat(values, hold), 20, 100)
    shown[length // 3 : length // 3 + 25] = np.nan
    return shown


def slow_sketch(table: NDArray[np.float32]) -> list[int]:
    """Reference implementation, one value at a time."""
    found = set()
    for row, name in enumerate(name for name in NAMES if name not in OF_THE_CLINICAL_TABLE):
        low, high = CONFIG.inputs[NAMES.index(name)].range
        sequence: list[int] = []
        before = None
        for value in table[:, NAMES.index(name)].tolist():
            if not math.isnan(value) and value != before:
                step = round(float(np.float32(value) * np.float32(4096 / (high - low))))
                sequence += [step] if not sequence or step != sequence[-1] else []
            before = value
        for start in range(len(sequence) - 15):
            shingle = sequence[start : start + 16]
            rises = sum(b > a for a, b in pairwise(shingle))
            if len(set(shingle)) >= 4 and 3 <= rises <= 12:
                number = 0
                for step in shingle:
                    number = (number * 0x9E3779B1 + step + (row << 20)) % 2**32
                number = (number ^ number >> 16) * 0x85EBCA6B % 2**32
                number = (number ^ number >> 13) * 0xC2B2AE35 % 2**32
                found.add(number ^ number >> 16)
    return sorted(found)[:SIZE]


def shared(a: str, b: str) -> int:
    return len(set(hashes_in(a)) & set(hashes_in(b)))


@pytest.mark.parametrize("seed", range(3))
def test_a_sketch_equals_the_slow_reference(seed: int) -> None:
    table = table_of({"HR": walk(seed), "BIS": walk(seed + 100, hold=1, step=0.1), "RR": walk(seed, hold=40)})
    assert list(hashes_in(sketch_of(table, CONFIG))) == slow_sketch(table)


def test_a_sketch_is_small() -> None:
    """3,000 of them with their names and commas are less than a megabyte."""
    sketch = sketch_of(table_of({"BIS": walk(1, 40_000)}), CONFIG)
    assert len(hashes_in(sketch)) == SIZE
    assert 3000 * len(f'"3000":"{sketch}",') < 1_000_000
    assert base64.b64decode(sketch, validate=True)


def test_start_pace_and_last_digit_do_not_change_a_sketch() -> None:
    whole = table_of({"HR": walk(5), "BIS": walk(6)})
    sketch = sketch_of(whole, CONFIG)
    lines = np.repeat(np.arange(len(whole)), 3)
    slower = np.asfortranarray(whole[lines])
    assert sketch_of(slower, CONFIG) == sketch
    assert sketch_of(whole * np.float32(1 + 1e-6), CONFIG) == sketch
    for first, last in ((0, 1970), (30, 2000), (11, 1990)):
        assert shared(sketch_of(np.asfortranarray(whole[first:last]), CONFIG), sketch) >= SIZE - 5
    half = shared(sketch_of(np.asfortranarray(whole[:1000]), CONFIG), sketch)
    assert 8 <= half <= SIZE - 8


def test_the_clinical_table_does_not_change_a_sketch() -> None:
    columns = {name: walk(number) for number, name in enumerate(["BIS", *OF_THE_CLINICAL_TABLE])}
    heavier = {name: values * (0.8 if name in OF_THE_CLINICAL_TABLE else 1) for name, values in columns.items()}
    assert sketch_of(table_of(heavier), CONFIG) == sketch_of(table_of(columns), CONFIG) != ""
    del columns["BIS"]
    assert sketch_of(table_of(columns), CONFIG) == ""


def test_different_inputs_share_no_shingles() -> None:
    values = walk(3)
    a, b = (sketch_of(table_of({name: values}), CONFIG) for name in ("BP_SYS", "BP_MAP"))
    assert shared(a, b) == 0


@pytest.mark.parametrize(
    "values",
    [
        np.full(9000, 97.7),
        np.full(9000, np.nan),
        np.tile([98.0, 99.0], 4500),
        np.tile([97.0, 98.0, 99.0], 3000),
        np.repeat([0.0, 1.5, 0.5, 2.5] * 12, 100),
        np.concatenate([np.linspace(20, 90, 500), np.linspace(90, 20, 500)]),
        np.array([50.0]),
    ],
    ids=["constant", "never measured", "two values", "three values", "few changes", "ramps", "one second"],
)
def test_a_nearly_constant_signal_has_no_sketch(values: NDArray[np.float64]) -> None:
    assert sketch_of(table_of({"BIS": values, "SPO2": values}), CONFIG) == ""
