"""The receipt of a case, which exists if and only if the case is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.document import Document, Schema
from vitalprep.contract.paths import harmonized_folder, receipt_path, stem_of_table, table_path
from vitalprep.contract.plan import FileStamp, Plan, PlannedCase, Stamp, stamp_of
from vitalprep.runtime.errors import ReasonCode, RefusedError, RetryableError
from vitalprep.storage import Storage

__all__ = [
    "MOST_UNUSED",
    "READERS",
    "CaseResult",
    "FeatureQuality",
    "InputFile",
    "InputObject",
    "ListedReceipt",
    "Receipt",
    "Rejected",
    "Runs",
    "StoredTable",
    "UnitConflict",
    "UnusedTrack",
    "each_receipt",
    "finished_cases",
    "listed_receipts",
    "read_receipt",
    "results_of",
    "results_there",
]


MOST_UNUSED = 500  # unused tracks in a receipt; a recording of VitalDB has about a hundred
READERS = 16  # concurrent reads of the small receipts
READ_AHEAD = 16 * READERS  # receipts in memory at once, about 30 kB each


Count = Annotated[int, Field(ge=0, lt=2**63)]
"""A count in a receipt; many receipts are held as arrays of int64."""


class Rejected(Schema):
    """What was not used of a source: records beyond its limits or not finite, and seconds without a pulse."""

    below: Count = Field(default=0, exclude_if=lambda count: not count)
    above: Count = Field(default=0, exclude_if=lambda count: not count)
    not_finite: Count = Field(default=0, exclude_if=lambda count: not count)
    no_pulse: Count = Field(default=0, exclude_if=lambda count: not count)

    @property
    def records(self) -> int:
        """Records that were dropped."""
        return self.below + self.above + self.not_finite

    @property
    def any(self) -> bool:
        """Whether anything was not used."""
        return self.records + self.no_pulse > 0

    def __add__(self, other: Rejected) -> Rejected:
        return Rejected(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class FeatureQuality(Schema):
    """Quality of one input in one case.

    Attributes
    ----------
    live_seconds : dict
        Seconds in which each source's value was used.
    implausible : int
        Records dropped as not finite or outside the source's limits.
    before_start : int
        Records dropped as earlier than the recording's start time.
    rejected : dict
        What was not used of each source, by track; receipts of version 1 have none.
    records : dict
        Records of each source from the recording's start on, by track, whether they were used or not; receipts of
        version 1 have none.
    longest_gap : int
        Longest run of seconds without a value.
    minimum, mean, maximum : float or None
        Over the seconds with a value, in the feature's unit.
    """

    live_seconds: dict[str, Count]
    implausible: Count
    before_start: Count
    rejected: dict[str, Rejected] = Field(default_factory=dict, exclude_if=lambda tracks: not tracks)
    records: dict[str, Count] = Field(default_factory=dict, exclude_if=lambda tracks: not tracks)
    longest_gap: Count
    minimum: float | None
    mean: float | None
    maximum: float | None


class InputFile(FileStamp):
    """A file that was read.

    `size` and `etag` are those that its plan knows it by (`PlannedCase.stamp`). `sha256` is that of its bytes, by which
    a copy is recognized; receipts of vitalprep 0.1.0 have none.
    """

    uri: str
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", exclude_if=lambda value: value is None)


class InputObject(InputFile):
    """The recording that was read: its file, and in `parts` its further files, in order."""

    parts: tuple[InputFile, ...] = Field(default=(), exclude_if=lambda parts: not parts)

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The recording's files, in order."""
        return (self, *self.parts)

    @property
    def stamp(self) -> Stamp:
        """The stamp by which the plan knows the recording."""
        return stamp_of(self.files)


class UnitConflict(Schema):
    """A track that was ignored because of its unit, and that unit."""

    track: str
    unit: str


Runs = tuple[tuple[Count, Count], ...]
"""Runs of seconds: the first of each, and the one after its last."""


class UnusedTrack(Schema):
    """A numeric track that no input names: its units, and its number of records."""

    track: str
    units: tuple[str, ...]
    records: Count


