"""What ``vitalprep report`` does: draws a page, writes it into a file, and returns a summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitalprep.contract.data_set_uri import data_set_uri
from vitalprep.contract.paths import REPORT, dataset_path, output_of_dataset
from vitalprep.contract.published import copied_dataset
from vitalprep.report.report import case_html, report_html, stored_dataset
from vitalprep.report.warnings import warnings_of
from vitalprep.runtime.errors import RefusedError, RetryableError
from vitalprep.storage import ObjectMissing, Storage

__all__ = ["draw_report", "stored_report", "write_page"]


def draw_report(dataset_uri: str, *, case_id: int | None, file: str | None) -> dict[str, Any]:
    """Draw a data set, or one of its cases, into a file, and return a summary.

    A copy has no tables to draw from: its published report is written instead.

    Raises
    ------
    RefusedError
        If it is no data set, or a single case of a copy is requested.
    """
    dataset_uri = data_set_uri(dataset_uri)
    copied = copied_dataset(dataset_uri)
    if copied is not None:
        return _of_a_copy(dataset_uri, copied.dataset_id, case_id=case_id, file=file)
    stored = stored_dataset(dataset_uri)
    dataset_id = stored.plan.dataset_id
    if case_id is not None:
        page = case_html(stored, case_id)
        path = write_page(file or f"case-{case_id:04d}-{dataset_id}.html", page)
        return {"file": str(path), "bytes": len(page), "dataset_id": dataset_id, "case": case_id}
    warnings = warnings_of(stored.plan, stored.account)
    page = report_html(stored, warnings)
    path = write_page(file or f"report-{dataset_id}.html", page)
    levels = [warning.level for warning in warnings]
    return {
        "file": str(path),
        "bytes": len(page),
        "dataset_id": dataset_id,
        "warnings": levels.count("warning"),
        "notes": levels.count("note"),
    }


def stored_report(dataset_uri: str) -> bytes:
    """Return the published report. Needs neither tables nor records.

    Raises
    ------
    RefusedError
        If there is no report.
    """
    dataset_uri = data_set_uri(dataset_uri)
    if copied_dataset(dataset_uri) is None:
        output_uri, dataset_id = output_of_dataset(dataset_uri)
        place, path = Storage(output_uri), dataset_path(dataset_id, REPORT)
    else:
        place, path = Storage(dataset_uri), REPORT
    try:
        return place.get(path)
    except ObjectMissing as error:
        raise RefusedError(
            f"{place.uri_of(path)} is not there.",
            fix="run `vitalprep publish`, which writes the report, and copy the report with the data set.",
        ) from error


def _of_a_copy(dataset_uri: str, dataset_id: str, *, case_id: int | None, file: str | None) -> dict[str, Any]:
    if case_id is not None:
        raise RefusedError(
            f"{dataset_uri} is a copy of data set {dataset_id}, without the tables of its cases.",
            fix=f"draw the case from the output that made it: <output>/datasets/{dataset_id}.",
        )
    page = stored_report(dataset_uri)
    path = write_page(file or f"report-{dataset_id}.html", page)
    return {"file": str(path), "bytes": len(page), "dataset_id": dataset_id, "drawn": "when it was published"}


def write_page(file: str, page: bytes) -> Path:
    """Write a page into a local file.

    Raises
    ------
    RetryableError
        If that fails.
    """
    path = Path(file)
    try:
        path.write_bytes(page)
    except OSError as error:
        raise RetryableError(f"{path} cannot be written ({error.strerror}).", fix="give another --output.") from error
    return path
