"""Imputation and normalization against the slow reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import design4
from vitalprep.contract.config_file import load_config
from vitalprep.features.impute import impute
from vitalprep.features.normalize import denormalize, normalize

CONFIG = load_config()
RANGES = [(item.name, *item.range) for item in (*CONFIG.inputs, *CONFIG.statics)]
NAN = math.nan

columns = st.lists(st.just(NAN) | st.floats(-1e6, 1e6, width=32), max_size=60).map(
    lambda values: np.array(values, dtype=np.float32)
)
gappy = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 5)), max_size=6).map(
    lambda runs: np.array([x for gap, live in runs for x in [NAN] * gap + [float(live)] * live], dtype=np.float32)
)


@settings(max_examples=150, deadline=None)
@given(values=columns | gappy, default=st.floats(-100, 200), hold=st.integers(0, 20), causal=st.booleans())
def test_any_series_equals_the_reference(values: np.ndarray, default: float, hold: int, causal: bool) -> None:
    filled, origin = impute(values, default=default, hold=hold, causal=causal)
    wanted, wanted_origin = design4.impute(values.tolist(), default, hold, causal=causal)
    assert (filled.dtype, origin.dtype) == (np.float64, np.uint8)
    assert filled.tolist() == wanted
    assert origin.tolist() == wanted_origin


@settings(max_examples=60, deadline=None)
@given(values=columns | gappy, hold=st.integers(0, 20), cut=st.integers(0, 60))
def test_causal_samples_do_not_depend_on_the_future(values: np.ndarray, hold: int, cut: int) -> None:
    filled, origin = impute(values, default=7.5, hold=hold, causal=True)
    known, known_origin = impute(values[:cut], default=7.5, hold=hold, causal=True)
    np.testing.assert_array_equal(filled[:cut], known)
    np.testing.assert_array_equal(origin[:cut], known_origin)


def test_each_rule_of_the_imputation_once() -> None:
    values = np.array([NAN, NAN, 80, NAN, NAN, NAN, 90, NAN, NAN, NAN], dtype=np.float32)
    filled, origin = impute(values, default=70, hold=2, causal=False)
    assert filled.tolist() == [70, 70, 80, 80, 80, 80, 90, 90, 90, 70]
    assert origin.tolist() == [2, 2, 0, 1, 1, 1, 0, 1, 1, 2]
    filled, origin = impute(values, default=70, hold=2, causal=True)
    assert filled.tolist() == [70, 70, 80, 80, 80, 70, 90, 90, 90, 70]
    assert origin.tolist() == [2, 2, 0, 1, 1, 2, 0, 1, 1, 2]


@pytest.mark.parametrize("causal", [False, True])
def test_a_series_never_observed_is_its_default(causal: bool) -> None:
    for name, default in (("HR", 70), ("BP_SYS", 140), ("BP_DIA", 80), ("BP_MAP", 93), ("SPO2", 96), ("ETCO2", 0)):
        item = next(item for item in CONFIG.inputs if item.name == name)
        nothing = np.full(400, NAN, dtype=np.float32)
        filled, origin = impute(nothing, default=item.default, hold=item.hold, causal=causal)
        assert set(filled.tolist()) == {default}
        assert set(origin.tolist()) == {2}
    assert [len(part) for part in impute(np.empty(0, dtype=np.float32), default=1, hold=1, causal=causal)] == [0, 0]


@pytest.mark.parametrize(("name", "low", "high"), RANGES)
def test_every_range_of_the_registry(name: str, low: float, high: float) -> None:
    inside = np.linspace(low, high, 101)
    scaled = normalize(inside, (low, high))
    assert scaled.dtype == np.float32
    assert [scaled[0], scaled[50], scaled[100]] == [-1, pytest.approx(0, abs=1e-7), 1]
    np.testing.assert_allclose(denormalize(scaled, (low, high)), inside, rtol=0, atol=(high - low) * 1e-7)
    span = high - low
    outside = [low - span, low - 1e-9 * span, high + 1e-9 * span, high + span, -math.inf, math.inf]
    assert normalize(outside, (low, high)).tolist() == [-1, -1, 1, 1, -1, 1]
    assert denormalize([-1, 1], (low, high)).tolist() == [low, high]


@settings(max_examples=150, deadline=None)
@given(bounds=st.sampled_from(RANGES), value=st.floats(-2000, 2000) | st.floats(-1, 9))
def test_any_value_equals_the_reference(bounds: tuple[str, float, float], value: float) -> None:
    _, low, high = bounds
    scaled = normalize(value, (low, high))
    assert scaled == design4.normalize(value, low, high)
    assert -1 <= scaled <= 1
    if low <= value <= high:
        assert denormalize(scaled, (low, high)) == pytest.approx(value, rel=0, abs=(high - low) * 1e-7)


def test_defaults_outside_their_range_clip_to_the_bottom() -> None:
    for name in ("ETCO2", "FIO2", "RR"):
        item = next(item for item in CONFIG.inputs if item.name == name)
        assert normalize(item.default, item.range) == -1
    assert [normalize(sex, (-1, 1)) for sex in (-1, 1)] == [-1, 1]