class StoredTable(NamedTuple):
    """A case's table, as its receipt describes it.

    `path` is below the output, `seconds` the number of rows, `observed` the runs of seconds in which at least one input
    has a value. `values_sha256` is the digest of the values. Receipts of vitalprep 0.1.0 have None for both, and
    `parquet_sha256`, the SHA-256 of the file.
    """

    case_id: int
    path: str
    seconds: int
    values_sha256: str | None
    parquet_sha256: str | None = None
    observed: Runs | None = None


class Receipt(Document):
    """The result of harmonizing one case.

    `timings` are in seconds; `seconds` is the length of the table. `values_sha256` is the digest of the table's values
    (`contract.table`), and `observed` are the runs of seconds in which at least one input has a value; receipts of
    version 1 have `parquet_sha256`, the SHA-256 of the file, in their place.

    `clock` is what says when the recording begins, and `untimed` counts records that were dropped because they had no
    time. `salvaged` is what an unfinished file lacks of which the whole packets were used. `set_back` are the tracks
    whose clock was set back and whose records were merged. `doubled` counts the seconds in which two devices of one
    name recorded different values, by track. `unused` are numeric tracks that no input names, at most `MOST_UNUSED` of
    all `unused_tracks`.
    """

    current_version: ClassVar[int] = 2
    schema_version: int = 2
    case_id: int
    status: Literal["ok", "excluded"]
    reason: ReasonCode | None = None
    detail: str | None = None
    input: InputObject
    input_id: str
    harmonize_digest: str
    seconds: Count | None = None
    values_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    parquet_sha256: str | None = Field(default=None, exclude_if=lambda value: value is None)
    observed: Runs | None = Field(default=None, exclude_if=lambda value: value is None)
    features: dict[str, FeatureQuality] = Field(default_factory=dict)
    unit_conflicts: tuple[UnitConflict, ...] = ()
    skipped_records: Count = 0
    clock: Literal["header", "records"] | None = Field(default=None, exclude_if=lambda value: value is None)
    untimed: Count = Field(default=0, exclude_if=lambda count: not count)
    salvaged: str | None = Field(default=None, exclude_if=lambda value: value is None)
    set_back: tuple[str, ...] = Field(default=(), exclude_if=lambda tracks: not tracks)
    doubled: dict[str, Count] = Field(default_factory=dict, exclude_if=lambda tracks: not tracks)
    unused: tuple[UnusedTrack, ...] = Field(default=(), exclude_if=lambda tracks: not tracks)
    unused_tracks: Count = Field(default=0, exclude_if=lambda count: not count)
    timings: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _describes_its_table(self) -> Self:
        if self.status == "ok" and (self.seconds is None or self.values_digest is None):
            raise ValueError("a harmonized case has the length and the digest of its table")
        if (self.status == "excluded") != (self.reason is not None):
            raise ValueError("an excluded case, and no other, has a reason")
        return self

    @property
    def values_digest(self) -> str | None:
        """What identifies the table's values; None where there is no table."""
        return CaseResult.of(self).values_digest

    def table(self, stem: str) -> StoredTable:
        """Return where the table of a harmonized case lies, from the case's `Plan.stem`."""
        return CaseResult.of(self).table(stem)


class CaseResult(NamedTuple):
    """What build, validate and diff need of a receipt, in a hundredth of its memory; `sizes` are those of its files."""

    case_id: int
    reason: ReasonCode | None
    detail: str | None
    sizes: tuple[int, ...]
    seconds: int | None
    values_sha256: str | None
    parquet_sha256: str | None
    observed: Runs | None

    @classmethod
    def of(cls, receipt: Receipt) -> CaseResult:
        """Take it from a receipt."""
        return cls(
            receipt.case_id,
            receipt.reason,
            receipt.detail,
            tuple(file.size for file in receipt.input.files),
            receipt.seconds,
            receipt.values_sha256,
            receipt.parquet_sha256,
            receipt.observed,
        )

    @property
    def values_digest(self) -> str | None:
        """What identifies the table's values; None where there is no table."""
        return self.values_sha256 or self.parquet_sha256

    def table(self, stem: str) -> StoredTable:
        """Return where the table of a harmonized case lies, from the case's `Plan.stem`."""
        path = table_path(stem, self.values_sha256)
        return StoredTable(
            self.case_id, path, self.seconds or 0, self.values_sha256, self.parquet_sha256, self.observed
        )


