"""What building a split came to: files, windows and reasons; no times or hosts, so that it is the same again."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from vitalprep.documents import Document, Model
from vitalprep.errors import ReasonCode
from vitalprep.layout import build_summary_path
from vitalprep.records.sketch import Sketch
from vitalprep.records.statistics import CaseCoverage, FeatureStatistics, OriginCounts
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["BuildSummary", "CaseOutcome", "FileSummary", "read_build_summary"]


class FileSummary(Model):
    """One TFRecord file; `window_bytes` counts its framed records before compression."""

    name: str
    windows: int
    bytes: int
    window_bytes: int
    sha256: str


class CaseOutcome(Model):
    """One case: windows written, or the one reason why there are none. `dropped` windows were observed too little."""

    case_id: int
    seconds: int | None = None
    windows: int = 0
    dropped: int = 0
    reason: ReasonCode | None = None


class BuildSummary(Document):
    """The build of one split.

    `targets` counts the windows by the origin of each target. `coverage` is of each written case, by input. `sketches`
    are those of the cases that have windows, by case number, see `sketch_of`. Builds before version 3 have neither.
    """

    current_version: ClassVar[int] = 3  # 2: `targets`; histograms and cases in `statistics`. 3: `coverage`, `sketches`
    schema_version: int = 3
    dataset_id: str
    split: str
    files: tuple[FileSummary, ...]
    cases: tuple[CaseOutcome, ...]
    statistics: dict[str, FeatureStatistics]
    targets: dict[str, OriginCounts] = Field(default_factory=dict)
    coverage: dict[str, dict[int, CaseCoverage]] = Field(default_factory=dict)
    sketches: dict[int, Sketch] = Field(default_factory=dict)

    @property
    def windows(self) -> int:
        """Windows over all files."""
        return sum(file.windows for file in self.files)


def read_build_summary(output: Storage, dataset_id: str, split: str) -> BuildSummary | None:
    """Return a split's summary, or None where it is not built."""
    path = build_summary_path(dataset_id, split)
    try:
        return BuildSummary.from_bytes(output.get(path), uri=output.uri_of(path))
    except ObjectMissing:
        return None
