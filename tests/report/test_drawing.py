"""What is drawn is what was counted and measured: paths are read back into numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.report.synthetic import planned_case
from vitalprep.contract.build_summary import CaseOutcome
from vitalprep.contract.config_file import load_config
from vitalprep.contract.plan import Plan
from vitalprep.features.samples import samples_of
from vitalprep.report.charts import histogram_chart, nice_ticks
from vitalprep.report.demographics import demographics_of
from vitalprep.report.examples import COLUMNS, drawing_of
from vitalprep.report.words import clinical, duration, percent

CONFIG = load_config()


def _heights(path: str) -> list[float]:
    """Return the height of each step of a histogram's path, above the base of 104."""
    heights, y = [], 0.0
    for kind, number in re.findall(r"([VH])([\d.]+)", path):
        if kind == "V":
            y = 104 - float(number)
        else:
            heights.append(y)
    return heights


def test_bars_are_as_high_as_their_shares() -> None:
    counts = {"train": (10, [0, 40, 30, 20], 0), "test": (0, [1, 1, 1, 1], 4)}
    chart = histogram_chart(counts, (0, 4))
    assert chart is not None
    assert chart.top == pytest.approx(0.5)  # the four above the range
    train, test = chart.curves
    assert _heights(train.path) == pytest.approx([0, 96 * 0.8, 96 * 0.6, 96 * 0.4], abs=0.06)
    assert _heights(test.path) == pytest.approx([96 * 0.25] * 4, abs=0.06)
    assert train.below is not None
    assert train.below[2] == pytest.approx(96 * 0.2, abs=0.06)
    assert (train.above, test.below) == (None, None)
    assert test.above is not None
    assert test.above[2] == pytest.approx(96, abs=0.06)
    assert histogram_chart({"train": (0, [0, 0], 0)}, (0, 1)) is None


@pytest.mark.parametrize(
    ("bounds", "ticks"),
    [((20, 200), [50, 100, 150, 200]), ((0, 0.8), [0, 0.2, 0.4, 0.6, 0.8]), ((70, 100), [70, 75, 80, 85, 90, 95, 100])],
)
def test_ticks_are_round(bounds: tuple[float, float], ticks: list[float]) -> None:
    assert nice_ticks(bounds) == ticks


def test_the_ends_of_the_range_are_labelled() -> None:
    chart = histogram_chart({"train": (0, [1, 1], 0)}, (20, 200))
    assert chart is not None
    assert [text for _, text in chart.ticks] == ["20", "50", "100", "150", "200"]
    places = [place for place, _ in chart.ticks]
    assert (places[0], places[-1]) == (28, 292)
    assert min(np.diff(places)) >= 26
    tight = histogram_chart({"train": (0, [1, 1], 0)}, (60, 250))
    classes = histogram_chart({"train": (0, [1, 1], 0)}, (0.5, 6.5), ends=False)
    assert tight is not None
    assert classes is not None
    assert [text for _, text in tight.ticks] == ["60", "100", "150", "200", "250"]
    assert [text for _, text in classes.ticks] == ["1", "2", "3", "4", "5", "6"]


def test_patients_outside_of_a_range_are_drawn_beside_it() -> None:
    """Not in its last part, where they would be taken for patients within it."""
    heights = (90.0, 150.0, 199.0, 230.0, 240.0)
    cases = [planned_case(n, "train", static=(50, 1, h, 70, 25, 2)) for n, h in enumerate(heights, start=1)]
    plan = Plan(
        dataset_id="0" * 12,
        harmonize_digest="0" * 12,
        input="",
        config=CONFIG,
        cases=tuple(cases),
        excluded=(),
        shards=((1,),),
    )
    outcomes = {case.case_id: CaseOutcome(case_id=case.case_id, windows=1) for case in cases}
    height = next(item for item in demographics_of(plan, outcomes) if item.static.name == "height")
    low, high = height.static.range
    summary = height.splits["train"]
    assert (summary.below, sum(summary.counts), summary.above) == (
        sum(value < low for value in heights),
        sum(low <= value <= high for value in heights),
        sum(value > high for value in heights),
    )
    assert summary.above


def _points(path: str) -> dict[int, set[int]]:
    """Return the heights that a line has in each column."""
    found: dict[int, set[int]] = {}
    x = y = 0
    for kind, numbers in re.findall(r"([Mhv])([-\d ]+)", path):
        if kind == "M":
            x, y = map(int, numbers.split())
        elif kind == "h":
            found.setdefault(x, set()).add(y)
            x += int(numbers)
            continue
        else:
            y += int(numbers)
        found.setdefault(x if kind == "M" else x - 1, set()).add(y)
    return found


def test_a_strip_shows_every_value_and_every_gap() -> None:
    seconds = 400  # fewer than the columns: a column a second
    assert seconds <= COLUMNS
    table = np.full((seconds, len(CONFIG.inputs)), np.nan, dtype=np.float32)
    table[10:200, 0] = np.linspace(20, 200, 190)
    table[260:300, 0] = 110
    samples = samples_of(table, (50.0, 1.0, 170.0, 70.0, 24.2, 2.0), (0,) * 6, CONFIG)
    drawing = drawing_of(planned_case(1, "train"), samples, CONFIG, why="")
    strip = drawing.strips[0]
    drawn = _points(strip.observed_path)
    assert set(drawn) == {*range(10, 200), *range(260, 300)}
    for second, heights in drawn.items():
        expected = 100 - 100 * (float(table[second, 0]) - 20) / 180
        assert any(abs(height - expected) <= 0.51 for height in heights)
    # Held between the observations and for 600 s after the last one; the default before the first.
    assert strip.shades == ((0, 10, 2), (200, 60, 1), (300, 100, 1))
    assert set(_points(strip.held_path)) == {*range(200, 260), *range(300, 400)}
    assert (strip.observed, strip.held, strip.default) == pytest.approx((230 / 400, 160 / 400, 10 / 400))
    assert drawing.strips[6].shades == ((0, 400, 2),), "BIS was never measured"
    assert drawing.windows == 3
    assert (drawing.first, drawing.window, drawing.target) == (0, 75, pytest.approx(100 * 329 / 400, abs=0.01))


def test_extremes_survive_a_long_case() -> None:
    table = np.full((36_000, len(CONFIG.inputs)), np.nan, dtype=np.float32)
    table[:, 0] = 70
    table[20_000, 0], table[30_000, 0] = 200, 20
    samples = samples_of(table, (50.0, 1.0, 170.0, 70.0, 24.2, 2.0), (0,) * 6, CONFIG)
    strip = drawing_of(planned_case(1, "train"), samples, CONFIG, why="").strips[0]
    heights = {height for column in _points(strip.observed_path).values() for height in column}
    assert {0, 100} <= heights, "one second of ten hours is still seen"
    assert len(strip.observed_path) < 6000


def test_numbers_never_read_as_all_or_nothing_when_they_are_not() -> None:
    assert [percent(share) for share in (0, 1e-6, 0.5, 0.99999, 1)] == ["0 %", "<0.1 %", "50.0 %", ">99.9 %", "100 %"]
    assert [duration(seconds) for seconds in (0, 90, 600, 9900)] == ["0 s", "90 s", "10 min", "2 h 45 min"]
    assert [clinical(value) for value in (0, 0.0123, 5.3333, 72.04, 106.2)] == ["0", "0.0123", "5.33", "72.0", "106"]
