"""A data set as the files in its folder describe it. Works without the plan, if that has been removed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from vitalprep.contract.accounting import plan_of_dataset
from vitalprep.contract.build_summary import BuildSummary, read_build_summary
from vitalprep.contract.content_id import FEATURES, content_id, files_of
from vitalprep.contract.data_set_uri import data_set_uri
from vitalprep.contract.document import digest
from vitalprep.contract.metadata import Metadata
from vitalprep.contract.paths import METADATA, SPLITS, dataset_folder, dataset_path, output_of_dataset
from vitalprep.contract.plan import Plan, PlannedCase
from vitalprep.contract.receipt import CaseResult, results_there
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["CaseRow", "Described", "described"]


@dataclass(frozen=True)
class CaseRow:
    """One row of ``cases.csv``.

    `input_id` is None if the plan is missing. `made` is a digest of the case's result (harmonized values, or the reason
    for its exclusion, and statics), which does not depend on the file stamp. It is None without a receipt.
    """

    split: str
    reason: str
    windows: int
    subject: str
    input_id: str | None
    made: str | None = None


@dataclass(frozen=True)
class Described:
    """The description of a data set from its folder."""

    uri: str
    dataset_id: str
    metadata: Metadata
    summaries: Mapping[str, BuildSummary]
    cases: Mapping[int, CaseRow]
    content_id: str | None


def described(dataset_uri: str) -> Described:
    """Read a data set's description.

    Raises
    ------
    RefusedError
        If one of its files is missing or not as publish writes it.
    """
    output_uri, dataset_id = output_of_dataset(data_set_uri(dataset_uri))
    output = Storage(output_uri)
    metadata = _file(output, dataset_id, METADATA)
    content = Metadata.from_bytes(metadata, uri=output.uri_of(dataset_path(dataset_id, METADATA)))
    table = _file(output, dataset_id, "cases.csv")
    summaries: dict[str, BuildSummary] = {}
    for split in SPLITS:
        summary = read_build_summary(output, dataset_id, split)
        if summary is None:
            raise _missing(output, dataset_id, f"build-{split}.json")
        summaries[split] = summary
    plan = plan_of_dataset(output, dataset_id)
    inputs = {case.case_id: case.input_id for case in plan.cases} if plan else {}
    made = _made(plan, output) if plan else {}
    try:
        rows = {
            int(row["case_id"]): CaseRow(
                split=row["split"],
                reason=row["reason"],
                windows=int(row["windows"]),
                subject=row["subject_id"],
                input_id=inputs.get(int(row["case_id"])),
                made=made.get(int(row["case_id"])),
            )
            for row in csv.DictReader(io.StringIO(table.decode(), newline=""))
        }
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise RefusedError(
            f"{output.uri_of(dataset_path(dataset_id, 'cases.csv'))} is not as publish writes it ({error}).",
            fix="run `vitalprep publish` again.",
        ) from error
    return Described(
        uri=output.uri_of(dataset_folder(dataset_id)),
        dataset_id=dataset_id,
        metadata=content,
        summaries=summaries,
        cases=rows,
        content_id=content.content_id or _content_id(output, dataset_id, summaries),
    )


def _content_id(output: Storage, dataset_id: str, summaries: Mapping[str, BuildSummary]) -> str | None:
    """Return the content id of a data set whose metadata do not state it, as those of vitalprep 0.1.0."""
    try:
        return content_id(output.get(dataset_path(dataset_id, FEATURES)), files_of(summaries.values()))
    except ObjectMissing:
        return None


def _made(plan: Plan, output: Storage) -> dict[int, str]:
    """Return the digest `CaseRow.made` of each case that has a receipt."""
    results = results_there(plan, output, list(plan.cases))
    return {case: _digest_of(result, plan.by_id[case]) for case, result in results.items()}


def _digest_of(result: CaseResult, case: PlannedCase) -> str:
    made = result.values_digest or [result.reason, result.detail, *result.sizes]
    return digest([made, result.seconds, case.static, case.static_origin])


def _file(output: Storage, dataset_id: str, name: str) -> bytes:
    try:
        return output.get(dataset_path(dataset_id, name))
    except ObjectMissing as error:
        raise _missing(output, dataset_id, name) from error


def _missing(output: Storage, dataset_id: str, name: str) -> RefusedError:
    return RefusedError(
        f"{output.uri_of(dataset_path(dataset_id, name))} is missing.",
        fix="give a data set as `vitalprep run` prints it, or run `vitalprep publish` again to restore the file.",
    )
