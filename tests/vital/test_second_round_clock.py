"""Hand-worked examples of the clock, for the slow reference of docs/design.md, ruling 13."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from tests.reference.design4 import Corrupt
from tests.reference.second_round_clock import (
    Clock,
    Part,
    Record,
    TooLong,
    drop_untimed,
    runs_of,
    seconds_of_two_devices,
    settle_clock,
    tracks_set_back,
)

NOON = 1_700_000_000.0
DAY = 86_400.0


def numerics(times: Iterable[float], *, value: float = 1.0, track_id: int = 1, device: int = 0) -> list[Record]:
    """Return records of one numeric track."""
    return [Record(track_id, "numeric", "Monitor/HR", float(time), value, device=device) for time in times]


def clock_of(times: Iterable[float], header: float | None = None, tolerance: float | None = 3600) -> Clock:
    """Settle the clock of one file."""
    return settle_clock([Part(header, numerics(times))], start_tolerance=tolerance, max_days=7)


def set_back(*parts: list[Record]) -> bool:
    """Return whether the files of one case are excluded."""
    return bool(tracks_set_back([Part(None, records) for records in parts]))


@pytest.mark.parametrize(
    ("times", "tolerance", "untimed"),
    [
        ([0, -1, NOON], 3600, 2),
        ([0, 1, NOON], 3600, 0),
        ([0, 3600, NOON], 3600, 0),
        ([0, 3600], 3600, 0),
        ([0, 3601], 3600, 1),
        ([0, -1, -5000], 3600, 0),
        ([0, 0.5], 0, 1),
        ([0, -1], 0, 0),
        ([0, NOON], None, 0),
    ],
)
def test_untimed_records(times: list[float], tolerance: float | None, untimed: int) -> None:
    kept, dropped = drop_untimed([Part(None, numerics(times))], tolerance)
    assert dropped == untimed
    assert len(kept[0].records) == len(times) - untimed


def test_untimed_records_are_judged_over_all_parts_and_tracks() -> None:
    wave = Record(9, "wave", "Monitor/ECG", 30.0, b"", samples=500, rate=500.0)
    assert drop_untimed([Part(None, numerics([0])), Part(None, numerics([NOON]))], 3600)[1] == 1
    assert drop_untimed([Part(None, numerics([0, NOON])), Part(None, [wave])], 3600)[1] == 0


def test_a_recording_that_begins_at_0_stays_whole() -> None:
    assert clock_of(range(0, 7201, 60), header=0.0) == Clock(0, 7200, 7201, "records", 0, 0)


@pytest.mark.parametrize(
    ("header", "t0", "clock", "before"),
    [
        (NOON, NOON, "header", 0),
        (NOON - 3600, NOON - 3600, "header", 0),
        (NOON - 3601, NOON, "records", 0),
        (NOON + 10, NOON + 10, "header", 1),
        (NOON + 20, NOON + 20, "header", 1),
        (NOON + 21, NOON, "records", 0),
        (NOON + DAY, NOON, "records", 0),
        (0.0, NOON, "records", 0),
        (math.nan, NOON, "records", 0),
        (None, NOON, "records", 0),
    ],
)
def test_who_sets_the_clock(header: float | None, t0: float, clock: str, before: int) -> None:
    settled = clock_of([NOON, NOON + 20], header)
    assert (settled.t0, settled.clock, settled.before_start) == (t0, clock, before)
    assert settled.n == NOON + 20 - t0 + 1


def test_without_a_tolerance_the_header_always_wins() -> None:
    assert clock_of([NOON, NOON + 20], NOON - DAY, None).clock == "header"
    assert clock_of([NOON, NOON + 20], NOON + DAY, None).n <= 0


def test_an_untimed_record_sets_no_clock() -> None:
    settled = clock_of([0, NOON, NOON + 20], header=0.5)
    assert (settled.t0, settled.untimed, settled.n) == (NOON, 1, 21)


def test_parts_start_where_the_earliest_starts() -> None:
    parts = [Part(NOON + 500, numerics([NOON + 600])), Part(NOON - DAY, numerics([NOON]))]
    settled = settle_clock(parts, start_tolerance=3600, max_days=7)
    assert (settled.t0, settled.clock, settled.n) == (NOON, "records", 601)


def test_too_long_begins_beyond_the_limit_and_counts_samples_of_waves() -> None:
    assert clock_of([NOON, NOON + 7 * DAY]).n == 7 * DAY + 1
    with pytest.raises(TooLong):
        clock_of([NOON, NOON + 7 * DAY + 1])
    wave = Record(9, "wave", "Monitor/ECG", NOON + 7 * DAY, b"", samples=1001, rate=500.0)
    with pytest.raises(TooLong):
        settle_clock([Part(None, [*numerics([NOON]), wave])], start_tolerance=3600, max_days=7)
    with pytest.raises(Corrupt):
        settle_clock([Part(None, [*numerics([NOON]), wave])], start_tolerance=3600, max_days=None)
    with pytest.raises(Corrupt):
        clock_of([NOON, math.inf])


def test_runs_split_at_falls_of_more_than_60_s() -> None:
    assert [len(run) for run in runs_of(numerics([100, 40, 101, 40, 0]))] == [3, 2]


@pytest.mark.parametrize(
    ("again", "value", "excluded"),
    [
        (range(440, 600), 2.0, False),
        (range(439, 600), 2.0, True),
        (range(400, 500), 2.0, True),
        (range(400, 501), 1.0, False),
        (range(400, 600), 1.0, False),
        (range(400, 600, 2), 1.0, True),
        ([*range(400, 600), *range(400, 600)], 1.0, False),
    ],
    ids=["by 60 s", "by 61 s", "within", "resent", "resent and on", "resent with gaps", "resent twice"],
)
def test_a_track_that_goes_back(again: Iterable[float], value: float, excluded: bool) -> None:
    """Seconds 0 to 500 first."""
    first, second = numerics(range(501)), numerics(again, value=value)
    assert set_back([*first, *second]) == excluded
    assert set_back(first, second) == excluded, "the same in two files"


def test_a_third_run_is_compared_with_the_first() -> None:
    runs = [numerics(range(2000, 3000)), numerics(range(1000, 1010)), numerics(range(500, 2500, 7), value=2.0)]
    assert not set_back(runs[0], runs[1])
    assert set_back([record for run in runs for record in run])


def test_what_does_not_count_as_set_back() -> None:
    out_of_order = [time + shift for time in range(0, 600, 30) for shift in (30, 0)]
    assert not set_back(numerics(out_of_order))
    assert not set_back([*numerics(range(500)), *numerics(range(500), value=2.0, track_id=2)])
    assert not set_back(numerics([1000, 1500, 0, 500])), "set back, but no moment twice"


def test_waves_are_compared_by_their_bytes_and_records_not_by_samples_beyond() -> None:
    def waves(times: range, data: bytes) -> list[Record]:
        return [Record(1, "wave", "Monitor/ECG", float(time), data, samples=5000, rate=50.0) for time in times]

    assert set_back([*waves(range(0, 500, 100), b"a"), *waves(range(0, 500, 100), b"b")])
    assert not set_back([*waves(range(0, 500, 100), b"a"), *waves(range(0, 500, 100), b"a")])
    beyond = [*waves(range(100, 101), b"a"), *waves(range(30, 151, 120), b"b")]
    assert len(runs_of(beyond)) == 2
    assert not set_back(beyond), "records at 100 s alone and at 30 and 150 s; only their samples meet"


def test_nan_resent_is_equal() -> None:
    first, second = (numerics(range(100), value=float("nan")) for _ in range(2))
    assert not set_back([*first, *second])


def test_seconds_of_two_devices() -> None:
    one = numerics([0.0, 1.0, 2.0, 2.5, 3.0], value=70.0, device=1)
    other = numerics([1.2, 2.2, -5.0], value=71.0, track_id=2, device=2)
    assert seconds_of_two_devices([Part(None, [*one, *other])], 0.0) == {"Monitor/HR": 2}
    same = numerics([1.2, 2.2], value=70.0, track_id=2, device=2)
    assert seconds_of_two_devices([Part(None, [*one, *same])], 0.0) == {}
    one_device = numerics([1.2, 2.2], value=71.0, track_id=2, device=1)
    assert seconds_of_two_devices([Part(None, [*one, *one_device])], 0.0) == {}
