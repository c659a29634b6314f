"""Proving records, from a local file and tables: computed anew and read back, and read back alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.build import STATIC, SUBJECT, parquet_tables
from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.timing import medians
from vitalprep.build.write_file import write_file
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.receipt import StoredTable
from vitalprep.contract.table import from_parquet, values_sha256
from vitalprep.record_files.content import BuildCase, FileTask
from vitalprep.record_files.output_files import OutputFile
from vitalprep.validate.file import FileFindings, ValidateTask, validate_file

__all__ = ["rows"]

ROUNDS = 5


def rows(recordings: Recordings) -> Iterator[Row]:
    """File to findings: reading, SHA-256, both checksums, shapes, values, origins; and every record from its table."""
    config = load_config()
    folder = recordings.folder / "validate"
    folder.mkdir(exist_ok=True)
    file = _file(parquet_tables(recordings, config), config, folder)
    summary = write_file(file).summary
    whole, alone = (ValidateTask(summary, file.path, config, str(folder), one) for one in (file, None))
    data = (folder / file.path).read_bytes()
    found: list[FileFindings] = []
    proved, reread, digest = medians(
        ROUNDS,
        lambda: found.append(validate_file(whole)),
        lambda: found.append(validate_file(alone)),
        lambda: hashlib.sha256(data).hexdigest(),
    )
    for findings in found:
        if findings.problems:
            raise RuntimeError(f"validate found {findings.problems}")
    detail = f"{summary.windows} records of {len(data) / 1e6:.0f} MB; SHA-256 alone {len(data) / digest / 1e6:.0f} MB/s"
    yield Row(
        name="validate",
        measure="records computed anew from their tables and re-read with every check",
        value=len(data) / proved / 1e6,
        unit="MB/s",
        target=350,
        better="higher",
        detail=detail,
    )
    yield Row(
        name="validate",
        measure="records re-read with every check",
        value=len(data) / reread / 1e6,
        unit="MB/s",
        target=500,
        better="higher",
        detail=detail,
    )


def _file(tables: list[bytes], config: Config, folder: Path) -> FileTask:
    """Store tables, and describe the file that is built from them."""
    names = [item.name for item in config.inputs]
    cases = {}
    for number, parquet in enumerate(tables, 1):
        values = from_parquet(parquet, names)
        table = StoredTable(number, f"{number:04d}.parquet", len(values), values_sha256(values, names))
        (folder / table.path).write_bytes(parquet)
        cases[number] = BuildCase(number, SUBJECT, table, STATIC, (0,) * len(STATIC))
    output = OutputFile("train.tfrecord", (tuple(cases),))
    return FileTask(file=output, path=output.name, cases=cases, config=config, output=str(folder))
