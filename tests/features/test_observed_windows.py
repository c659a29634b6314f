"""Which windows are kept, and that none depends on the future, against the independent reference of rulings 10, 11."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.test_samples import STATIC, STATIC_ORIGIN, TARGETS, random_table
from tests.reference import second_round
from tests.reference.second_round import Rules
from vitalprep.contract.config_file import load_config
from vitalprep.contract.table import observed_runs
from vitalprep.features.impute import impute
from vitalprep.features.samples import samples_of
from vitalprep.features.windows import depends_on_runs_alone, in_runs, window_starts

WINDOWS = {"window": 12, "step": 4, "horizon": 3}
tables = st.builds(random_table, st.integers(0, 2**32), st.integers(1, 90))


def silent(table: np.ndarray, between: list[tuple[int, int]]) -> np.ndarray:
    """Blank some stretches of a table, in which then nothing is observed."""
    table = table.copy()
    for first, length in between:
        table[first : first + length] = np.nan
    return table


stretches = st.lists(st.tuples(st.integers(0, 80), st.integers(1, 40)), max_size=4)
shares = st.sampled_from([0, 0.125, 0.3, 0.5])


@settings(max_examples=200, deadline=None)
@given(table=tables, between=stretches, inputs=st.integers(0, 4), vitals=shares, targets=shares)
def test_windows_are_the_reference_s(
    table: np.ndarray, between: list[tuple[int, int]], inputs: int, vitals: float, targets: float
) -> None:
    table = silent(table, between)
    config = load_config(
        settings=[
            *(
                f"windowing.{name}={value}"
                for name, value in zip(("window", "step", "target_horizon"), WINDOWS.values(), strict=True)
            ),
            f"windowing.min_observed_inputs={inputs}",
            f"windowing.min_observed_fraction={vitals}",
            f"windowing.min_target_observed={targets}",
        ]
    )
    rules = Rules(**WINDOWS, min_observed_inputs=inputs, min_observed_fraction=vitals, min_target_observed=targets)
    wanted = second_round.choose_windows(table.T.tolist(), vitals=range(7), targets=TARGETS, rules=rules)
    found = samples_of(table, STATIC, STATIC_ORIGIN, config)
    assert found.starts.tolist() == wanted.starts
    assert (found.unobserved, found.dropped) == (wanted.unobserved, wanted.dropped)
    runs = observed_runs(table)
    assert [(first, stop - 1) for first, stop in runs] == second_round.observed_runs(table.T.tolist())
    if depends_on_runs_alone(config.windowing):
        possible = window_starts(len(table), config.windowing)
        assert possible[in_runs(possible, runs, config.windowing)].tolist() == wanted.starts


@settings(max_examples=50, deadline=None)
@given(table=tables, between=stretches)
def test_no_sample_and_no_target_depends_on_the_future(table: np.ndarray, between: list[tuple[int, int]]) -> None:
    """By default: a window is the same where the recording ends with it."""
    table = silent(table, between)
    config = load_config(settings=["windowing.window=12", "windowing.step=4", "windowing.target_horizon=3"])
    whole = samples_of(table, STATIC, STATIC_ORIGIN, config)
    for start in whole.starts.tolist():
        cut = samples_of(table[: start + 16], STATIC, STATIC_ORIGIN, config)
        ours, theirs = (one.record(start, case_id=1, subject_id=1, config=config) for one in (whole, cut))
        for name, value in vars(ours).items():
            np.testing.assert_array_equal(value, getattr(theirs, name))
        context = samples_of(table[: start + 12], STATIC, STATIC_ORIGIN, config)
        np.testing.assert_array_equal(context.series[start:], ours.timeseries)
        np.testing.assert_array_equal(context.origin[start:], ours.timeseries_origin)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.sampled_from([np.nan, np.nan, 80.0, 90.0]), min_size=1, max_size=40),
    hold=st.integers(0, 12),
)
def test_causal_imputation_is_the_reference_s(values: list[float], hold: int) -> None:
    filled, origin = impute(np.array(values, dtype=np.float32), default=70.0, hold=hold, causal=True)
    assert (filled.tolist(), origin.tolist()) == second_round.impute_causal(values, 70.0, hold)


def test_the_holds_are_those_of_the_ruling() -> None:
    assert {item.name: item.hold for item in load_config().inputs} == second_round.HOLDS
    assert load_config().imputation.causal
