"""A warning of the report, as stored in metadata and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import ConfigDict, Field

from vitalprep.contract.document import Schema

__all__ = ["Code", "DataWarning", "Level"]


Code = Literal[
    "recordings_left_out",
    "known_track_unused",
    "case_without_vital",
    "windows_without_vital",
    "two_devices",
    "clock_set_back",
    "salvaged",
    "few_subjects",
    "cases_dominate",
    "near_duplicate",
    "static_all_default",
    "static_outside_limits",
    "input_mostly_default",
    "rarely_observed",
    "mostly_default",
    "often_clipped",
    "splits_differ",
    "distributions_differ",
    "coverage_differs",
    "sources_differ",
    "origin_tells_future",
]


Level = Literal["warning", "note"]


class DataWarning(Schema):
    """One finding about a data set.

    `level` is ``note`` if chance cannot be excluded, or if it applies to every data set of its kind. `item` is the
    input, target, static or source, `values` are the figures by split, `cases` the affected cases. `code` is a `Code`;
    metadata of other versions may contain others.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    code: str
    level: Level
    item: str | None = None
    threshold: float | None = None
    values: Mapping[str, float] = Field(default_factory=dict)
    cases: tuple[int, ...] = ()
    message: str

    @property
    def severity(self) -> float:
        """How far a warning is beyond its threshold, to find the worst one of a code."""
        if self.threshold is None or not self.values:
            return float(len(self.cases))
        return max(abs(abs(value) - self.threshold) for value in self.values.values())
