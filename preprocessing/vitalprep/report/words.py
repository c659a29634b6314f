"""Formats numbers, durations and units for readers."""

from __future__ import annotations

import math
from collections.abc import Container

from vitalprep.contract.paths import SPLITS

__all__ = ["clinical", "clock", "count", "duration", "listed", "percent", "signed", "unit"]

NOTHING = "–"  # noqa: RUF001  an en dash, as tables have it


def percent(share: float | None) -> str:
    """Return a share as a percentage. Shares just above 0 or below 1 are not rounded to 0 % or 100 %."""
    if share is None:
        return NOTHING
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def count(number: float | None) -> str:
    """Return a count with separators of thousands."""
    return NOTHING if number is None else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """Return seconds in a suitable unit."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min" if whole % 60 == 0 else f"{whole / 60:.1f} min"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min" if whole < 360_000 else f"{whole / 3600:,.0f} h"


def clock(seconds: float | None) -> str:
    """Return seconds as h:mm:ss, for columns of durations."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    return f"{whole // 3600:,}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def clinical(value: float | None, bounds: tuple[float, float] | None = None) -> str:
    """Return a value with decimals that suit its range: one for a width of 20 or more, three below 2, else two.

    Without a range it has three significant digits.
    """
    if value is None:
        return NOTHING
    if bounds is None:
        digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:.{min(digits, 4)}f}"
    width = bounds[1] - bounds[0]
    return f"{value:.0f}" if value == int(value) else f"{value:.{1 if width >= 20 else 2 if width >= 2 else 3}f}"


def unit(text: str) -> str:
    """Return a unit of the registry for print. The unit 1 is empty."""
    return "" if text == "1" else text.replace("ug/", "µg/").replace("m2", "m²")


def signed(value: float | None) -> str:
    """Return a difference with sign and two decimals."""
    return NOTHING if value is None else f"{value:+.2f}".replace("-", "−")  # noqa: RUF001  a minus


def listed(splits: Container[str]) -> str:
    """Return splits as a phrase: train, validation and test."""
    names = [split for split in SPLITS if split in splits]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
