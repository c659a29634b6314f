"""The build summary of a split: files, windows and reasons. Reproducible: no times and no host names."""

from __future__ import annotations

import math
from collections.abc import ItemsView, Iterator, Mapping
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field, PlainSerializer

from vitalprep.contract.document import Document, PerCase, Schema, canonical_json, canonical_object
from vitalprep.contract.paths import SplitName, build_summary_path, dataset_folder, dataset_path
from vitalprep.contract.plan import Plan
from vitalprep.runtime.errors import ReasonCode, RetryableError
from vitalprep.storage import Storage

__all__ = [
    "SIZE",
    "TFRECORD",
    "BuildSummary",
    "CaseCoverage",
    "CaseOutcome",
    "Coverage",
    "FeatureStatistics",
    "FileSummary",
    "OriginCounts",
    "Sketch",
    "is_built",
    "is_summary_of",
    "listing_problem",
    "read_build_summary",
]


TFRECORD = ".tfrecord"


SIZE = 48  # hashes per sketch, 256 characters; a resemblance of 0.5 is estimated with a standard error of 0.07


Sketch = Annotated[str, Field(pattern=rf"^([A-Za-z0-9+/]{{{SIZE * 4 // 3 * 4}}})?$")]
"""A sketch in a document: `SIZE` hashes of 32 bits in base64, or an empty string."""


class OriginCounts(Schema):
    """Numbers of observed, held and default values."""

    observed: int = 0
    held: int = 0
    default: int = 0

    @property
    def total(self) -> int:
        """All values."""
        return self.observed + self.held + self.default

    def __add__(self, other: OriginCounts) -> OriginCounts:
        return OriginCounts(
            observed=self.observed + other.observed, held=self.held + other.held, default=self.default + other.default
        )


class CaseCoverage(NamedTuple):
    """Coverage of one input in one case, all in seconds.

    `observed`: total. `before`: seconds before the first observation, or the whole case if there is none. `inside`: the
    longest gap between two observations. `after`: seconds after the last observation.
    """

    observed: int
    before: int
    inside: int
    after: int


class Coverage(Mapping[int, CaseCoverage]):
    """Coverage of one input by case, in arrays: a data set has sixteen of each case.

    Raises
    ------
    ValueError
        If a number does not fit into 64 bits.
    """

    __slots__ = ("cases", "seconds")

    def __init__(self, of_case: Mapping[int, CaseCoverage]) -> None:
        by_number = sorted(of_case.items())
        try:
            self.cases = np.array([case for case, _ in by_number], dtype=np.int64)
            self.seconds = np.array([found for _, found in by_number], dtype=np.int64).reshape(-1, 4)
        except OverflowError as error:
            raise ValueError("a number does not fit into 64 bits") from error

    def __getitem__(self, case: int) -> CaseCoverage:
        place = int(np.searchsorted(self.cases, case))
        if place == len(self.cases) or self.cases[place] != case:
            raise KeyError(case)
        return CaseCoverage._make(self.seconds[place].tolist())

    def __iter__(self) -> Iterator[int]:
        return iter(self.cases.tolist())

    def __len__(self) -> int:
        return len(self.cases)

    def items(self) -> ItemsView[int, CaseCoverage]:
        """Return the cases with their coverage, by number."""
        return dict(zip(self.cases.tolist(), map(CaseCoverage._make, self.seconds.tolist()), strict=True)).items()


class FeatureStatistics(Schema):
    """Statistics of one input over some cases. Counts are seconds; sums are over observed seconds, in its unit.

    `clipped` counts observed or held seconds outside the normalization range. `histogram` counts observed seconds:
    below the range, in each of `bins_of` equal bins (the last one closed), above the range; it is empty in builds
    before version 2. `cases` counts cases with an observed second.
    """

    observed: int = 0
    held: int = 0
    default: int = 0
    clipped: int = 0
    total: float = 0.0
    total_of_squares: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    histogram: tuple[int, ...] = ()
    cases: int = 0

    def described(self) -> dict[str, float | int | None]:
        """Return the counts, and mean, standard deviation and extremes of the observed values."""
        mean = self.total / self.observed if self.observed else None
        variance = self.total_of_squares / self.observed - mean * mean if mean is not None else None
        return {
            "observed_seconds": self.observed,
            "held_seconds": self.held,
            "default_seconds": self.default,
            "clipped_seconds": self.clipped,
            "mean": mean,
            "standard_deviation": None if variance is None else math.sqrt(max(variance, 0.0)),
            "minimum": self.minimum,
            "maximum": self.maximum,
        }


class FileSummary(Schema):
    """One TFRecord file; `window_bytes` counts its framed records before compression."""

    name: str
    windows: int
    bytes: int
    window_bytes: int
    sha256: str


