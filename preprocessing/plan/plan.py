"""The plan: which cases, which subject in which split, which case in which shard."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import Field

from preprocessing.config import Config
from preprocessing.documents import Document, Model, digest
from preprocessing.errors import RefusedError, UsageError
from preprocessing.layout import SplitName, harmonized_stem, output_of_plan, plan_path
from preprocessing.plan.case_list import parse_case_list, short_case_list
from preprocessing.plan.clinical import ClinicalRow, read_clinical_table, settle_statics
from preprocessing.plan.identity import dataset_id, harmonize_digest, input_id, subject_salt
from preprocessing.plan.recordings import find_recordings
from preprocessing.plan.shards import balanced_shards, modulo_shards
from preprocessing.plan.splits import assign_splits, refuse_empty_splits
from preprocessing.storage import ObjectMissing, Storage, normalized_uri, read_uri

__all__ = ["ExcludedCase", "Plan", "PlanRequest", "PlannedCase", "load_plan", "make_plan", "store_plan"]

CLINICAL_TABLE = "clinical_data.csv"


class PlannedCase(Model):
    """One case that is there and has a clinical row. `object` is its path below the plan's input."""

    case_id: int
    subject_id: int
    object: str
    size: int
    etag: str
    input_id: str
    split: SplitName
    static: tuple[float, ...]
    static_origin: tuple[int, ...]


class ExcludedCase(Model):
    """One requested case that cannot be planned."""

    case_id: int
    reason: Literal["raw_object_missing", "no_clinical_row"]


class Plan(Document):
    """An immutable plan. It holds no output location, so that it can be moved with its output."""

    dataset_id: str
    harmonize_digest: str
    input: str
    config: Config
    salt_check: str | None = Field(default=None)
    cases: tuple[PlannedCase, ...]
    excluded: tuple[ExcludedCase, ...]
    shards: tuple[tuple[int, ...], ...]

    @cached_property
    def by_id(self) -> dict[int, PlannedCase]:
        """The planned cases by number."""
        return {case.case_id: case for case in self.cases}

    @cached_property
    def digest(self) -> str:
        """The plan's own digest, which names it."""
        return digest(self.content())

    @property
    def path(self) -> str:
        """Where the plan lies below the output."""
        return plan_path(self.dataset_id, self.digest)

    def stem(self, case_id: int) -> str:
        """Path of a case's harmonized table and receipt, without ending."""
        return harmonized_stem(self.harmonize_digest, case_id, self.by_id[case_id].input_id)

    def cases_of(self, split: str) -> list[PlannedCase]:
        """The planned cases of one split, by number."""
        return [case for case in self.cases if case.split == split]

    def shard_label(self, index: int) -> str:
        """A shard's cases and size for people."""
        cases = self.shards[index]
        size = sum(self.by_id[case].size for case in cases)
        return f"cases {_shortened(short_case_list(cases))} ({len(cases)} cases, {size / 1e6:.1f} MB)"


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


def store_plan(plan: Plan, output: Storage) -> str:
    """Write a plan where its digest says, and return its URI."""
    output.create(plan.path, plan.to_bytes())
    return output.uri_of(plan.path)


def load_plan(plan_uri: str) -> tuple[Plan, Storage]:
    """Read a plan and open the output that it lies in."""
    output_uri, path = output_of_plan(plan_uri)
    output = Storage(output_uri)
    return Plan.from_bytes(output.get(path), uri=output.uri_of(path)), output


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


def _shortened(text: str, longest: int = 40) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
