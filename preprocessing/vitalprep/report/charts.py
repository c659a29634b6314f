"""Coordinates and paths of charts, for the templates' SVG. Holds no text from the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Curve", "HistogramChart", "histogram_chart", "nice_ticks"]

LEFT, RIGHT, TOP, BASE = 28.0, 292.0, 8.0, 104.0
SIDE_BAR = 6.0  # width of a bar for what lies outside of the range
MOST_TICKS = 6
LABEL = 26.0  # width of a label of the axis


@dataclass(frozen=True)
class Curve:
    """One split's histogram: a stepped path, and bars (x, y, height) for values below and above the range."""

    split: str
    path: str
    below: tuple[float, float, float] | None
    above: tuple[float, float, float] | None


@dataclass(frozen=True)
class HistogramChart:
    """Histograms of the splits on one scale, 320 by 132 units. `top` is the share of the highest bar."""

    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, str], ...]
    top: float


def histogram_chart(
    counts: Mapping[str, tuple[int, Sequence[int], int]], bounds: tuple[float, float], *, ends: bool = True
) -> HistogramChart | None:
    """Return the chart of the splits' histograms, each as shares of its own total, or None if all are empty.

    Parameters
    ----------
    counts : mapping of str to (int, sequence of int, int)
        By split: below the range, in equal parts of it, above it.
    bounds : (float, float)
        The range, in the unit of the axis.
    ends : bool
        Whether the ends of the range are labelled; not so where they lie between whole classes.
    """
    shares = {}
    for split, (below, inside, above) in counts.items():
        total = below + sum(inside) + above
        if total:
            shares[split] = (below / total, [value / total for value in inside], above / total)
    if not shares:
        return None
    top = max(max(below, above, *inside) for below, inside, above in shares.values())
    order = list(counts)
    return HistogramChart(
        curves=tuple(_curve(split, order.index(split), values, top) for split, values in shares.items()),
        ticks=tuple(
            (_rounded(LEFT + (RIGHT - LEFT) * (tick - bounds[0]) / (bounds[1] - bounds[0])), f"{tick:g}")
            for tick in (_ticks_and_ends(bounds) if ends else nice_ticks(bounds))
        ),
        top=top,
    )


def nice_ticks(bounds: tuple[float, float]) -> list[float]:
    """Return at most six ticks in a range, spaced by 1, 2 or 5 times a power of ten."""
    low, high = bounds
    rough = (high - low) / MOST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 10) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _ticks_and_ends(bounds: tuple[float, float]) -> list[float]:
    """Return ticks at the ends of a range, and round ticks between them that leave room for the labels of the ends."""
    low, high = bounds
    room = LABEL * (high - low) / (RIGHT - LEFT)
    return [low, *(tick for tick in nice_ticks(bounds) if low + room <= tick <= high - room), high]


def _curve(split: str, place: int, shares: tuple[float, list[float], float], top: float) -> Curve:
    below, inside, above = shares
    width = (RIGHT - LEFT) / len(inside)
    path = [f"M{_text(LEFT)} {_text(BASE)}"]
    last = 0.0
    for index, share in enumerate(inside):
        if share != last:
            path.append(f"V{_text(_y(share, top))}")
            last = share
        path.append(f"H{_text(LEFT + width * (index + 1))}")
    path.append(f"V{_text(BASE)}")
    return Curve(
        split=split,
        path="".join(path),
        below=_bar(2 + SIDE_BAR * place, below, top),
        above=_bar(RIGHT + 8 + SIDE_BAR * place, above, top),
    )


def _bar(x: float, share: float, top: float) -> tuple[float, float, float] | None:
    if not share:
        return None
    height = max(BASE - _y(share, top), 1.0)  # what is there is seen
    return x, _rounded(BASE - height), _rounded(height)


def _y(share: float, top: float) -> float:
    return BASE - (BASE - TOP) * share / top


def _rounded(value: float) -> float:
    return round(value, 1)


def _text(value: float) -> str:
    return f"{_rounded(value):g}"
