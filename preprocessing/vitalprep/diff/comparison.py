"""What a comparison of two data sets holds, as JSON has it, too."""

from __future__ import annotations

from vitalprep.contract.document import Schema

__all__ = [
    "Bytes", "CaseChange", "Cases", "Change", "Comparison", "Distribution", "Shares", "TargetOrigins", "WarningChanges",
]  # fmt: skip


class Change(Schema):
    """One thing of both; None where one side has none."""

    key: str
    a: str | int | float | bool | None
    b: str | int | float | bool | None


class CaseChange(Schema):
    """One case that both have and that differs."""

    case_id: int
    a: str
    b: str


class Cases(Schema):
    """The requested cases of both.

    `outcome` are those written in one and excluded in the other, or for another reason. `windows` begins with the
    greatest change. `input` are those whose recording or patient's body size changed, `stamp` those whose recording has
    another file stamp (size, etag) and gave the same values; both are None where a plan is no longer there to tell.
    """

    both: int
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    split: tuple[CaseChange, ...]
    outcome: tuple[CaseChange, ...]
    windows: tuple[CaseChange, ...]
    input: tuple[int, ...] | None
    stamp: tuple[int, ...] | None


class WarningChanges(Schema):
    """What is pointed out in both, and the messages of what is in one alone, each as (level, message).

    A warning is the same if it is of the same kind and level, item, cases and splits; its numbers may differ.
    """

    both: int
    only_a: tuple[tuple[str, str], ...]
    only_b: tuple[tuple[str, str], ...]


class Shares(Schema):
    """Shares of all values by origin, and of the observed or held ones the share outside of the range.

    Each is None where there are no such values.
    """

    observed: float | None
    held: float | None
    default: float | None
    clipped: float | None = None


class Distribution(Schema):
    """One input of one split in both, over the seconds of the written cases.

    `cases_a` and `cases_b` are those with an observed second. `distance` is that of Kolmogorov and Smirnov between the
    observed seconds; where it is None, `no_distance` says why.
    """

    item: str
    split: str
    a: Shares
    b: Shares
    mean_a: float | None
    mean_b: float | None
    cases_a: int
    cases_b: int
    distance: float | None
    no_distance: str | None
    same: bool


class TargetOrigins(Schema):
    """One target of one split in both, over windows; a side is None where its build did not count it."""

    item: str
    split: str
    a: Shares | None
    b: Shares | None


class Bytes(Schema):
    """The TFRecord files of both by SHA-256."""

    same: tuple[str, ...]
    different: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    bytes_a: int
    bytes_b: int


class Comparison(Schema):
    """What is different between data sets A and B.

    `same` says that their TFRecord files have the same bytes, `same_content` that also names, types and shapes are the
    same: then their content ids are equal. A content id is None where ``features.json`` is missing.

    `source_a` and `source_b` name where the recordings come from, None where a data set does not say. `warnings` is
    None where one does not list its own. `distributions` begin with what cannot be compared.
    """

    a: str
    b: str
    name_a: str | None
    name_b: str | None
    content_id_a: str | None
    content_id_b: str | None
    same_content: bool
    source_a: str | None
    source_b: str | None
    same: bool
    versions: tuple[Change, ...]
    source: tuple[Change, ...]
    config: tuple[Change, ...]
    cases: Cases
    counts: tuple[Change, ...]
    warnings: WarningChanges | None
    targets: tuple[TargetOrigins, ...]
    distributions: tuple[Distribution, ...]
    bytes: Bytes
