"""A data set that was moved or copied: its own files, without plan, receipts and tables, which its output holds."""

from __future__ import annotations

from vitalprep.errors import RefusedError, UsageError
from vitalprep.layout import HARMONIZED, RUNS, output_of_dataset
from vitalprep.loading.metadata import Metadata
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["copied_dataset", "refuse_copy"]

METADATA = "preprocessing_metadata.json"


def copied_dataset(dataset_uri: str) -> Metadata | None:
    """Return the metadata of a data set that does not lie where it was made, or None: it does, or there is none."""
    if _is_in_its_output(dataset_uri):
        return None
    try:
        place = Storage(dataset_uri)
        return Metadata.from_bytes(place.get(METADATA), uri=place.uri_of(METADATA))
    except (ObjectMissing, UsageError):
        return None


def refuse_copy(dataset_uri: str) -> None:
    """Refuse a data set that does not lie where it was made, because only its own files are there.

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
            mend=f"validate <output>/datasets/{metadata.dataset_id} where it was made and copy it with its "
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
