"""Makes a plan from the listing of the input, the clinical table and the configuration."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from vitalprep.contract.case_list import parse_case_list
from vitalprep.contract.config import Config
from vitalprep.contract.identity import dataset_id, harmonize_digest, identity_of, input_id, subject_salt
from vitalprep.contract.left_out import LeftOut
from vitalprep.contract.paths import SplitName
from vitalprep.contract.plan import (
    Append,
    ClinicalTable,
    ExcludedCase,
    Part,
    Plan,
    PlannedCase,
    Stamp,
    settled_body,
    stamp_of,
)
from vitalprep.contract.provenance import SettledProvenance
from vitalprep.contract.splits import assign_splits, kept_splits, refuse_empty_splits
from vitalprep.plan.clinical import ClinicalRow, Statics, named_files, read_clinical_table, settle_statics
from vitalprep.plan.listing import Listing, list_input
from vitalprep.plan.mapped_cells import mapped_columns
from vitalprep.plan.parent import continuing, refuse_another_config
from vitalprep.plan.provenance import settled_provenance
from vitalprep.plan.readings import readings_of
from vitalprep.plan.recognition import HarmonizedBefore
from vitalprep.plan.recordings import Recordings, assigned
from vitalprep.plan.shards import balanced_shards, modulo_shards
from vitalprep.plan.units import refuse_wrong_units
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import ObjectMissing, Storage, StoredObject, normalized_uri, read_uri

__all__ = ["PlanRequest", "make_plan", "named_beside", "named_in_table", "plan_recordings"]

CLINICAL_TABLE = "clinical_data.csv"


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What the user asks for.

    Parameters
    ----------
    input : str
        Location of the recordings.
    config : Config
        The settled configuration.
    cases : str, optional
        Case list; default all that are there.
    clinical : str, optional
        URI of the clinical table; default ``<input>/clinical_data.csv``.
    shards : int
        Task shards, at least 1.
    sharding : str
        ``balanced`` by bytes, or ``modulo``.
    parent : Plan, optional
        Plan of the data set to append to: its cases are asked for, too, and its subjects keep their splits.
    name : str, optional
        Name of the data set for people; its id does not depend on it.
    output : Storage, optional
        Where the data set is to lie: copies of recordings that were harmonized there are recognized.
    """

    input: str
    config: Config
    cases: str | None = None
    clinical: str | None = None
    shards: int = 1
    sharding: Literal["balanced", "modulo"] = "balanced"
    parent: Plan | None = None
    name: str | None = None
    output: Storage | None = None


def make_plan(request: PlanRequest) -> Plan:
    """List the input, read the clinical table and settle everything that later stages rely on.

    Raises
    ------
    RefusedError
        If nothing is there, no requested case is there with a clinical row, a split would be empty, or the clinical
        table is not well formed or has a column in another unit.
    UsageError
        If the case list or a location is wrong, or an appended data set would have another configuration.
    """
    return plan_recordings(request, list_input(Storage(request.input))).described_as(name=request.name)


def plan_recordings(request: PlanRequest, listing: Listing) -> Plan:
    """Make a plan from an input that is listed already; see `make_plan`.

    An appended plan that would hold what its parent holds *is* its parent's.
    """
    if request.shards < 1:
        raise UsageError(f"{request.shards} shards were asked for.", fix="ask for 1 or more.")
    parent = request.parent
    found = _found(request, listing)
    if parent is None:
        return _planned(request, found, None).sealed()
    refuse_another_config(parent, request.config)
    plan = _planned(request, found, continuing(parent))
    if plan.salt_check != parent.salt_check:
        raise UsageError(
            f"The salt for subject ids is not the one {parent.dataset_id} was made with.",
            fix="use the same salt, so that a subject has the same id in both.",
        )
    unchanged = identity_of(plan, append_parent=parent.parent) == parent.dataset_id
    if unchanged:
        plan = plan.model_copy(update={"dataset_id": parent.dataset_id, "append": parent.append})
    return plan.sealed()


@dataclass(frozen=True)
class _Found:
    """What was found of the requested cases: `recordings` and `rows` by case number, and their provenance."""

    input: str
    source: SettledProvenance | None
    clinical: ClinicalTable | None
    requested: tuple[int, ...]
    recordings: Mapping[int, tuple[StoredObject, ...]]
    left_out: tuple[LeftOut, ...]
    rows: Mapping[int, ClinicalRow]
    known_as: Mapping[int, Stamp] = field(default_factory=dict)

    @cached_property
    def present(self) -> list[int]:
        return [case for case in self.requested if case in self.recordings and case in self.rows]

    @cached_property
    def excluded(self) -> tuple[ExcludedCase, ...]:
        return tuple(
            ExcludedCase(case_id=case, reason="no_clinical_row" if case in self.recordings else "raw_object_missing")
            for case in self.requested
            if case not in self.recordings or case not in self.rows
        )


