"""From sizes to windows, CPU seconds, minutes and dollars: by hand, by properties, and at VitalDB's true sizes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.cost.estimate import BackendCost, estimate, estimate_one_task, file_count, run_cpu_seconds
from vitalprep.cost.figures import Figures, load_figures
from vitalprep.cost.volume import volume_of

CONFIG = load_config()
FIGURES = load_figures()
Sizes = st.dictionaries(st.integers(1, 9999), st.integers(0, 120_000_000), min_size=1, max_size=40)


def _cost(
    sizes: dict[int, int], *, figures: Figures = FIGURES, backend: str = "fargate", shards: int | None = None
) -> BackendCost:
    volume = volume_of(sizes, CONFIG, mb_per_minute=0.1)
    return estimate(volume, CONFIG, figures, figures.backends[backend], shards=shards)


def _round_figures(**backend: float) -> Figures:
    """Figures with which one can reckon in one's head: harmonize takes 1 CPU second a MB, all else nothing."""
    content: dict[str, Any] = FIGURES.content()
    content["machine"] |= {"process_seconds": 0, "stages": {key: {} for key in content["machine"]["stages"]}}
    content["machine"]["stages"]["harmonize"] = {"per_mb_in": 1.0}
    round_numbers = {
        "vcpus": 2, "memory_gb": 4, "speed": 0.5, "vcpu_hour": 1, "memory_gb_hour": 0.25, "machine_hour": 0,
        "discount": 0, "extra_hour": 0, "redone": 0, "start_seconds": 30, "billed_start_seconds": 20,
        "minimum_seconds": 60,
    }  # fmt: skip
    for name, value in (round_numbers | backend).items():
        content["backends"]["fargate"][name]["value"] = value
    s3 = {"thousand_writes": 0, "thousand_reads": 0, "transfer_gb": 0, "stream_mb_s": 1e9, "request_seconds": 0}
    for name, value in s3.items():
        content["s3"][name]["value"] = value
    return Figures.model_validate(content)


def test_minutes_and_dollars_by_hand() -> None:
    # Two shards of 2 x 100 MB: 200 CPU seconds each, on 2 vCPU of half speed 200 s.
    sizes = dict.fromkeys((1, 2, 3, 4), 100_000_000)
    cost = _cost(sizes, figures=_round_figures(), shards=2)
    assert (cost.shards, cost.tasks) == (2, 8)
    billed = 2 * (20 + 200) + 6 * 60  # plan, three splits, publish, validate: below the minimum
    assert cost.vcpu_hours == pytest.approx(2 * billed / 3600)
    assert cost.dollars == cost.compute == pytest.approx(billed / 3600 * (2 * 1 + 4 * 0.25))
    assert cost.minutes == pytest.approx((5 * 30 + 200) / 60)


def _one_task(sizes: dict[int, int], figures: Figures = FIGURES) -> BackendCost:
    return estimate_one_task(volume_of(sizes, CONFIG, mb_per_minute=0.1), CONFIG, figures, figures.runner)


def test_one_task_by_hand() -> None:
    # 4 x 100 MB: 400 CPU seconds, at half speed 800 s, over as many of its 8 vCPU as there are cases: 200 s.
    figures = _round_figures(extra_hour=0.5)
    cost = _one_task(dict.fromkeys((1, 2, 3, 4), 100_000_000), figures)
    assert (cost.label, cost.shards, cost.tasks) == ("One task on ECS Fargate", 1, 1)
    assert cost.vcpu_hours == pytest.approx(8 * (20 + 200) / 3600)
    hour = 8 * 1 + 16 * 0.25 + 0.5 + figures.one_task.disk_hour.value
    assert cost.dollars == cost.compute == pytest.approx((20 + 200) / 3600 * hour)
    assert cost.minutes == pytest.approx((30 + 200) / 60)
    least = _one_task({1: 1_000_000}, figures)
    assert least.vcpu_hours == pytest.approx(8 * 60 / 3600)


@given(cases=st.integers(1, 9000))
@settings(max_examples=30, deadline=None)
def test_one_task_starts_once_and_ends_sooner_than_many_small_ones(cases: int) -> None:
    sizes = dict.fromkeys(range(1, cases + 1), 15_000_000)
    one, many = _one_task(sizes), _cost(sizes)
    assert one.minutes < many.minutes
    assert one.requests == many.requests
    # Not with one case more: a further file of records is written by a further process, so that `build` ends sooner.
    assert one.dollars < _one_task(dict.fromkeys(range(1, 2 * cases + 1), 15_000_000)).dollars


def test_spot_repeats_a_share_and_costs_less() -> None:
    sizes = dict.fromkeys((1, 2, 3, 4), 100_000_000)
    plain = _cost(sizes, figures=_round_figures(), shards=2)
    spot = _cost(sizes, figures=_round_figures(redone=0.1, discount=0.75), shards=2)
    assert spot.vcpu_hours - plain.vcpu_hours == pytest.approx(2 * 2 * 20 / 3600)
    assert spot.minutes - plain.minutes == pytest.approx(20 / 60)
    assert spot.compute == pytest.approx(spot.vcpu_hours * plain.compute / plain.vcpu_hours * 0.25)


def test_a_slow_network_sets_the_pace() -> None:
    figures = _round_figures()
    slow = figures.s3.model_copy(update={"stream_mb_s": figures.s3.stream_mb_s.model_copy(update={"value": 0.25})})
    cost = _cost({1: 100_000_000, 2: 100_000_000}, figures=figures.model_copy(update={"s3": slow}), shards=1)
    assert cost.minutes > (5 * 30 + 200 / 0.25 / 2) / 60 - 0.01  # 200 MB over two streams, not 200 CPU seconds