class CaseOutcome(PerCase):
    """One case: written windows, or the reason why there are none.

    `unobserved` counts windows in which no input, or too few, were observed; `dropped` those observed too little.
    """

    case_id: int
    seconds: int | None = None
    windows: int = 0
    unobserved: int = Field(default=0, exclude_if=lambda count: not count)
    dropped: int = 0
    reason: ReasonCode | None = None

    @property
    def left_out(self) -> int:
        """Windows that were not written."""
        return self.unobserved + self.dropped


def _content(coverage: Mapping[int, CaseCoverage]) -> dict[str, list[int]]:
    return {str(case): list(found) for case, found in coverage.items()}


_Coverage = Annotated[Mapping[int, CaseCoverage], AfterValidator(Coverage), PlainSerializer(_content)]


class BuildSummary(Document):
    """The build of one split.

    `targets` counts windows by the origin of each target. `coverage` is by input and written case. `sketches` are by
    case, for cases with windows, see `sketch_of`. Builds before version 3 have neither `coverage` nor `sketches`.
    `without_vital` counts windows without an observed second of a vital sign; builds before version 4 have None.
    """

    # 2: `targets`; histograms and cases in `statistics`. 3: `coverage`, `sketches`
    # 4: `without_vital`, `unobserved` of a case
    current_version: ClassVar[int] = 4
    schema_version: int = 4
    dataset_id: str
    split: str
    files: tuple[FileSummary, ...]
    cases: tuple[CaseOutcome, ...]
    statistics: dict[str, FeatureStatistics]
    targets: dict[str, OriginCounts] = Field(default_factory=dict)
    coverage: Mapping[str, _Coverage] = Field(default_factory=dict)
    sketches: dict[int, Sketch] = Field(default_factory=dict)
    without_vital: int | None = Field(default=None, exclude_if=lambda count: count is None)

    @property
    def windows(self) -> int:
        """Windows over all files."""
        return sum(file.windows for file in self.files)

    @property
    def unobserved(self) -> int:
        """Windows that were left out because no input, or too few, were observed."""
        return sum(case.unobserved for case in self.cases)

    @property
    def dropped(self) -> int:
        """Windows that were left out because they were observed too little."""
        return sum(case.dropped for case in self.cases)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes that are stored. Each input's coverage is written alone: as lists it is large."""
        coverage = {name: canonical_json(_content(found)) for name, found in self.coverage.items()}
        others = self.model_dump(mode="json", exclude={"coverage"})
        parts = {name: canonical_json(others.pop(name)) for name in list(others)}
        return canonical_object(parts | {"coverage": canonical_object(coverage)}) + b"\n"


def read_build_summary(output: Storage, dataset_id: str, split: str) -> BuildSummary | None:
    """Return a split's summary, or None if it is not built."""
    path = build_summary_path(dataset_id, split)
    return BuildSummary.from_storage(output, path)


def is_summary_of(summary: BuildSummary, plan: Plan, split: SplitName) -> bool:
    """Return whether a summary is that of a plan's split: of its data set, and of all its cases."""
    cases = [case.case_id for case in summary.cases]
    wanted = [case.case_id for case in plan.cases_of(split)]
    return (summary.dataset_id, summary.split, sorted(cases)) == (plan.dataset_id, split, sorted(wanted))


def is_built(summary: BuildSummary, plan: Plan, output: Storage) -> bool:
    """Return whether all files of a summary exist with the recorded sizes."""
    there = {stored.path: stored.size for stored in output.list(dataset_folder(plan.dataset_id))}
    return all(there.get(dataset_path(plan.dataset_id, file.name)) == file.bytes for file in summary.files)


def listing_problem(output: Storage, dataset_id: str, summaries: Mapping[SplitName, BuildSummary]) -> str | None:
    """Return the first difference between the stored files and the built ones, or None."""
    prefix = dataset_folder(dataset_id) + "/"
    there = {
        stored.path.removeprefix(prefix): stored.size
        for stored in output.list(prefix.rstrip("/"))
        if TFRECORD in stored.path
    }
    built = {file.name: file.bytes for summary in summaries.values() for file in summary.files}
    for name in sorted(there.keys() | built.keys()):
        if name not in there:
            return f"{name} is missing"
        if name not in built:
            return f"{name} does not belong to this data set"
        if there[name] != built[name]:
            return f"{name} has {there[name]} bytes instead of {built[name]}"
    return None


def require_build_summary(output: Storage, dataset_id: str, split: str) -> BuildSummary:
    """Return a split's summary.

    Raises
    ------
    RetryableError
        If the split is not built: another process may just be building it.
    """
    summary = read_build_summary(output, dataset_id, split)
    if summary is None:
        raise RetryableError(
            f"The {split} split of {output.uri_of('datasets')}/{dataset_id} is not built.",
            fix="run `vitalprep build` for it, then publish and validate.",
        )
    return summary
