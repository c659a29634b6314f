"""Histograms and origins of targets, against counts made by hand."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalprep.contract.config_file import load_config
from vitalprep.features.samples import samples_of
from vitalprep.features.statistics import added, bins_of, coverage_of, statistics_of, target_origins_of

CONFIG = load_config()
STATIC = (50.0, 1.0, 170.0, 70.0, 24.2, 2.0)


def _table(columns: dict[str, list[float]]) -> np.ndarray:
    length = max(map(len, columns.values()))
    rows = [
        columns.get(item.name, []) + [math.nan] * (length - len(columns.get(item.name, []))) for item in CONFIG.inputs
    ]
    return np.array(rows, dtype=np.float32).T


def _statistics(columns: dict[str, list[float]]):  # type: ignore[no-untyped-def]
    return statistics_of(samples_of(_table(columns), STATIC, (0,) * 6, CONFIG), CONFIG)


def test_whole_numbers_fall_into_whole_bins() -> None:
    """HR 20-200 in 45 bins of four beats: 20-23, 24-27, ..., 196-200."""
    values = [19.0, 20.0, 23.0, 24.0, 196.0, 200.0, 201.0, math.nan]
    histogram = _statistics({"HR": values})["HR"].histogram
    assert len(histogram) == 45 + 2
    assert {place: count for place, count in enumerate(histogram) if count} == {0: 1, 1: 2, 2: 1, 45: 2, 46: 1}


@pytest.mark.parametrize(
    ("bounds", "bins"),
    [((20, 200), 45), ((70, 100), 30), ((0, 100), 50), ((6, 30), 24), ((0, 0.8), 20), ((21, 100), 20), ((2, 8), 20)],
)
def test_a_bin_is_a_whole_number_wide_where_there_are_enough(bounds: tuple[float, float], bins: int) -> None:
    assert bins_of(bounds) == bins


@given(
    st.lists(
        st.integers(-50, 400).map(float) | st.floats(0, 300, width=32) | st.just(math.nan), min_size=1, max_size=80
    )
)
def test_every_observed_second_is_in_one_bin(values: list[float]) -> None:
    found = _statistics({"HR": values, "BIS": values})
    for name, low, high in (("HR", 20.0, 200.0), ("BIS", 0.0, 100.0)):
        measured = [float(np.float32(value)) for value in values if not math.isnan(value)]
        histogram, width = found[name].histogram, (high - low) / bins_of((low, high))
        expected: Counter[int] = Counter()
        for value in measured:
            inside = min(int((value - low) / width), len(histogram) - 3)
            expected[0 if value < low else len(histogram) - 1 if value > high else 1 + inside] += 1
        assert dict(expected) == {place: count for place, count in enumerate(histogram) if count}
        assert sum(histogram) == found[name].observed == len(measured)
        assert found[name].cases == bool(measured)


def test_cases_add_up() -> None:
    first, second = _statistics({"HR": [60.0, 70.0]}), _statistics({"HR": [60.0], "BIS": [40.0]})
    both = added(added({}, first), second)
    assert both["HR"].histogram == tuple(np.add(first["HR"].histogram, second["HR"].histogram).tolist())
    assert (both["HR"].cases, both["BIS"].cases, both["SPO2"].cases) == (2, 1, 0)


def test_targets_are_counted_where_the_windows_have_them() -> None:
    """Windows of 300 s begin at 0, 30 and 60; their targets lie at 329, 359 and 389."""
    rate = [5.0] * 330 + [math.nan] * 40 + [5.0] * 40
    table = _table({"HR": [70.0] * 410, "Propofol_INF": rate, "RR": [12.0] * 320})
    samples = samples_of(table, STATIC, (0,) * 6, CONFIG)
    assert samples.starts.tolist() == [0, 30, 60]
    found = target_origins_of(samples, CONFIG)
    assert found["Propofol"].content() == {"observed": 2, "held": 1, "default": 0}
    assert found["RR"].content() == {"observed": 0, "held": 2, "default": 1}
    assert found["TV"].content() == {"observed": 0, "held": 0, "default": 3}


def test_coverage_gives_gaps_before_between_and_after() -> None:
    table = np.full((400, len(CONFIG.inputs)), np.nan, dtype=np.float32)
    table[10:200, 0] = table[260:300, 0] = table[305, 0] = 80
    table[399, 1] = 120
    found = coverage_of(samples_of(table, STATIC, (0,) * 6, CONFIG), CONFIG)
    assert found["HR"] == (190 + 40 + 1, 10, 60, 94)
    assert found["BP_SYS"] == (1, 399, 0, 0)
    assert found["BIS"] == (0, 400, 0, 0)