def test_one_file_is_written_by_one_process() -> None:
    single = load_config(settings=["output.layout=single"])
    assert file_count(10.0, single) == 1
    assert file_count(10.0, CONFIG) == 67
    volume = volume_of(dict.fromkeys(range(1, 200), 15_000_000), CONFIG, mb_per_minute=0.1)
    one, many = (
        estimate(volume, config, FIGURES, FIGURES.backends["fargate"], shards=1) for config in (single, CONFIG)
    )
    assert one.minutes > many.minutes


@given(sizes=Sizes, shards=st.integers(1, 50))
def test_shards_are_as_asked_and_no_more_than_cases(sizes: dict[int, int], shards: int) -> None:
    cost = _cost(sizes, shards=shards)
    assert cost.shards == min(shards, len(sizes))
    assert cost.tasks == cost.shards + 6


@given(sizes=Sizes, shards=st.integers(1, 8))
def test_more_recordings_never_take_less(sizes: dict[int, int], shards: int) -> None:
    more = sizes | {10_000: 15_000_000}
    less_cost, more_cost = _cost(sizes, shards=shards), _cost(more, shards=shards)
    assert more_cost.dollars >= less_cost.dollars - 1e-9
    assert more_cost.vcpu_hours >= less_cost.vcpu_hours - 1e-9
    total = [
        sum(run_cpu_seconds(volume_of(each, CONFIG, mb_per_minute=0.1), FIGURES.machine, workers=2).values())
        for each in (sizes, more)
    ]
    assert total[0] <= total[1]


@given(cases=st.integers(1, 9000), backend=st.sampled_from(sorted(FIGURES.backends)))
@settings(max_examples=30, deadline=None)
def test_as_few_shards_as_keep_each_below_the_wished_minutes(cases: int, backend: str) -> None:
    sizes = dict.fromkeys(range(1, cases + 1), 15_000_000)
    others = _cost(sizes, backend=backend, shards=cases).minutes  # with a case a shard, harmonize takes next to no time
    repeated = 1 + FIGURES.backends[backend].redone.value
    wished = FIGURES.tasks.shard_minutes.value * repeated
    chosen = _cost(sizes, backend=backend)
    assert chosen.minutes - others < 1.02 * wished
    if chosen.shards > 1:
        assert _cost(sizes, backend=backend, shards=chosen.shards - 1).minutes - others > 0.98 * wished


def _windows(minutes: list[float], config: Config = CONFIG) -> int:
    sizes = {case: round(each * 1e6) for case, each in enumerate(minutes, start=1)}
    return volume_of(sizes, config, mb_per_minute=1.0).windows


def test_windows_of_known_lengths() -> None:
    assert _windows([5.4]) == 0  # 324 s; 330 are needed
    assert _windows([5.5]) == 1
    assert _windows([6.0, 6.0]) == 4
    assert _windows([60.0], load_config(settings=["windowing.step=300"])) == 11


@pytest.fixture(scope="module")
def true_sizes(shared_data: Path) -> dict[int, tuple[float, int]]:
    """Minutes and bytes of VitalDB's recordings by case."""
    with (shared_data / "vitaldb_open" / "case_sizes.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return {int(row["caseid"]): (float(row["duration_min"]), round(float(row["file_mb"]) * 1e6)) for row in rows}


def test_at_vitaldb_s_true_sizes_windows_and_gb_are_those_of_its_true_lengths(
    true_sizes: dict[int, tuple[float, int]],
) -> None:
    first = {case: true_sizes[case] for case in range(1, 3001)}
    mb_per_minute = FIGURES.recordings.waves.value
    guessed = volume_of({case: size for case, (_, size) in first.items()}, CONFIG, mb_per_minute=mb_per_minute)
    known = _windows([minutes for minutes, _ in first.values()])
    assert guessed.windows == pytest.approx(known, rel=0.02)
    assert guessed.windows == pytest.approx(1.1e6, rel=0.05)  # docs/design.md, 1
    assert guessed.gb_out == pytest.approx(27, rel=0.05)
    # docs/design.md, 1 reckons 2 GB of tables: 64 bytes a second. Parquet makes them smaller.
    assert 0.05 < guessed.load.hours * FIGURES.recordings.harmonized.value / 1e3 < 2.2


def test_a_hundred_true_cases_are_within_ten_percent(true_sizes: dict[int, tuple[float, int]]) -> None:
    for begin in range(1, 6300, 100):
        some = [true_sizes[case] for case in range(begin, begin + 100)]
        sizes = {case: size for case, (_, size) in enumerate(some, start=1)}
        guessed = volume_of(sizes, CONFIG, mb_per_minute=FIGURES.recordings.waves.value).windows
        assert guessed == pytest.approx(_windows([minutes for minutes, _ in some]), rel=0.10), begin


def test_few_true_sizes_are_called_unlikely(true_sizes: dict[int, tuple[float, int]]) -> None:
    recordings = FIGURES.recordings
    lengths = [size / 1e6 / recordings.waves.value for _, size in true_sizes.values()]
    unlikely = [each for each in lengths if not recordings.shortest.value <= each <= recordings.longest.value]
    assert 0 < len(unlikely) < 0.04 * len(lengths)