def _found(request: PlanRequest, listing: Listing) -> _Found:
    source = Storage(request.input)
    beside, uri = source.uri_of(CLINICAL_TABLE), _clinical_uri(request, source)
    if listing.is_empty:
        assigned(listing, {}).refuse_none()
    table = _clinical_bytes(uri)
    recordings = assigned(listing, named_files(table, uri))
    recordings.refuse_none()
    requested = set(parse_case_list(request.cases) if request.cases else recordings.cases)
    if request.parent is not None:
        requested |= request.parent.requested
    recordings.warn(requested)
    rows = _clinical_rows(table, uri, requested, request.config)
    clinical = ClinicalTable(uri=uri, sha256=hashlib.sha256(table).hexdigest()) if uri != beside else None
    origin = settled_provenance(request.config, source, uri if request.clinical else None)
    found = _Found(
        source.uri, origin, clinical, tuple(sorted(requested)), recordings.by_case, recordings.left_out, rows
    )
    _refuse_nothing(found, recordings)
    refuse_wrong_units({case: rows[case] for case in found.present}, request.config)
    return replace(found, known_as=_known_as(request, found))


def _planned(request: PlanRequest, found: _Found, append: Append | None) -> Plan:
    config = request.config
    subject_of_case = {case: found.rows[case].subject_id for case in found.present}
    kept = kept_splits(append, subject_of_case) if append else None
    split_of_subject = assign_splits(subject_of_case, config.split, kept)
    refuse_empty_splits(split_of_subject, config.split)
    cases = tuple(_case(case, found, config, split_of_subject[subject]) for case, subject in subject_of_case.items())
    salt_check = subject_salt(config)[1]
    sizes = {case.case_id: case.total_size for case in cases}
    return Plan(
        dataset_id=dataset_id(
            config,
            cases,
            found.excluded,
            salt_check=salt_check,
            append_parent=append.parents[-1] if append else None,
        ),
        harmonize_digest=harmonize_digest(config),
        input=found.input,
        config=config,
        salt_check=salt_check,
        append=append,
        source=found.source,
        clinical=found.clinical,
        cases=cases,
        excluded=found.excluded,
        left_out=found.left_out,
        shards=(
            balanced_shards(sizes, request.shards)
            if request.sharding == "balanced"
            else modulo_shards(list(sizes), request.shards)
        ),
    )


def _case(case_id: int, found: _Found, config: Config, split: SplitName) -> PlannedCase:
    files, row, known_as = found.recordings[case_id], found.rows[case_id], found.known_as.get(case_id)
    statics = settle_statics(row, config)
    return PlannedCase(
        case_id=case_id,
        subject_id=row.subject_id,
        object=files[0].path,
        size=files[0].size,
        etag=files[0].etag,
        parts=tuple(Part(object=file.path, size=file.size, etag=file.etag) for file in files[1:]),
        input_id=_input_id(known_as or stamp_of(files), statics, row, config),
        split=split,
        static=statics.values,
        static_origin=statics.origins,
        body=statics.body,
        outside_limits=statics.outside_limits,
        known_as=known_as,
        mapped_cells=row.cells or None,
    )


def _input_id(stamp: Stamp, statics: Statics, row: ClinicalRow, config: Config) -> str:
    return input_id(stamp, settled_body(statics.values, statics.body, config), row.cells)


def _known_as(request: PlanRequest, found: _Found) -> dict[int, Stamp]:
    if request.output is None:
        return {}
    config = request.config
    recordings = {case: found.recordings[case] for case in found.present}
    own = {
        case: _input_id(stamp_of(files), settle_statics(found.rows[case], config), found.rows[case], config)
        for case, files in recordings.items()
    }
    return HarmonizedBefore(request.output, harmonize_digest(config)).known_as(recordings, Storage(request.input), own)


def _clinical_rows(table: bytes, uri: str, wanted: set[int], config: Config) -> dict[int, ClinicalRow]:
    try:
        return read_clinical_table(table, uri, wanted, readings_of(config), mapped_columns(config))
    except UsageError as error:
        raise RefusedError(
            f"The clinical table {uri} cannot be read: {error.message}",
            fix="put VitalDB's clinical_data.csv there, or name it with --clinical.",
        ) from error


def _clinical_bytes(uri: str) -> bytes:
    """Return the table's bytes. Errors of location or credentials are the storage's own."""
    try:
        return read_uri(uri)
    except ObjectMissing as error:
        raise RefusedError(
            f"The clinical table {uri} is not there.",
            fix="put VitalDB's clinical_data.csv there, or name it with --clinical.",
        ) from error


def named_in_table(request: PlanRequest) -> dict[int, tuple[str, ...]]:
    """Return the paths that the request's clinical table names, by case.

    Raises
    ------
    RefusedError
        If the table is not there, or cannot be read.
    """
    uri = _clinical_uri(request, Storage(request.input))
    return named_files(_clinical_bytes(uri), uri)


def named_beside(source: Storage) -> dict[int, tuple[str, ...]]:
    """Return the paths that the clinical table beside the recordings names, by case; none where there is no table."""
    if source.head(CLINICAL_TABLE, optional=True) is None:
        return {}
    return named_files(source.get(CLINICAL_TABLE), source.uri_of(CLINICAL_TABLE))


def _clinical_uri(request: PlanRequest, source: Storage) -> str:
    return normalized_uri(request.clinical) if request.clinical else source.uri_of(CLINICAL_TABLE)


def _refuse_nothing(found: _Found, recordings: Recordings) -> None:
    if found.present:
        return
    reasons = Counter(case.reason for case in found.excluded)
    counts = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    raise RefusedError(
        f"None of the {len(found.requested)} requested cases can be used ({counts}) in {found.input}."
        + (f" In detail: {lacking}." if (lacking := recordings.lacking(set(found.requested))) else ""),
        fix="check the case list, the input location and the clinical table.",
    )
