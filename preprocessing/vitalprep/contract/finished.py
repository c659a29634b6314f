"""What account and report take from the receipts of finished cases, in a thirtieth of the memory of receipts."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from vitalprep.contract.receipt import FeatureQuality, Receipt, UnitConflict
from vitalprep.runtime.errors import ReasonCode

__all__ = ["FinishedCase", "SourceCounts"]

_Layout = Mapping[str, tuple[int, tuple[str, ...]]]
"""Where the counts of each input begin, and its tracks."""


class SourceCounts(NamedTuple):
    """Seconds in which each source of an input was used, and records dropped as implausible. See `FeatureQuality`."""

    live_seconds: dict[str, int]
    implausible: int


class _Features(Mapping[str, SourceCounts]):
    """The counts of all inputs of a case, as integers in a row. Cases with the same sources share their names."""

    __slots__ = ("_counts", "_layout")

    def __init__(self, features: Mapping[str, FeatureQuality]) -> None:
        self._layout = _layout(tuple((name, tuple(quality.live_seconds)) for name, quality in features.items()))
        self._counts = array("q")
        for quality in features.values():
            self._counts.append(quality.implausible)
            self._counts.extend(quality.live_seconds.values())

    def __getitem__(self, name: str) -> SourceCounts:
        start, tracks = self._layout[name]
        live = self._counts[start + 1 : start + 1 + len(tracks)]
        return SourceCounts(dict(zip(tracks, live, strict=True)), self._counts[start])

    def __contains__(self, name: object) -> bool:
        return name in self._layout

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout)

    def __len__(self) -> int:
        return len(self._layout)


@lru_cache(maxsize=256)
def _layout(names: tuple[tuple[str, tuple[str, ...]], ...]) -> _Layout:
    layout, start = {}, 0
    for name, tracks in names:
        layout[name] = (start, tracks)
        start += 1 + len(tracks)
    return layout


_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FinishedCase:
    """A case that has a receipt.

    Attributes
    ----------
    reason, detail : str or None
        Why it is excluded; None for a harmonized case.
    seconds : int or None
        Length of its table.
    values_digest : str or None
        What identifies its table's values.
    features : mapping
        Counts by input.
    timings : mapping
        Seconds of each step of harmonizing.
    set_by, untimed, salvaged, set_back, doubled
        As `clock` and the others in `Receipt`.
    """

    reason: ReasonCode | None
    detail: str | None
    seconds: int | None
    values_digest: str | None
    features: Mapping[str, SourceCounts]
    unit_conflicts: tuple[UnitConflict, ...]
    timings: Mapping[str, float]
    set_by: str | None = None
    untimed: int = 0
    salvaged: str | None = None
    set_back: tuple[str, ...] = ()
    doubled: Mapping[str, int] = field(default_factory=lambda: _NONE)

    @classmethod
    def of(cls, receipt: Receipt) -> FinishedCase:
        """Take it from a receipt."""
        return cls(
            reason=receipt.reason,
            detail=receipt.detail,
            seconds=receipt.seconds,
            values_digest=receipt.values_digest,
            features=_Features(receipt.features),
            unit_conflicts=receipt.unit_conflicts,
            timings={sys.intern(name): seconds for name, seconds in receipt.timings.items()},
            set_by=receipt.clock,
            untimed=receipt.untimed,
            salvaged=receipt.salvaged,
            set_back=receipt.set_back,
            doubled=receipt.doubled or _NONE,
        )

    @property
    def status(self) -> Literal["ok", "excluded"]:
        """As in the receipt."""
        return "excluded" if self.reason else "ok"
