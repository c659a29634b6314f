"""How long a process has given no sign of life, in time in which its observer itself runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

__all__ = ["LONGEST_STEP", "Silence"]

LONGEST_STEP = 5.0  # s; of more time between two looks, the observer itself was suspended or busy


class Silence:
    """The time since the last sign of life.

    Parameters
    ----------
    report_after, end_after : float
        Seconds after which silence is reported, once, and after which the process is ended.
    clock : callable
        Returns seconds. Of the time between two looks, at most `LONGEST_STEP` counts.
    """

    def __init__(self, *, report_after: float, end_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._report_after = report_after
        self._end_after = end_after
        self._clock = clock
        self.broken()

    def broken(self) -> None:
        """Note a sign of life."""
        self._seconds = 0.0
        self._reported = False
        self._last_look = self._clock()

    def verdict(self) -> Literal["wait", "report", "end"]:
        """Look again, and return what to do."""
        now = self._clock()
        self._seconds += min(now - self._last_look, LONGEST_STEP)
        self._last_look = now
        if self._seconds >= self._end_after:
            return "end"
        if self._seconds >= self._report_after and not self._reported:
            self._reported = True
            return "report"
        return "wait"
