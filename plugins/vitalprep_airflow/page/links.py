"""Links from Airflow's tasks to the vitalprep page."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink

__all__ = ["PAGE_PATH", "PageLink", "ReportLink", "base_path", "report_path"]

PAGE_PATH = "/vitalprep"


def base_path() -> str:
    """Return the path below which Airflow is served, without a trailing slash; usually empty."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def _in_navigation(query: str = "") -> str:
    """Return the page's path inside Airflow's UI, which shows the path after the entry's name in a frame."""
    return f"{base_path()}/plugin/vitalprep{base_path()}{PAGE_PATH}/{query}"


def report_path(dataset: str) -> str:
    """Return the path of the page that shows a data set's report."""
    dataset_id = dataset.rstrip("/").rsplit("/", 1)[-1]
    return _in_navigation(f"?dataset={quote(dataset_id, safe='')}")


class PageLink(BaseOperatorLink):
    """Link from a task to the page."""

    name = "Progress"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the page's path."""
        return _in_navigation()


class ReportLink(BaseOperatorLink):
    """Link from the sensor to the report of its data set."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path of the page that shows the report."""
        return report_path(str(operator.dataset))
