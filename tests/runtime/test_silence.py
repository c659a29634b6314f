"""Silence counts while its observer runs, is reported once, and ends."""

from __future__ import annotations

from vitalprep.runtime.silence import Silence


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _looked(silence: Silence, clock: _Clock, seconds: int) -> list[str]:
    verdicts = []
    for _ in range(seconds):
        clock.now += 1
        verdicts.append(silence.verdict())
    return verdicts


def test_silence_is_reported_once_and_ends() -> None:
    clock = _Clock()
    silence = Silence(report_after=60, end_after=600, clock=clock)
    verdicts = _looked(silence, clock, 600)
    assert verdicts.count("report") == 1
    assert verdicts.index("report") == 59
    assert verdicts.index("end") == 599


def test_a_sign_of_life_begins_anew() -> None:
    clock = _Clock()
    silence = Silence(report_after=60, end_after=600, clock=clock)
    assert _looked(silence, clock, 599)[-1] == "wait"
    silence.broken()
    again = _looked(silence, clock, 599)
    assert again.index("report") == 59
    assert "end" not in again


def test_a_night_in_which_the_observer_was_suspended_does_not_count() -> None:
    clock = _Clock()
    silence = Silence(report_after=60, end_after=600, clock=clock)
    _looked(silence, clock, 30)
    clock.now += 8 * 3600
    assert silence.verdict() == "wait"
    assert _looked(silence, clock, 20) == ["wait"] * 20
