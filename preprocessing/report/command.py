"""The command's side of the report: where the page goes, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preprocessing.errors import RefusedError, RetryableError
from preprocessing.layout import dataset_path, output_of_dataset
from preprocessing.report.stage import case_html, report_html, stored_dataset
from preprocessing.report.warnings import warnings_of
from preprocessing.storage import ObjectMissing, Storage

__all__ = ["draw_report", "stored_report", "write_page"]


def draw_report(dataset_uri: str, *, case_id: int | None, file: str | None) -> dict[str, Any]:
    """Draw a data set or one case of it into a file, and return what is worth printing."""
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
    """Return the page that publish has stored, which needs neither tables nor records.

    Raises
    ------
    RefusedError
        If there is none.
    """
    output_uri, dataset_id = output_of_dataset(dataset_uri)
    output = Storage(output_uri)
    path = dataset_path(dataset_id, "report.html")
    try:
        return output.get(path)
    except ObjectMissing as error:
        raise RefusedError(
            f"{output.uri_of(path)} is not there.", mend="publish the data set, which writes its report."
        ) from error


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
        raise RetryableError(f"{path} cannot be written ({error.strerror}).", mend="name another --output.") from error
    return path
