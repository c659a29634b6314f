"""Making a plan: the listing, the clinical table and the configuration become everything that later stages rely on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from preprocessing.config import Config
from preprocessing.errors import RefusedError, UsageError
from preprocessing.plan.case_list import parse_case_list
from preprocessing.plan.clinical import ClinicalRow, read_clinical_table, settle_statics
from preprocessing.plan.identity import dataset_id, harmonize_digest, input_id, subject_salt
from preprocessing.plan.plan import ExcludedCase, Plan, PlannedCase
from preprocessing.plan.recordings import find_recordings
from preprocessing.plan.shards import balanced_shards, modulo_shards
from preprocessing.plan.splits import assign_splits, refuse_empty_splits
from preprocessing.storage import ObjectMissing, Storage, normalized_uri, read_uri

__all__ = ["PlanRequest", "make_plan"]

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
    """

    input: str
    config: Config
    cases: str | None = None
    clinical: str | None = None
    shards: int = 1
    sharding: Literal["balanced", "modulo"] = "balanced"


def make_plan(request: PlanRequest) -> Plan:
    """List the input, read the clinical table and settle everything that later stages rely on.

    Raises
    ------
    RefusedError
        If nothing is there, no requested case is there with a clinical row, or a split would be empty.
    UsageError
        If the case list or a location is wrong.
    """
    if request.shards < 1:
        raise UsageError(f"{request.shards} shards were asked for.", mend="ask for 1 or more.")
    config = request.config
    source = Storage(request.input)
    recordings = find_recordings(source)
    requested = parse_case_list(request.cases) if request.cases else tuple(recordings)
    rows = _clinical_rows(request, source, set(requested))
    excluded = [
        ExcludedCase(case_id=case, reason="no_clinical_row" if case in recordings else "raw_object_missing")
        for case in requested
        if case not in recordings or case not in rows
    ]
    present = [case for case in requested if case in recordings and case in rows]
    _refuse_nothing(present, requested, excluded, source.uri)
    split_of_subject = assign_splits({case: rows[case].subject_id for case in present}, config.split)
    refuse_empty_splits(split_of_subject, config.split)
    names = [static.name for static in config.statics]
    cases = []
    for case in present:
        statics = settle_statics(rows[case], config)
        settled = dict(zip(names, statics.values, strict=True))
        stored = recordings[case]
        cases.append(
            PlannedCase(
                case_id=case,
                subject_id=rows[case].subject_id,
                object=stored.path,
                size=stored.size,
                etag=stored.etag,
                input_id=input_id(
                    size=stored.size,
                    etag=stored.etag,
                    body={name: settled[name] for name in ("height", "sex", "weight")},
                ),
                split=split_of_subject[rows[case].subject_id],
                static=statics.values,
                static_origin=statics.origins,
            )
        )
    salt_check = subject_salt(config)[1]
    sizes = {case.case_id: case.size for case in cases}
    return Plan(
        dataset_id=dataset_id(config, cases, excluded, salt_check=salt_check),
        harmonize_digest=harmonize_digest(config),
        input=source.uri,
        config=config,
        salt_check=salt_check,
        cases=tuple(cases),
        excluded=tuple(excluded),
        shards=(
            balanced_shards(sizes, request.shards)
            if request.sharding == "balanced"
            else modulo_shards(list(sizes), request.shards)
        ),
    )


def _clinical_rows(request: PlanRequest, source: Storage, wanted: set[int]) -> dict[int, ClinicalRow]:
    uri = normalized_uri(request.clinical) if request.clinical else source.uri_of(CLINICAL_TABLE)
    try:
        return read_clinical_table(read_uri(uri), uri, wanted)
    except (ObjectMissing, UsageError) as error:
        raise RefusedError(
            f"The clinical table {uri} cannot be read: {error.message}",
            mend="put VitalDB's clinical_data.csv there, or name it with --clinical.",
        ) from error


def _refuse_nothing(
    present: list[int], requested: tuple[int, ...], excluded: list[ExcludedCase], input_uri: str
) -> None:
    if present:
        return
    reasons = Counter(case.reason for case in excluded)
    counts = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    raise RefusedError(
        f"None of the {len(requested)} requested cases can be used ({counts}) in {input_uri}.",
        mend="check the case list, the input location and the clinical table.",
    )
