"""Links from Airflow's tasks to the page in its navigation."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink

__all__ = ["PAGE_PATH", "PageLink", "ReportLink", "base_path", "report_path"]

PAGE_PATH = "/vitalprep"


def base_path() -> str:
    """Return the path below which Airflow is served, without a slash at its end; mostly empty."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def _in_navigation(query: str = "") -> str:
    """Return the page inside Airflow's own: its interface opens what follows the entry's name in that entry."""
    return f"{base_path()}/plugin/vitalprep{base_path()}{PAGE_PATH}/{query}"


def report_path(dataset: str) -> str:
    """Return the path of the page that shows a data set's report."""
    dataset_id = dataset.rstrip("/").rsplit("/", 1)[-1]
    return _in_navigation(f"?dataset={quote(dataset_id, safe='')}")


class PageLink(BaseOperatorLink):
    """From a task to the page."""

    name = "Progress"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the page's path."""
        return _in_navigation()


class ReportLink(BaseOperatorLink):
    """From the sensor to the report of its data set."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path of the page that shows the report."""
        return report_path(str(operator.dataset))
