"""Downloads the clinical table: all cases, but only the columns that planning needs, as CSV."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping

from vitalprep.fetch.website import NotThere, download
from vitalprep.plan.clinical import COLUMNS, is_accepted
from vitalprep.plan.strict_csv import CsvTable
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import CaseRefused, RefusedError, UsageError
from vitalprep.runtime.printable import FORMULA
from vitalprep.storage.stream import Arriving
from vitalprep.vital.gunzip import gunzip

__all__ = ["fetch_clinical_table"]

MOST_BYTES = 64 * 1024 * 1024  # VitalDB's table of 6,388 cases is 2 MB
GZIP_MAGIC = b"\x1f\x8b"


def fetch_clinical_table(base_url: str, path: str) -> bytes:
    """Return the columns that planning needs, for all rows. Cells are not validated here.

    Data minimization: diagnoses, operations and outcomes are not stored. A cell that a spreadsheet would evaluate as a
    formula is left empty.

    Raises
    ------
    UsageError
        If the server has no such table, so that the address is probably wrong.
    RefusedError
        If the response is not such a table.
    RetryableError
        If a fault persists after all retries.
    """
    url = f"{base_url}/{path}"
    with io.BytesIO() as file:
        try:
            download(base_url, path, file, most=MOST_BYTES)
        except NotThere as error:
            raise UsageError(error.message, fix="check --base-url.") from error
        return _needed(_plain(file.getvalue(), url), url)


def _plain(data: bytes, url: str) -> bytes:
    """Return the decompressed text. The service sends gzip even if the request does not accept it."""
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return b"".join(gunzip(Arriving([data], len(data)), max_bytes=MOST_BYTES))
    except CaseRefused as refusal:
        raise RefusedError(f"{url} is not a clinical table: {refusal.detail}.", fix="check --base-url.") from refusal


def _needed(data: bytes, url: str) -> bytes:
    try:
        table = CsvTable(data, url, ("caseid", "subjectid"))
        missing = [name for name in COLUMNS if name not in table.columns]
        if missing:
            raise RefusedError(f"{url}, line 1: the column {missing[0]!r} is missing.", fix="")
        text, left_empty = io.StringIO(newline=""), 0
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for _, row in table:
            kept = _kept(row)
            left_empty += sum(bool(row[name]) and not kept[name] for name in COLUMNS)
            writer.writerow(kept)
    except RefusedError as error:
        what = error.message.removeprefix(f"{url}, ")
        raise RefusedError(f"{url} is not a clinical table: {what}", fix="check --base-url.") from error
    if left_empty:
        message = f"left {left_empty} cells of {url} empty: a spreadsheet would evaluate them as formulas"
        log(message, level=logging.WARNING, cells=left_empty)
    return text.getvalue().encode()


def _kept(row: Mapping[str, str]) -> dict[str, str]:
    """Return the cells of a row to write. Planning reports invalid values with their line."""
    cells = {name: row[name] for name in COLUMNS}
    computed = {
        name for name, cell in cells.items() if cell.strip().startswith(FORMULA) and not is_accepted(name, cell)
    }
    return {name: "" if name in computed else cell for name, cell in cells.items()}
