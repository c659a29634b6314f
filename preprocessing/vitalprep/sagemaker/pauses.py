"""Polling with growing pauses that a stop signal interrupts."""

from __future__ import annotations

import time
from collections.abc import Iterator

from vitalprep.runtime.workers import StopRequest

__all__ = ["growing_pauses", "pause"]

FIRST = 1.0  # s
GROWTH = 1.5
GLANCE = 0.2  # how long a signal may go unnoticed


def growing_pauses(longest: float) -> Iterator[float]:
    """Yield seconds to wait: 1, then half as much again each time, `longest` at most."""
    seconds = FIRST
    while True:
        yield min(seconds, longest)
        seconds = min(seconds * GROWTH, longest)


def pause(seconds: float, stop: StopRequest) -> None:
    """Wait, or return at once if a stop is requested."""
    end = time.monotonic() + seconds
    while not stop.requested and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, GLANCE))
