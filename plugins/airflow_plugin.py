"""Registers the vitalprep page in Airflow: the FastAPI app below ``/vitalprep`` and its entry in the navigation.

Airflow loads this file, and no other one in this folder, as a plugin. Every Airflow process loads it, each task's too,
so the app and FastAPI are imported at the first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from vitalprep_airflow.page.links import PAGE_PATH, base_path

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["VitalprepPlugin", "page"]


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """The page as an ASGI application."""
    from vitalprep_airflow.page.app import app

    await app(scope, receive, send)


class VitalprepPlugin(AirflowPlugin):
    """The page and its navigation entry."""

    name = "vitalprep"
    fastapi_apps: list[Any] = [{"app": page, "url_prefix": PAGE_PATH, "name": "vitalprep"}]  # noqa: RUF012
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "vitalprep",
            "href": f"{base_path()}{PAGE_PATH}/",
            "icon": f"{base_path()}{PAGE_PATH}/icon.svg",
            "destination": "nav",
            "url_route": "vitalprep",
            "nav_top_level": True,
        }
    ]
