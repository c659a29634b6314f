"""A case cut into records: every sample, origin and target from the reference, second by second."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import design4
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.features.samples import Samples, samples_of
from vitalprep.features.statistics import added, statistics_of

SMALL = ["windowing.window=12", "windowing.step=4"]
STATIC, STATIC_ORIGIN = (61.0, 1.0, 165.0, 68.0, 24.977, 2.0), (0, 0, 0, 0, 0, 2)
TARGETS = [7, 8, 9, 10, 11, 12, 13, 14]  # docs/design.md, 3: the inputs that are targets
VITALS = slice(0, 7)
CONFIG = load_config()


def random_table(seed: int, seconds: int, config: Config = CONFIG) -> np.ndarray:
    """Values in and beyond each range, in runs with gaps between them; some inputs never recorded."""
    random = np.random.default_rng(seed)
    table = np.full((seconds, len(config.inputs)), np.nan, dtype=np.float32)
    for column, item in zip(table.T, config.inputs, strict=True):
        span = item.range[1] - item.range[0]
        values = random.uniform(item.range[0] - 0.2 * span, item.range[1] + 0.2 * span, seconds)
        live = np.repeat(random.random(seconds) < random.choice([0, 0.3, 0.9]), random.integers(1, 9))[:seconds]
        column[live] = values[live]
    return table


def reference_series(table: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    series, origins = np.empty(table.shape, dtype=np.float32), np.empty(table.shape, dtype=np.uint8)
    for index, item in enumerate(config.inputs):
        causal = config.imputation.causal
        filled, origins[:, index] = design4.impute(table[:, index].tolist(), item.default, item.hold, causal=causal)
        series[:, index] = [design4.normalize(value, *item.range) for value in filled]
    return series, origins


def cut(table: np.ndarray, config: Config) -> Samples:
    return samples_of(table, STATIC, STATIC_ORIGIN, config)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    seconds=st.integers(1, 60),
    horizon=st.integers(0, 9),
    causal=st.booleans(),
    share=st.sampled_from([0, 0.2, 0.4]),
)
def test_every_record_of_a_case(seed: int, seconds: int, horizon: int, causal: bool, share: float) -> None:
    config = load_config(
        settings=[
            *SMALL,
            f"windowing.target_horizon={horizon}",
            f"imputation.causal={str(causal).lower()}",
            f"windowing.min_observed_fraction={share}",
            "inputs.HR.hold=5",
        ]
    )
    table = random_table(seed, seconds)
    samples = cut(table, config)
    series, origins = reference_series(table, config)
    all_starts = design4.window_starts(seconds, 12, 4, horizon)
    vitals = origins[:, VITALS].T.tolist()
    kept = [s for s in all_starts if design4.observed_fraction(vitals, start=s, window=12) >= share]
    assert samples.starts.tolist() == kept
    assert samples.dropped == len(all_starts) - len(kept)
    for start in kept:
        record = samples.record(start, case_id=17, subject_id=4, config=config)
        target = design4.target_second(start, window=12, horizon=horizon)
        assert (record.case_id, record.subject_id, record.start_second) == (17, 4, start)
        np.testing.assert_array_equal(record.timeseries, series[start : start + 12])
        np.testing.assert_array_equal(record.timeseries_origin, origins[start : start + 12])
        np.testing.assert_array_equal(record.target, series[target, TARGETS])
        np.testing.assert_array_equal(record.target_origin, origins[target, TARGETS])


def test_a_record_has_the_shapes_and_types_of_the_design() -> None:
    record = cut(random_table(3, 400), CONFIG).record(60, case_id=1, subject_id=2, config=CONFIG)
    for name, shape in {"timeseries": (300, 16), "static": (6,), "target": (8,)}.items():
        values, origins = getattr(record, name), getattr(record, f"{name}_origin")
        assert (values.shape, values.dtype) == (shape, np.float32)
        assert (origins.shape, origins.dtype) == (shape, np.uint8)
        assert np.abs(values).max() <= 1


def test_target_is_one_step_after_the_window_or_its_last_second() -> None:
    table = np.full((400, 16), np.nan, dtype=np.float32)
    table[:, 13] = np.arange(400) / 400 * 24 + 6  # RR climbs through its range
    samples = cut(table, CONFIG)
    assert samples.record(30, case_id=1, subject_id=1, config=CONFIG).target[6] == samples.series[359, 13]
    config = load_config(settings=["windowing.target_horizon=0"])
    record = cut(table, config).record(30, case_id=1, subject_id=1, config=config)
    assert record.target[6] == record.timeseries[-1, 13] == samples.series[329, 13]


def test_statics_are_normalized_and_keep_their_origin() -> None:
    samples = cut(random_table(1, 10), CONFIG)
    # 61 of 0-120, male, 165 of 100-230, 68 of 20-200, 24.977 of 10-50, 2 of 1-6
    wanted = [61 / 60 - 1, 1, 65 / 65 - 1, 48 / 90 - 1, 14.977 / 20 - 1, 1 / 2.5 - 1]
    assert samples.static.tolist() == pytest.approx(wanted, abs=1e-6)
    assert samples.static_origin.tolist() == [0, 0, 0, 0, 0, 2]
    extreme = samples_of(random_table(1, 10), (-5, -1, 300, 900, 9, 7), (0,) * 6, CONFIG)
    assert extreme.static.tolist() == [-1, -1, 1, 1, -1, 1]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), seconds=st.integers(1, 60))
def test_statistics_count_every_second(seed: int, seconds: int) -> None:
    table = random_table(seed, seconds)
    found = statistics_of(cut(table, CONFIG), CONFIG)
    assert list(found) == [item.name for item in CONFIG.inputs]
    for index, item in enumerate(CONFIG.inputs):
        values, origins = design4.impute(table[:, index].tolist(), item.default, item.hold)
        measured = [value for value in table[:, index].tolist() if not np.isnan(value)]
        low, high = item.range
        one = found[item.name]
        assert (one.observed, one.held, one.default) == tuple(origins.count(code) for code in (0, 1, 2))
        assert one.observed + one.held + one.default == seconds
        assert one.clipped == sum(
            code != 2 and not low <= value <= high for value, code in zip(values, origins, strict=True)
        )
        described = one.described()
        assert (described["minimum"], described["maximum"]) == (
            (min(measured), max(measured)) if measured else (None, None)
        )
        if measured:
            assert described["mean"] == pytest.approx(np.mean(measured), rel=1e-9)
            assert described["standard_deviation"] == pytest.approx(np.std(measured), rel=1e-4, abs=1e-4)
        else:
            assert described["mean"] is described["standard_deviation"] is None


def test_statistics_add_up_over_cases() -> None:
    cases = [statistics_of(cut(random_table(seed, 80), CONFIG), CONFIG) for seed in range(3)]
    total = added(added(cases[0], cases[1]), cases[2])
    assert added({}, cases[0]) == cases[0]
    for name, one in total.items():
        parts = [case[name] for case in cases]
        for count in ("observed", "held", "default", "clipped"):
            assert getattr(one, count) == sum(getattr(part, count) for part in parts)
        assert one.total == pytest.approx(sum(part.total for part in parts))
        assert one.minimum == min((part.minimum for part in parts if part.minimum is not None), default=None)
        assert one.maximum == max((part.maximum for part in parts if part.maximum is not None), default=None)