@dataclass(frozen=True)
class ListedReceipt:
    """A receipt as seen in a listing: its time of writing, and whether the case is excluded."""

    modified: datetime | None
    excluded: bool


def listed_receipts(plan: Plan, output: Storage) -> dict[int, ListedReceipt]:
    """Return the plan's cases that have a receipt, from one listing and the receipts of the cases without a table."""
    listed = {stored.path: stored.modified for stored in output.list(harmonized_folder(plan.harmonize_digest))}
    stems = {case.case_id: plan.stem(case.case_id) for case in plan.cases}
    tables = {stem_of_table(path) for path in listed} - {None}
    done = [case for case, stem in stems.items() if receipt_path(stem) in listed]
    without = _results(plan, output, [case for case in done if stems[case] not in tables])
    excluded = {case for case, result in without.items() if result.reason is not None}
    return {case: ListedReceipt(listed[receipt_path(stems[case])], excluded=case in excluded) for case in done}


def finished_cases(plan: Plan, output: Storage) -> set[int]:
    """Return the plan's cases that have a receipt, from one listing."""
    return set(listed_receipts(plan, output))


def read_receipt(plan: Plan, output: Storage, case_id: int) -> Receipt:
    """Return a finished case's receipt.

    Raises
    ------
    RefusedError
        If it is damaged, or that of another case, recording or configuration.
    """
    path, case = receipt_path(plan.stem(case_id)), plan.by_id[case_id]
    receipt = Receipt.from_bytes(output.get(path), uri=output.uri_of(path))
    stated = (receipt.case_id, receipt.input_id, receipt.harmonize_digest, receipt.input.stamp)
    if stated != (case_id, case.input_id, plan.harmonize_digest, case.stamp):
        raise RefusedError(
            f"{output.uri_of(path)} is not the receipt of case {case_id}: it names another case, recording or "
            "configuration.",
            fix="run with --force, which harmonizes again.",
        )
    return receipt


def results_of(plan: Plan, output: Storage, cases: list[PlannedCase]) -> dict[int, CaseResult]:
    """Return what the receipts of some cases say.

    Raises
    ------
    RetryableError
        If any case has no receipt: another process may just be removing or writing it. The message names the cases
        and shards.
    RefusedError
        See `read_receipt`.
    """
    found = results_there(plan, output, cases)
    missing = sorted({case.case_id for case in cases} - found.keys())
    if missing:
        shards = ", ".join(map(str, plan.shards_of(missing)))
        raise RetryableError(
            f"Cases {short_case_list(missing)} are not harmonized (shards {shards}).",
            fix="harmonize these shards first: `vitalprep harmonize --plan ... --shard I`.",
        )
    return found


def results_there(plan: Plan, output: Storage, cases: list[PlannedCase]) -> dict[int, CaseResult]:
    """Return what the receipts of those of some cases say that are finished; see `results_of`."""
    finished = finished_cases(plan, output)
    return _results(plan, output, [case.case_id for case in cases if case.case_id in finished])


def each_receipt(plan: Plan, output: Storage, cases: Sequence[int]) -> Iterator[tuple[int, Receipt]]:
    """Yield number and receipt of finished cases, in order. `READ_AHEAD` receipts are in memory at a time.

    Raises
    ------
    RefusedError
        See `read_receipt`.
    """
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(cases), READ_AHEAD):
            part = cases[first : first + READ_AHEAD]
            yield from zip(part, pool.map(lambda case: read_receipt(plan, output, case), part), strict=True)


def _results(plan: Plan, output: Storage, cases: list[int]) -> dict[int, CaseResult]:
    return {case: CaseResult.of(receipt) for case, receipt in each_receipt(plan, output, cases)}
