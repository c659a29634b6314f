"""The comparison of two data sets, as ``vitalprep diff --json`` prints it."""

from __future__ import annotations

from vitalprep.contract.document import Schema

__all__ = [
    "Bytes", "CaseChange", "Cases", "Change", "Comparison", "Distribution", "Shares", "TargetOrigins", "WarningChanges",
]  # fmt: skip


class Change(Schema):
    """One value of both data sets; None if a side has none."""

    key: str
    a: str | int | float | bool | None
    b: str | int | float | bool | None


class CaseChange(Schema):
    """One case that is in both data sets and differs."""

    case_id: int
    a: str
    b: str


class Cases(Schema):
    """The requested cases of both data sets.

    `outcome` lists cases that are written in one and excluded in the other, or excluded for different reasons.
    `windows` starts with the largest change. `input` lists cases with another recording or another body size of the
    patient. `stamp` lists cases whose recording has another file stamp (size, etag) and gave the same values. Both are
    None if a plan is missing.
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
    """Number of warnings in both, and (level, message) of those in one data set only.

    Two warnings are the same if code, level, item, cases and splits are equal. Their numbers may differ.
    """

    both: int
    only_a: tuple[tuple[str, str], ...]
    only_b: tuple[tuple[str, str], ...]


class Shares(Schema):
    """Shares of values by origin, and the share of observed or held values outside the range (`clipped`).

    A share is None if there are no such values.
    """

    observed: float | None
    held: float | None
    default: float | None
    clipped: float | None = None


class Distribution(Schema):
    """One input of one split, over the seconds of the written cases.

    `cases_a` and `cases_b` count cases with an observed second. `distance` is the Kolmogorov-Smirnov distance of the
    observed seconds; if it is None, `no_distance` gives the reason.
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
    """One target of one split, over windows. A side is None if its build did not count origins."""

    item: str
    split: str
    a: Shares | None
    b: Shares | None


class Bytes(Schema):
    """The TFRecord files of both data sets, compared by SHA-256."""

    same: tuple[str, ...]
    different: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    bytes_a: int
    bytes_b: int


class Comparison(Schema):
    """Differences between data sets A and B.

    `same`: their TFRecord files have the same bytes. `same_content`: their content ids are equal, so that names, types
    and shapes are the same, too. A content id is None if ``features.json`` is missing.

    `source_a` and `source_b` name the source of the recordings, or are None. `warnings` is None if one data set does
    not list its warnings. `distributions` starts with those that cannot be compared.
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
