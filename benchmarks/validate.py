"""Reading records back with every check, from a local file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from benchmarks.build import parquet_tables, written
from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.timing import medians
from vitalprep.contract.build_summary import FileSummary
from vitalprep.contract.config_file import load_config
from vitalprep.tfrecord.framing import records
from vitalprep.validate.file import FileFindings, ValidateTask, validate_file

__all__ = ["rows"]

ROUNDS = 5


def rows(recordings: Recordings) -> Iterator[Row]:
    """File to findings: reading, SHA-256, both checksums, shapes, values, origins."""
    config = load_config()
    path = recordings.folder / "validate" / "train.tfrecord"
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        written(parquet_tables(recordings, config), config, file)
    data = path.read_bytes()
    count = sum(1 for _ in records([data]))
    digest_of_data = hashlib.sha256(data).hexdigest()
    summary = FileSummary(name=path.name, windows=count, bytes=len(data), window_bytes=len(data), sha256=digest_of_data)
    task = ValidateTask(summary=summary, path=path.name, split="train", config=config, output=str(path.parent))
    found: list[FileFindings] = []
    ours, digest = medians(ROUNDS, lambda: found.append(validate_file(task)), lambda: hashlib.sha256(data).hexdigest())
    if found[0].problems:
        raise RuntimeError(f"validate found {found[0].problems}")
    yield Row(
        name="validate",
        measure="records re-read with every check",
        value=len(data) / ours / 1e6,
        unit="MB/s",
        target=500,
        better="higher",
        detail=f"{count} records of {len(data) / 1e6:.0f} MB; SHA-256 alone {len(data) / digest / 1e6:.0f} MB/s",
    )
