"""The page below ``/vitalprep``: four files, the state of the output, and stored reports. It only reads.

Who may read the DAG's task instances may see it, by Airflow's own login and permissions. Whatever changes something
goes from the browser to Airflow's own REST API, with the visitor's own session.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from vitalprep_page_worker import Answers, PageError, price_of_shards, report_of, status_of

__all__ = ["app"]

DAG_ID = "vitaldb_preprocessing"
FILES = Path(__file__).parent / "vitalprep_page"
MEDIA = {
    "page.js": "text/javascript",
    "shards.js": "text/javascript",
    "tables.js": "text/javascript",
    "words.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
KEPT_SECONDS = 4  # the page asks every 5 s
PRICE_KEPT_SECONDS = 300

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# A report comes from the storage: it is kept from Airflow's origin, no cookie, no API. Its script (by its own policy,
# one digest) runs only in the page's frame, which cannot be turned to another site. Alone, at Airflow's address, it
# could imitate a login and send away what is typed; the report is whole without it.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
FRAMED_REPORT_POLICY = f"{REPORT_POLICY} allow-scripts; script-src 'unsafe-inline'"
HTTP_STATUS = {"unknown": status.HTTP_404_NOT_FOUND, "no-report": status.HTTP_404_NOT_FOUND}

app = FastAPI(
    title="vitalprep",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE, DAG_ID))],
)
statuses: Answers[dict[str, Any]] = Answers(seconds=KEPT_SECONDS, size=32)
prices: Answers[dict[str, Any] | None] = Answers(seconds=PRICE_KEPT_SECONDS, size=1)
reports: Answers[bytes] = Answers(seconds=KEPT_SECONDS, size=1)


@app.middleware("http")
async def guarded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give every answer the headers that keep browsers strict; nothing is kept in caches."""
    response = await call_next(request)
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


@app.exception_handler(AnyHTTPException)
async def refused(request: Request, error: AnyHTTPException) -> Response:
    """Send who opens the page without a login to it; whoever else gets the plain refusal."""
    home = request.scope.get("root_path", "") + "/"
    if error.status_code == status.HTTP_401_UNAUTHORIZED and request.url.path == home:
        here = home + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"../api/v2/auth/login?next={quote(here, safe='')}")
    return await http_exception_handler(request, error)


def may_clear(request: Request, user: GetUserDep) -> bool:
    """Whether Airflow's REST API would let the visitor clear a task; it decides itself when it is asked."""
    try:
        requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE, DAG_ID)(request, user)
    except HTTPException:
        return False
    return True


@app.get("/")
async def page() -> FileResponse:
    """The page; all that it shows is fetched by its script."""
    return FileResponse(FILES / "page.html", media_type="text/html")


@app.get("/status")
async def status_now(clears: Annotated[bool, Depends(may_clear)], dataset: str = "") -> dict[str, Any]:
    """What the worker says of the output, or why it cannot; the page explains either."""
    answer: dict[str, Any] = {"now": datetime.now(UTC).isoformat(), "may_clear": clears, "status": None}
    try:
        answer["price"] = await _answer(prices, "", price_of_shards)
    except PageError as problem:
        answer["price"] = {"problem": problem.message}
    try:
        return answer | {"status": await _status(dataset), "problem": None}
    except PageError as problem:
        return answer | {"problem": problem.document()}


@app.get("/report")
async def report(request: Request, dataset: str) -> Response:
    """The stored report of a data set that the status knows; no other location is ever read."""
    framed = request.headers.get("Sec-Fetch-Dest") == "iframe"
    policy = {"Content-Security-Policy": FRAMED_REPORT_POLICY if framed else REPORT_POLICY}
    try:
        content = await _report(dataset)
    except PageError as problem:
        text = f"<p>{html.escape(problem.message)}</p><p><b>To mend:</b> {html.escape(problem.mend)}</p>"
        head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>No report</title>'
        code = HTTP_STATUS.get(problem.kind, status.HTTP_502_BAD_GATEWAY)
        return HTMLResponse(head + text, status_code=code, headers=policy)
    return HTMLResponse(content, headers=policy)


@app.get("/{name}")
async def file(name: str) -> FileResponse:
    """The page's script, style and icon."""
    if name not in MEDIA:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Not found")
    return FileResponse(FILES / name, media_type=MEDIA[name])


async def _status(dataset_id: str = "") -> dict[str, Any]:
    return await _answer(statuses, dataset_id, partial(status_of, dataset_id))


async def _report(dataset_id: str) -> bytes:
    known = await _dataset(dataset_id)
    if not known.get("report"):
        raise PageError("no-report", "This data set has no report yet.", "Wait until it is published.")
    uri = str(known["dataset"])
    return await _answer(reports, uri, partial(report_of, uri))


async def _dataset(dataset_id: str) -> dict[str, Any]:
    """Return one data set as the status knows it; the newest are known without asking for it alone."""
    for asked in ("", dataset_id):
        try:
            found = (await _status(asked))["datasets"]
        except PageError as problem:
            if asked and problem.kind == "refused":
                break
            raise
        for one in found:
            if one.get("dataset_id") == dataset_id:
                return dict(one)
    raise PageError("unknown", "The output has no such data set.", "Choose one from the list.")


async def _answer(answers: Answers[Any], key: str, ask: Callable[[], Any]) -> Any:
    # Shielded: a visitor who leaves must not take the answer from those who wait for the same one.
    _, answer = await asyncio.shield(asyncio.wrap_future(answers.of(key, ask)))
    if isinstance(answer, PageError):
        raise answer
    return answer
