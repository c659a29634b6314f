"""The receipt of a case, which exists if and only if the case is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.document import Document, Schema
from vitalprep.contract.paths import harmonized_folder, receipt_path, table_path
from vitalprep.contract.plan import Plan, PlannedCase
from vitalprep.runtime.errors import ReasonCode, RefusedError
from vitalprep.storage import Storage

__all__ = [
    "READERS",
    "FeatureQuality",
    "InputObject",
    "ListedReceipt",
    "Receipt",
    "UnitConflict",
    "each_receipt",
    "finished_cases",
    "listed_receipts",
    "read_receipt",
    "receipts_of",
]


READERS = 16  # concurrent reads of the small receipts
READ_AHEAD = 16 * READERS  # receipts in memory at once, about 30 kB each


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
    longest_gap : int
        Longest run of seconds without a value.
    minimum, mean, maximum : float or None
        Over the seconds with a value, in the feature's unit.
    """

    live_seconds: dict[str, int]
    implausible: int
    before_start: int
    longest_gap: int
    minimum: float | None
    mean: float | None
    maximum: float | None


class InputObject(Schema):
    """The raw object that was read."""

    uri: str
    size: int
    etag: str


class UnitConflict(Schema):
    """A track that was ignored because of its unit, and that unit."""

    track: str
    unit: str


class Receipt(Document):
    """The result of harmonizing one case. `timings` are in seconds; `seconds` is the length of the table."""

    case_id: int
    status: Literal["ok", "excluded"]
    reason: ReasonCode | None = None
    detail: str | None = None
    input: InputObject
    input_id: str
    harmonize_digest: str
    seconds: int | None = None
    parquet_sha256: str | None = None
    features: dict[str, FeatureQuality] = Field(default_factory=dict)
    unit_conflicts: tuple[UnitConflict, ...] = ()
    skipped_records: int = 0
    timings: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class ListedReceipt:
    """A receipt as seen in a listing: its time of writing, and whether the case is excluded, that is, has no table."""

    modified: datetime | None
    excluded: bool


def listed_receipts(plan: Plan, output: Storage) -> dict[int, ListedReceipt]:
    """Return the plan's cases that have a receipt, from one listing."""
    listed = {stored.path: stored.modified for stored in output.list(harmonized_folder(plan.harmonize_digest))}
    stems = {case.case_id: plan.stem(case.case_id) for case in plan.cases}
    return {
        case: ListedReceipt(listed[receipt_path(stem)], excluded=table_path(stem) not in listed)
        for case, stem in stems.items()
        if receipt_path(stem) in listed
    }


def finished_cases(plan: Plan, output: Storage) -> set[int]:
    """Return the plan's cases that have a receipt, from one listing."""
    return set(listed_receipts(plan, output))


def read_receipt(plan: Plan, output: Storage, case_id: int) -> Receipt:
    """Return a finished case's receipt."""
    path = receipt_path(plan.stem(case_id))
    return Receipt.from_bytes(output.get(path), uri=output.uri_of(path))


def each_receipt(plan: Plan, output: Storage, cases: Sequence[int]) -> Iterator[tuple[int, Receipt]]:
    """Yield number and receipt of finished cases, in order. `READ_AHEAD` receipts are in memory at a time."""
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(cases), READ_AHEAD):
            part = cases[first : first + READ_AHEAD]
            yield from zip(part, pool.map(lambda case: read_receipt(plan, output, case), part), strict=True)


def receipts_of(plan: Plan, output: Storage, cases: list[PlannedCase], *, quality: bool = True) -> dict[int, Receipt]:
    """Return the receipts of some cases.

    Parameters
    ----------
    quality : bool
        Whether they keep `features`, which take most of their memory.

    Raises
    ------
    RefusedError
        If any case has no receipt. The message names the cases and shards.
    """
    wanted = [case.case_id for case in cases]
    missing = sorted(set(wanted) - finished_cases(plan, output))
    if missing:
        shards = ", ".join(map(str, plan.shards_of(missing)))
        raise RefusedError(
            f"Cases {short_case_list(missing)} are not harmonized (shards {shards}).",
            fix="harmonize these shards first: `vitalprep harmonize --plan ... --shard I`.",
        )
    return {
        case: receipt if quality else receipt.model_copy(update={"features": {}})
        for case, receipt in each_receipt(plan, output, wanted)
    }
