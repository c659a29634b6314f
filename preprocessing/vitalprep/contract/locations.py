"""Where recordings may lie and where an output may be made: never one inside the other."""

from __future__ import annotations

import os
from pathlib import Path

from vitalprep.contract.paths import DATASETS, HARMONIZED, RUNS
from vitalprep.runtime.errors import UsageError
from vitalprep.storage import normalized_uri

__all__ = ["refuse_locations"]

_RECORDING = ".vital"


def refuse_locations(input_uri: str, output_uri: str) -> None:
    """Refuse an input that is a file, and an output that would be written among the recordings.

    Symbolic links are followed, trailing slashes and dots do not count.

    Raises
    ------
    UsageError
        If the input is one recording; if the output is the input or lies inside it; if the input lies in one of the
        folders that vitalprep writes in the output.
    """
    _refuse_recording(input_uri)
    source, output = _real(input_uri), _real(output_uri)
    if output == source:
        raise UsageError(
            f"--output is the --input, {input_uri}: tables and data sets would be written among the recordings.",
            fix="give an output folder or prefix beside it.",
        )
    if _inside(output, source):
        raise UsageError(
            f"--output {output_uri} lies inside the --input {input_uri}: tables and data sets would be written among "
            "the recordings.",
            fix="give an output folder or prefix beside the input.",
        )
    for folder in (HARMONIZED, DATASETS, RUNS):
        if _inside(source, f"{output}/{folder}") or source == f"{output}/{folder}":
            raise UsageError(
                f"--input {input_uri} lies inside {folder}/ of the --output {output_uri}, where vitalprep writes.",
                fix="give another output, or move the recordings.",
            )


def _refuse_recording(input_uri: str) -> None:
    uri = normalized_uri(input_uri)
    if uri.lower().endswith(_RECORDING) and (uri.startswith("s3://") or not Path(uri).is_dir()):
        folder = uri.rpartition("/")[0] or "/"
        raise UsageError(
            f"--input {input_uri} is one recording; a folder or s3:// prefix of recordings is needed.",
            fix=f"give --input {folder}, and --cases for some of its recordings.",
        )


def _real(uri: str) -> str:
    where = normalized_uri(uri)
    return where if where.startswith("s3://") else os.path.realpath(where)


def _inside(inner: str, outer: str) -> bool:
    return inner.startswith(f"{outer.rstrip('/')}/") and inner != outer
