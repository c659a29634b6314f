"""What Airflow shows of vitalprep: a page of its own in the navigation, below ``/vitalprep``.

The only file here that Airflow loads as a plugin, and it does so in every process, also in each task. So the page
itself, which needs FastAPI, is imported when somebody asks for it.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from vitalprep_page_links import PAGE_PATH, base_path

__all__ = ["VitalprepPlugin", "page"]


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page as an ASGI application."""
    from vitalprep_page_app import app

    await app(scope, receive, send)


class VitalprepPlugin(AirflowPlugin):
    """The page and its entry in the navigation."""

    name = "vitalprep"
    fastapi_apps = [{"app": page, "url_prefix": PAGE_PATH, "name": "vitalprep"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "vitalprep",
            "href": f"{base_path()}{PAGE_PATH}/",
            "icon": f"{base_path()}{PAGE_PATH}/icon.svg",
            "destination": "nav",
            "url_route": "vitalprep",
            "nav_top_level": True,
        }
    ]
