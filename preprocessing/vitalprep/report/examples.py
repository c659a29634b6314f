"""Example cases of the report: their choice and their drawings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.accounting import Account
from vitalprep.contract.build_summary import OriginCounts
from vitalprep.contract.config import Config, Input
from vitalprep.contract.finished import FinishedCase
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan, PlannedCase
from vitalprep.features.impute import DEFAULT, HELD, OBSERVED
from vitalprep.features.samples import Samples
from vitalprep.features.statistics import target_origins_of
from vitalprep.features.windows import target_second
from vitalprep.report.account_of_cases import observed_share

__all__ = ["CaseDrawing", "Example", "Strip", "chosen_examples", "drawing_of"]

COLUMNS = 480  # places along the time axis; more would not be seen
HEIGHT = 100
MOST_MARKS = 110  # of windows' starts; on a phone more stand less than 3 pixels apart, and make one bar
MOST_TICKS, MOST_LABELS = 10, 5  # on a desk, on a phone
TICKS = (60, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)  # s


@dataclass(frozen=True)
class Example:
    """A case for the gallery, and the reason for its choice."""

    case_id: int
    why: str


@dataclass(frozen=True)
class Strip:
    """One signal over time, in a box of `columns` by 100 with the normalization range from bottom to top.

    The paths are of an SVG: what is observed, held and default, and marks where a value lies outside of the range.
    `shades` are (x, width, origin) of what is not observed. Shares are of the case's seconds; `low`, `mean` and `high`
    are of what was observed, in the input's unit.
    """

    item: Input
    columns: int
    observed_path: str
    held_path: str
    default_path: str
    clipped_path: str
    shades: tuple[tuple[int, int, int], ...]
    observed: float
    held: float
    default: float
    clipped: int
    low: float | None
    mean: float | None
    high: float | None


@dataclass(frozen=True)
class CaseDrawing:
    """Everything that the gallery shows of one case.

    Places along the time axis are shares of its length, in percent: `first` where the first window begins, `window` how
    long it is, `target` where its target lies, `covered` from the first window to the end of the last. `starts` is a
    path with a mark for each window's start, 1000 wide, empty where they would not be told apart. `ticks` are places,
    texts, and whether they are among the few that a phone shows. `targets` are the windows by the targets' origins.
    """

    case: PlannedCase
    why: str
    seconds: int
    windows: int
    left_out: int
    strips: tuple[Strip, ...]
    targets: Mapping[str, OriginCounts]
    ticks: tuple[tuple[float, str, bool], ...]
    starts: str
    first: float | None
    window: float
    target: float | None
    covered: float


def chosen_examples(plan: Plan, account: Account) -> list[Example]:
    """Choose a typical, the least observed and the longest written case of each split.

    The typical case has the split's median share of observed vital signs. Each case is shown once.
    """
    vitals = [item.name for item in plan.config.inputs if item.vital and item.combine == "first"]
    shown: dict[int, str] = {}
    for split in SPLITS:
        receipts = {
            case.case_id: account.receipts[case.case_id]
            for case in plan.cases_of(split)
            if case.case_id in account.outcomes and account.outcomes[case.case_id].windows
        }
        for case_id, why in _of_split(receipts, vitals):
            shown.setdefault(case_id, f"{why} case of {split}")
    return [Example(case_id, why) for case_id, why in shown.items()]


def _of_split(receipts: Mapping[int, FinishedCase], vitals: list[str]) -> list[tuple[int, str]]:
    if not receipts:
        return []
    by_share = sorted(receipts, key=lambda case: (observed_share(receipts[case], vitals) or 0.0, case))
    longest = min(receipts, key=lambda case: (-(receipts[case].seconds or 0), case))
    return [(by_share[len(by_share) // 2], "typical"), (by_share[0], "least observed"), (longest, "longest")]


def drawing_of(case: PlannedCase, samples: Samples, config: Config, *, why: str) -> CaseDrawing:
    """Draw a case as the model reads it: imputed, normalized, with origins and windows."""
    seconds, starts = len(samples.series), samples.starts
    reach = target_second(0, config.windowing)
    return CaseDrawing(
        case=case,
        why=why,
        seconds=seconds,
        windows=len(starts),
        left_out=samples.unobserved + samples.dropped,
        targets=target_origins_of(samples, config),
        strips=tuple(_strip(samples, column, item) for column, item in enumerate(config.inputs)),
        ticks=_ticks(seconds),
        starts="".join(f"M{x} 0v1" for x in (starts * 1000 // seconds).tolist())
        if config.windowing.step * MOST_MARKS >= seconds
        else "",
        first=round(100 * int(starts[0]) / seconds, 2) if len(starts) else None,
        window=round(100 * config.windowing.window / seconds, 2),
        target=round(100 * (int(starts[0]) + reach) / seconds, 2) if len(starts) else None,
        covered=round(100 * (int(starts[-1] - starts[0]) + config.windowing.window) / seconds, 2) if len(starts) else 0,
    )


def _strip(samples: Samples, column: int, item: Input) -> Strip:
    origin = np.ascontiguousarray(samples.origin[:, column])
    height = np.rint((1 - np.ascontiguousarray(samples.series[:, column])) * (HEIGHT / 2)).astype(np.int64)
    measured = samples.measured[origin == OBSERVED, column].astype(np.float64)
    edges = np.linspace(0, len(origin), min(COLUMNS, len(origin)) + 1).astype(np.int64)
    return Strip(
        item=item,
        columns=len(edges) - 1,
        observed_path=_path(height, origin == OBSERVED, edges),
        held_path=_path(height, origin == HELD, edges),
        default_path=_path(height, origin == DEFAULT, edges),
        clipped_path=_clipped_path(samples.measured[:, column], origin, item.range, edges),
        shades=_shades(origin, edges),
        observed=len(measured) / len(origin),
        held=float(np.count_nonzero(origin == HELD)) / len(origin),
        default=float(np.count_nonzero(origin == DEFAULT)) / len(origin),
        clipped=int(samples.clipped[column]),
        low=float(measured.min()) if len(measured) else None,
        mean=float(measured.mean()) if len(measured) else None,
        high=float(measured.max()) if len(measured) else None,
    )


def _path(height: NDArray[np.int64], drawn: NDArray[np.bool_], edges: NDArray[np.int64]) -> str:
    """Return a line through the smallest and largest height of each column, with a gap at columns without any."""
    tops = np.minimum.reduceat(np.where(drawn, height, HEIGHT + 1), edges[:-1]).tolist()
    bottoms = np.maximum.reduceat(np.where(drawn, height, -1), edges[:-1]).tolist()
    path: list[str] = []
    at: int | None = None
    for x, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
        if bottom < 0:
            at = None
            continue
        near, far = (top, bottom) if at is None or abs(top - at) <= abs(bottom - at) else (bottom, top)
        path.append(f"M{x} {near}h1" if at is None else "h1" if near == at else f"v{near - at}h1")
        if far != near:
            path.append(f"v{far - near}")
        at = far
    return "".join(path)


def _clipped_path(
    measured: NDArray[np.float32], origin: NDArray[np.uint8], bounds: tuple[float, float], edges: NDArray[np.int64]
) -> str:
    """Return a mark at the top of columns with a value above the range, and at the bottom for one below it."""
    last = np.maximum.accumulate(np.where(np.isnan(measured), -1, np.arange(len(measured))))
    values = np.where((origin == DEFAULT) | (last < 0), np.nan, measured[last].astype(np.float64))
    marks = []
    for outside, y in ((values > bounds[1], 0), (values < bounds[0], HEIGHT)):
        columns = np.flatnonzero(np.logical_or.reduceat(outside, edges[:-1]))
        marks += [f"M{x} {y}h1" for x in columns.tolist()]
    return "".join(marks)


def _shades(origin: NDArray[np.uint8], edges: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """Return runs of columns in which most seconds are held or default."""
    counts = np.stack([np.add.reduceat((origin == code).astype(np.int64), edges[:-1]) for code in range(3)])
    most = counts.argmax(axis=0)
    changes = np.flatnonzero(np.diff(most, prepend=-1))
    runs = zip(changes.tolist(), np.append(changes[1:], len(most)).tolist(), strict=True)
    return tuple((start, stop - start, int(most[start])) for start, stop in runs if most[start] != OBSERVED)


def _ticks(seconds: int) -> tuple[tuple[float, str, bool], ...]:
    step = next((step for step in TICKS if seconds / step <= MOST_TICKS), TICKS[-1])
    every = -(-len(range(0, seconds, step)) // MOST_LABELS)
    return tuple(
        (
            round(100 * at / seconds, 2),
            f"{at / 3600:g} h" if seconds > 7200 or step >= 3600 else f"{at // 60} min",
            place % every == 0,
        )
        for place, at in enumerate(range(0, seconds, step))
    )
