"""Reads the records of a data set's files: checks sizes, decompresses, and verifies checksums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vitalprep.contract.build_summary import FileSummary
from vitalprep.loading.description import Description
from vitalprep.runtime.errors import CaseRefused, RefusedError
from vitalprep.storage import READ_CHUNK, Storage
from vitalprep.storage.stream import Arriving
from vitalprep.tfrecord.framing import BadFrame, records
from vitalprep.vital.gunzip import gunzip

__all__ = ["damaged", "encoded_records", "refuse_incomplete"]


def refuse_incomplete(about: Description, files: Sequence[FileSummary]) -> None:
    """Check with one listing that all files exist with their sizes.

    Raises
    ------
    RefusedError
        If a file is missing or has another size.
    """
    place = Storage(about.uri)
    sizes = {stored.path: stored.size for stored in place.list()}
    for file in files:
        if file.name not in sizes:
            raise RefusedError(f"{place.uri_of(file.name)} is missing.", fix="copy or build the data set again.")
        if sizes[file.name] != file.bytes:
            raise RefusedError(
                f"{place.uri_of(file.name)} has {sizes[file.name]} bytes, {file.bytes} were written.",
                fix="copy or build the data set again.",
            )


def encoded_records(about: Description, file: FileSummary) -> Iterator[bytes]:
    """Yield the bytes of a file's `tf.train.Example` records in order, with both checksums verified.

    Raises
    ------
    RefusedError
        At the first damaged frame, or at the end of a file that is too short.
    """
    arriving = Storage(about.uri).arriving(file.name, size=file.bytes)
    blocks = gunzip(arriving, max_bytes=file.window_bytes) if about.compression == "gzip" else _blocks(arriving)
    count = 0
    try:
        for record in records(blocks):
            yield record
            count += 1
    except BadFrame as error:
        raise damaged(about, file, count, str(error)) from error
    except CaseRefused as error:  # of the gzip stream
        what = "it is not a gzip file" if error.reason == "not_vital" else error.detail
        raise damaged(about, file, count, what) from error
    if count != file.windows:
        raise damaged(about, file, count, f"here the file ends; {file.windows} records were written")


def damaged(about: Description, file: FileSummary, index: int, what: str) -> RefusedError:
    """Return the error for a damaged record."""
    return RefusedError(
        f"{about.uri.rstrip('/')}/{file.name}, record {index}: {what}.",
        fix="validate the data set, and copy or build it again.",
    )


def _blocks(file: Arriving) -> Iterator[memoryview]:
    position = 0
    while block := file.at(position, READ_CHUNK):
        position += len(block)
        yield block
