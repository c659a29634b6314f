"""Hand-worked examples of causal imputation and of observed windows, for the slow reference.

The reference is `tests.reference.second_round`: docs/design.md, rulings 10 and 11.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import design4
from tests.reference.second_round import (
    HOLDS,
    Rules,
    choose_windows,
    has_observed_second,
    impute_causal,
    observed_inputs,
    observed_runs,
    target_replays,
    window_replays,
)

NAN = math.nan

series = st.lists(st.just(NAN) | st.floats(-1e3, 1e3, width=32), min_size=1, max_size=60)
tables = st.integers(1, 60).flatmap(
    lambda n: st.lists(
        st.lists(st.just(NAN) | st.just(NAN) | st.sampled_from([0.0, 80.0]), min_size=n, max_size=n),
        min_size=1,
        max_size=4,
    )
)


def only(seconds: set[int], n: int, value: float = 80.0) -> list[float]:
    """Return a series that is observed in some seconds alone."""
    return [value if k in seconds else NAN for k in range(n)]


# --- Ruling 10 ------------------------------------------------------------------------------


def test_the_hold_ends_after_its_last_second() -> None:
    values, origins = impute_causal(only({0}, 603), 70, HOLDS["HR"])
    assert (values[600], origins[600]) == (80, 1)
    assert (values[601], origins[601]) == (70, 2)
    values, origins = impute_causal(only({0}, 63, 42.0), 0, HOLDS["BIS"])
    assert (values[60], origins[60]) == (42, 1)
    assert (values[61], origins[61]) == (0, 2)


def test_a_pump_whose_track_pauses_stands_for_ten_minutes_and_is_then_the_default() -> None:
    values, origins = impute_causal([6.0, *[NAN] * 700, 6.0], 0, HOLDS["Propofol_INF"])
    assert values == [6.0] * 601 + [0.0] * 100 + [6.0]
    assert origins == [0] + [1] * 600 + [2] * 100 + [0]


def test_an_observation_of_0_is_held_like_any_other() -> None:
    assert impute_causal([0.0, NAN, NAN], 70, 1) == ([0.0, 0.0, 70], [0, 1, 2])


def test_an_observation_begins_the_hold_anew() -> None:
    assert impute_causal([1.0, NAN, 2.0, NAN, NAN, NAN], 9, 2) == ([1, 1, 2, 2, 2, 9], [0, 1, 0, 1, 1, 2])


def test_every_input_has_a_hold() -> None:
    assert sorted(HOLDS.values()) == [60] * 8 + [300] + [600] * 7


@settings(max_examples=150, deadline=None)
@given(values=series, default=st.floats(-100, 200), hold=st.integers(0, 20))
def test_it_is_the_causal_case_of_the_earlier_reference(values: list[float], default: float, hold: int) -> None:
    assert impute_causal(values, default, hold) == design4.impute(values, default, hold, causal=True)


@settings(max_examples=150, deadline=None)
@given(values=series, hold=st.integers(0, 20), window=st.integers(1, 20), horizon=st.integers(0, 9))
def test_windows_and_targets_replay_from_the_prefix(values: list[float], hold: int, window: int, horizon: int) -> None:
    def impute(known: Sequence[float]) -> tuple[list[float], list[int]]:
        return impute_causal(known, 7.5, hold)

    for start in design4.window_starts(len(values), window, 1, horizon):
        assert window_replays(impute, values, start, window)
        assert target_replays(impute, values, start, window, horizon)


def test_a_gap_that_ends_later_shows_in_a_window_unless_the_imputation_is_causal() -> None:
    values = [80.0, NAN, NAN, NAN, 90.0]
    assert design4.impute(values, 70, 1) == ([80, 80, 80, 80, 90], [0, 1, 1, 1, 0])
    assert design4.impute(values[:4], 70, 1) == ([80, 80, 70, 70], [0, 1, 2, 2])
    assert not window_replays(lambda known: design4.impute(known, 70, 1), values, 0, 4)
    assert window_replays(lambda known: impute_causal(known, 70, 1), values, 0, 4)


# --- Ruling 11 ------------------------------------------------------------------------------


def test_runs_touch_both_ends_of_the_table_and_inputs_take_turns() -> None:
    assert observed_runs([only({0, 1}, 6), only({2, 5}, 6)]) == [(0, 2), (5, 5)]


@settings(max_examples=150, deadline=None)
@given(inputs=tables, window=st.integers(1, 12), step=st.integers(1, 5))
def test_the_runs_answer_the_default_without_the_table(inputs: list[list[float]], window: int, step: int) -> None:
    runs = observed_runs(inputs)
    for start in design4.window_starts(len(inputs[0]), window, step, 0):
        assert has_observed_second(runs, start, window) == (observed_inputs(inputs, start, window) >= 1)


@pytest.mark.parametrize(
    ("second", "unobserved"),
    [(0, 2), (9, 2), (10, 2), (29, 2), (30, 3), (34, 3)],
    ids=["first", "last", "first of the second", "last of the third", "after it", "target of the third"],
)
def test_one_observed_second_keeps_the_windows_that_hold_it(second: int, unobserved: int) -> None:
    """Windows [0, 9], [10, 19] and [20, 29]; their targets are seconds 14, 24 and 34."""
    chosen = choose_windows([only({second}, 35)], vitals=[0], targets=[0], rules=Rules(window=10, step=10, horizon=5))
    assert (chosen.possible, chosen.unobserved, chosen.dropped) == (3, unobserved, 0)
    assert len(chosen.starts) == 3 - unobserved
    assert chosen.reason == (None if chosen.starts else "no_window")


def test_an_observed_target_does_not_keep_a_window() -> None:
    rules = Rules(window=10, step=10, horizon=5)
    chosen = choose_windows([only({14}, 15)], vitals=[0], targets=[0], rules=rules)
    assert (chosen.unobserved, chosen.reason) == (1, "no_window")
    with_horizon_0 = choose_windows([only({9}, 10)], vitals=[0], targets=[0], rules=replace(rules, horizon=0))
    assert with_horizon_0.starts == [0]


def test_each_input_needs_a_second_of_its_own() -> None:
    inputs = [only({3}, 15), only({7}, 15), only({14}, 15)]
    rules = Rules(window=10, step=10, horizon=5)
    kept = []
    for count in range(5):
        chosen = choose_windows(inputs, vitals=[0], targets=[2], rules=replace(rules, min_observed_inputs=count))
        assert (chosen.unobserved, chosen.dropped) == (1 - len(chosen.starts), 0)
        kept.append(len(chosen.starts))
    assert kept == [1, 1, 1, 0, 0], "three inputs of which the third is observed at the target alone"


def test_more_inputs_than_there_are_leave_no_window() -> None:
    rules = Rules(window=2, step=1, horizon=0, min_observed_inputs=3)
    chosen = choose_windows([[1.0] * 4, [1.0] * 4], vitals=[0], targets=[1], rules=rules)
    assert (chosen.starts, chosen.unobserved, chosen.possible, chosen.reason) == ([], 3, 3, "no_window")


def test_unobserved_counts_before_dropped_and_a_window_counts_once() -> None:
    """Windows [0, 3], [4, 7] and [8, 11]: nothing, a quarter of the vital sign, all of it; targets 4, 8 and 12."""
    vital, pump = only({5, 8, 9, 10, 11, 12}, 13), only({12}, 13)
    rules = Rules(window=4, step=4, horizon=1, min_observed_fraction=0.5, min_target_observed=0.5)
    chosen = choose_windows([vital, pump], vitals=[0], targets=[1], rules=rules)
    assert (chosen.starts, chosen.unobserved, chosen.dropped, chosen.possible) == ([8], 1, 1, 3)
    all_kept = choose_windows(
        [vital, pump], vitals=[0], targets=[1], rules=Rules(window=4, step=4, horizon=1, min_observed_inputs=0)
    )
    assert (all_kept.starts, all_kept.unobserved, all_kept.dropped) == ([0, 4, 8], 0, 0)
    by_share = choose_windows([vital, pump], vitals=[0], targets=[1], rules=replace(rules, min_observed_inputs=0))
    assert (by_share.starts, by_share.unobserved, by_share.dropped) == ([8], 0, 2)


def test_a_share_equal_to_its_minimum_is_enough() -> None:
    """Of four vital samples two, of two targets one."""
    inputs = [only({0, 1}, 5), only({0, 4}, 5)]
    rules = Rules(window=4, step=4, horizon=1)
    for share, kept in ((0.5, [0]), (0.51, [])):
        for demanded in (replace(rules, min_observed_fraction=share), replace(rules, min_target_observed=share)):
            chosen = choose_windows(inputs, vitals=[0], targets=[0, 1], rules=demanded)
            assert (chosen.starts, chosen.dropped) == (kept, 1 - len(kept))


def test_a_held_target_is_not_observed() -> None:
    inputs = [only({0, 1, 2}, 5)]
    rules = Rules(window=4, step=4, horizon=1, min_target_observed=1.0)
    assert choose_windows(inputs, vitals=[0], targets=[0], rules=rules).dropped == 1


def test_no_window_fits() -> None:
    chosen = choose_windows([[1.0] * 329], vitals=[0], targets=[0], rules=Rules())
    assert (chosen.possible, chosen.unobserved, chosen.dropped, chosen.reason) == (0, 0, 0, "too_short")


@settings(max_examples=150, deadline=None)
@given(
    inputs=tables,
    window=st.integers(1, 8),
    horizon=st.integers(0, 3),
    count=st.integers(0, 5),
    vitals_share=st.sampled_from([0, 0.25, 1]),
    targets_share=st.sampled_from([0, 0.5, 1]),
)
def test_each_possible_window_is_counted_once(
    inputs: list[list[float]], window: int, horizon: int, count: int, vitals_share: float, targets_share: float
) -> None:
    rules = Rules(
        window=window,
        step=2,
        horizon=horizon,
        min_observed_inputs=count,
        min_observed_fraction=vitals_share,
        min_target_observed=targets_share,
    )
    chosen = choose_windows(inputs, vitals=[0], targets=[len(inputs) - 1], rules=rules)
    assert len(chosen.starts) + chosen.unobserved + chosen.dropped == chosen.possible
    assert (chosen.reason is None) == bool(chosen.starts)
