"""Whether a data set is published, whole and where it was made; a copy lacks plan, receipts and tables."""

from __future__ import annotations

import logging

from vitalprep.contract.build_summary import listing_problem, require_build_summary
from vitalprep.contract.metadata import Metadata, read_metadata
from vitalprep.contract.paths import HARMONIZED, METADATA, RUNS, SPLITS, dataset_folder, output_of_dataset
from vitalprep.contract.plan import Plan
from vitalprep.contract.verdict import Verdict, is_published, read_verdict
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["copied_dataset", "described_as_published", "is_up_to_date", "refuse_copy", "refuse_unready"]


def copied_dataset(dataset_uri: str) -> Metadata | None:
    """Return the metadata of a copied data set; None if it lies where it was made, or is no data set."""
    if _is_in_its_output(dataset_uri):
        return None
    try:
        place = Storage(dataset_uri)
        return Metadata.from_bytes(place.get(METADATA), uri=place.uri_of(METADATA))
    except (ObjectMissing, UsageError):
        return None


def refuse_copy(dataset_uri: str) -> None:
    """Refuse a copied data set: plan, receipts and tables are missing.

    Raises
    ------
    RefusedError
        If it is one.
    """
    metadata = copied_dataset(dataset_uri)
    if metadata is not None:
        raise RefusedError(
            f"{dataset_uri} is a copy of data set {metadata.dataset_id}: the plan, receipts and tables are not there, "
            "against which its records are proved.",
            fix=f"validate <output>/datasets/{metadata.dataset_id} where it was made and copy it with its "
            "validation.json. Whether a copy is whole: its croissant.json has the SHA-256 of each file, and "
            "vitalprep.read checks every record that it reads.",
        )


def _is_in_its_output(dataset_uri: str) -> bool:
    try:
        output_uri, dataset_id = output_of_dataset(dataset_uri)
        output = Storage(output_uri)
    except UsageError:  # another folder's name, or not there at all
        return False
    return any(True for folder in (f"{RUNS}/{dataset_id}", HARMONIZED) for _ in output.list(folder))


def refuse_unready(dataset_uri: str) -> Verdict:
    """Compare the stored verdict with what lies there, without reading records. Return the verdict.

    Raises
    ------
    RefusedError
        If there is no passing verdict, a file is missing or has another size, or it does not lie where it was made.
    RetryableError
        If a build summary is missing.
    """
    refuse_copy(dataset_uri)
    output_uri, dataset_id = output_of_dataset(dataset_uri)
    output = Storage(output_uri)
    verdict = read_verdict(output, dataset_id)
    if verdict is None or not verdict.passed:
        raise RefusedError(
            f"{dataset_uri} has {'no' if verdict is None else 'a failing'} verdict.",
            fix="run `vitalprep validate` on it.",
        )
    summaries = {split: require_build_summary(output, dataset_id, split) for split in SPLITS}
    problem = listing_problem(output, dataset_id, summaries)
    if problem:
        raise RefusedError(f"{dataset_uri}: {problem}.", fix="run it again: what is missing is built anew.")
    return verdict


def is_up_to_date(output: Storage, plan: Plan) -> bool:
    """Return whether a plan's data set is published, the latest, and complete by names and sizes.

    Published under another name or with another provenance (source, licence), it is not: its card would say what is no
    longer true.
    """
    dataset_id = plan.dataset_id
    if not is_published(output, dataset_id, plan.config.validation):
        return False
    metadata = _metadata(output, dataset_id)
    if metadata is None or metadata.name != plan.name or metadata.source != plan.settled_provenance.content():
        log("not up to date: name or provenance changed", dataset_id=dataset_id)
        return False
    try:
        refuse_unready(output.uri_of(dataset_folder(dataset_id)))
    except (RefusedError, RetryableError) as error:
        log(f"not up to date: {error.message}", level=logging.WARNING)
        return False
    return True


def described_as_published(output: Storage, plan: Plan) -> Plan:
    """Return a plan with the name and the provenance that its data set is published with, where it states none."""
    metadata = _metadata(output, plan.dataset_id)
    if metadata is None:
        return plan
    name = None if plan.name else metadata.name
    stated = metadata.provenance
    source = stated if plan.source is None and stated is not None and stated.basis != "assumed" else None
    return plan if name is None and source is None else plan.described_as(name=name, source=source)


def _metadata(output: Storage, dataset_id: str) -> Metadata | None:
    try:
        return read_metadata(output, dataset_id)
    except RefusedError:  # validate refuses what cannot be read
        return None
