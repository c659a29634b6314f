"""Which data set a location means: a data set itself, a copy of one, or an output, whose latest data set is meant."""

from __future__ import annotations

import os

from vitalprep.contract.paths import DATASETS, LATEST, METADATA, dataset_folder, output_of_dataset
from vitalprep.contract.verdict import Latest
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import Storage, normalized_uri

__all__ = ["data_set_uri"]


def data_set_uri(uri: str | os.PathLike[str]) -> str:
    """Return the URI of the data set that a location means.

    ``<output>/datasets/<dataset_id>`` is returned as it stands, without looking whether it is there, and so is a folder
    that holds a data set's files. An output stands for the data set that ``datasets/latest.json`` names.

    Raises
    ------
    RefusedError
        If it is neither, or the output has no data set that passed validation.
    UsageError
        If the folder or the bucket does not exist or must not be read.
    RetryableError
        If S3 or the disk fails.
    """
    where = normalized_uri(uri)
    try:
        output_of_dataset(where)
    except UsageError:
        place = Storage(where)
    else:
        return where
    latest = Latest.from_storage(place, LATEST)
    if latest is None:
        if place.head(METADATA) is not None:
            return where
        raise _nothing_there(place)
    return place.uri_of(dataset_folder(latest.dataset_id))


def _nothing_there(place: Storage) -> RefusedError:
    if any(True for _ in place.list(DATASETS)):
        return RefusedError(
            f"The output {place.uri} has no data set that passed validation: there is no {LATEST}.",
            fix=f"list its data sets with `vitalprep status {place.uri}`, and give one: <output>/datasets/<id>.",
        )
    return RefusedError(
        f"{place.uri} is neither a data set nor an output with one: it has no {METADATA} and no {LATEST}.",
        fix="give the output folder of `vitalprep run`, or a data set as it prints it: <output>/datasets/<dataset_id>.",
    )
