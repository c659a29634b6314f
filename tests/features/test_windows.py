"""Window starts against the slow reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import design4
from vitalprep.contract.config import Windowing
from vitalprep.features.windows import observed_enough, window_starts

SPECIFIED = Windowing(window=300, step=30, target_horizon=30, min_observed_fraction=0)


@settings(max_examples=150, deadline=None)
@given(n=st.integers(0, 1500), window=st.integers(1, 400), step=st.integers(1, 90), horizon=st.integers(0, 90))
def test_any_windowing_equals_the_reference(n: int, window: int, step: int, horizon: int) -> None:
    windowing = Windowing(window=window, step=step, target_horizon=horizon, min_observed_fraction=0)
    assert window_starts(n, windowing).tolist() == design4.window_starts(n, window, step, horizon)


@pytest.mark.parametrize(
    ("seconds", "count"), [(0, 0), (1, 0), (329, 0), (330, 1), (359, 1), (360, 2), (389, 2), (390, 3), (10_800, 350)]
)
def test_number_of_windows_as_specified(seconds: int, count: int) -> None:
    starts = window_starts(seconds, SPECIFIED)
    assert starts.dtype == np.int64
    assert starts.tolist() == list(range(0, 30 * count, 30))


def test_horizon_0_needs_no_second_after_the_window() -> None:
    windowing = SPECIFIED.model_copy(update={"target_horizon": 0})
    assert [len(window_starts(seconds, windowing)) for seconds in (299, 300, 329, 330)] == [0, 1, 1, 2]


@settings(max_examples=100, deadline=None)
@given(
    origins=st.lists(st.lists(st.integers(0, 2), min_size=7, max_size=7), min_size=1, max_size=40),
    window=st.integers(1, 12),
    step=st.integers(1, 5),
    horizon=st.integers(0, 3),
    data=st.data(),
)
def test_observed_share_equals_the_reference(
    origins: list[list[int]], window: int, step: int, horizon: int, data: st.DataObject
) -> None:
    """Also where the share is the minimum exactly."""
    samples = 7 * window
    share = data.draw(st.integers(0, samples).map(lambda count: count / samples) | st.floats(0, 1))
    windowing = Windowing(window=window, step=step, target_horizon=horizon, min_observed_fraction=share)
    starts = window_starts(len(origins), windowing)
    kept = observed_enough(starts, np.array(origins, dtype=np.uint8), windowing)
    by_vital = np.array(origins).T.tolist()
    wanted = [design4.observed_fraction(by_vital, start=int(start), window=window) >= share for start in starts]
    assert kept.tolist() == wanted


def test_the_target_second_is_not_part_of_the_observed_share() -> None:
    origins = np.full((40, 7), 2, dtype=np.uint8)
    origins[:10] = 0
    windowing = Windowing(window=10, step=10, target_horizon=5, min_observed_fraction=1)
    assert observed_enough(window_starts(40, windowing), origins, windowing).tolist() == [True, False, False]
