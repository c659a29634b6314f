"""The FastAPI app below ``/vitalprep``: the page's files, the state of the output, and stored reports. It only reads.

Airflow's login and permissions apply: a visitor must be allowed to read the DAG's task instances. To change something,
the browser calls Airflow's REST API with the visitor's own session.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from vitalprep_airflow.page.worker import RETRY_SECONDS, Answers, PageError, busy, price_of_shards, report_of, status_of

__all__ = ["app"]

DAG_ID = "vitaldb_preprocessing"
FILES = Path(__file__).parent / "files"
MEDIA = {
    "page.js": "text/javascript",
    "shards.js": "text/javascript",
    "tables.js": "text/javascript",
    "words.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
KEPT_SECONDS = 4  # the page polls every 5 s
PRICE_KEPT_SECONDS = 300
WAIT_SECONDS = 40  # longer than a status may take

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# A report comes from the storage, so it must not share Airflow's origin: no cookie, no API. Its script, which the
# report's own policy limits to one digest, runs only in the page's frame, because the frame cannot navigate to another
# site. Alone, at Airflow's address, a script could imitate a login and send away what is typed. The report is complete
# without it.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
FRAMED_REPORT_POLICY = f"{REPORT_POLICY} allow-scripts; script-src 'unsafe-inline'"
HTTP_STATUS = {
    "unknown": status.HTTP_404_NOT_FOUND,
    "no-report": status.HTTP_404_NOT_FOUND,
    "busy": status.HTTP_503_SERVICE_UNAVAILABLE,
}
RETRY = {"Retry-After": str(RETRY_SECONDS)}

Answer = TypeVar("Answer")

app = FastAPI(
    title="vitalprep",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE, DAG_ID))],
)
# Each has a line of its own: whoever asks for many data sets or reports delays nobody's overview.
overviews: Answers[dict[str, Any]] = Answers(seconds=KEPT_SECONDS, size=1, waiting=1)
datasets: Answers[dict[str, Any]] = Answers(seconds=KEPT_SECONDS, size=32, waiting=4)
prices: Answers[dict[str, Any] | None] = Answers(seconds=PRICE_KEPT_SECONDS, size=1, waiting=1)
reports: Answers[bytes] = Answers(seconds=KEPT_SECONDS, size=1, waiting=4)


@app.middleware("http")
async def guarded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Add security headers to every response; browsers cache nothing."""
    response = await call_next(request)
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


@app.exception_handler(AnyHTTPException)
async def refused(request: Request, error: AnyHTTPException) -> Response:
    """Redirect to the login if the page itself is opened without one; refuse anything else plainly."""
    home = request.scope.get("root_path", "") + "/"
    if error.status_code == status.HTTP_401_UNAUTHORIZED and request.url.path == home:
        here = home + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"../api/v2/auth/login?next={quote(here, safe='')}")
    return await http_exception_handler(request, error)


def may_clear(request: Request, user: GetUserDep) -> bool:
    """Return whether the visitor may clear a task. Airflow's REST API checks that again when it is called."""
    try:
        requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE, DAG_ID)(request, user)
    except HTTPException:
        return False
    return True


@app.get("/")
async def page() -> FileResponse:
    """Return the page; its script fetches everything that it shows."""
    return FileResponse(FILES / "page.html", media_type="text/html")


@app.get("/status")
async def status_now(clears: Annotated[bool, Depends(may_clear)], dataset: str = "") -> dict[str, Any]:
    """Return the state of the output as the worker reports it, or the problem."""
    answer: dict[str, Any] = {"now": datetime.now(UTC).isoformat(), "may_clear": clears, "status": None}
    try:
        answer["price"] = await _answer(prices, "", price_of_shards)
    except PageError as problem:
        answer["price"] = {"problem": problem.message}
    try:
        return answer | {"status": await _status(dataset), "problem": None}
    except PageError as problem:
        if problem.kind == "busy":
            code = HTTP_STATUS[problem.kind]
            raise HTTPException(code, f"{problem.message} Fix: {problem.fix}", headers=RETRY) from problem
        return answer | {"problem": problem.document()}


@app.get("/report")
async def report(request: Request, dataset: str) -> Response:
    """Return the stored report of a data set that the status lists; no other location is ever read."""
    framed = request.headers.get("Sec-Fetch-Dest") == "iframe"
    policy = {"Content-Security-Policy": FRAMED_REPORT_POLICY if framed else REPORT_POLICY}
    try:
        content = await _report(dataset)
    except PageError as problem:
        text = f"<p>{html.escape(problem.message)}</p><p><b>Fix:</b> {html.escape(problem.fix)}</p>"
        head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>No report</title>'
        code = HTTP_STATUS.get(problem.kind, status.HTTP_502_BAD_GATEWAY)
        return HTMLResponse(head + text, status_code=code, headers=policy | (RETRY if problem.kind == "busy" else {}))
    return HTMLResponse(content, headers=policy)


@app.get("/{name}")
async def file(name: str) -> FileResponse:
    """Return one of the page's scripts, its style sheet or its icon."""
    if name not in MEDIA:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Not found")
    return FileResponse(FILES / name, media_type=MEDIA[name])


async def _status(dataset_id: str = "") -> dict[str, Any]:
    """Return the overview, or the status of one data set of it. No process is started for an id that it does not have.

    The overview describes the newest data sets and has the ids of all.
    """
    overview = await _answer(overviews, "", status_of)
    if not dataset_id:
        return overview
    if dataset_id not in {*(one.get("dataset_id") for one in overview["datasets"]), *overview.get("older", ())}:
        raise PageError("unknown", "The output has no such data set.", "Choose one from the page's list.")
    return await _answer(datasets, dataset_id, partial(status_of, dataset_id))


async def _report(dataset_id: str) -> bytes:
    known = await _dataset(dataset_id)
    if not known.get("report"):
        raise PageError("no-report", "This data set has no report yet.", "Wait until the data set is published.")
    uri = str(known["dataset"])
    return await _answer(reports, uri, partial(report_of, uri))


async def _dataset(dataset_id: str) -> dict[str, Any]:
    """Return one data set as the overview describes it; an older one, as its own status does."""
    for asked in ("", dataset_id):
        for one in (await _status(asked))["datasets"]:
            if one.get("dataset_id") == dataset_id:
                return dict(one)
    raise PageError("unknown", "The output has no such data set.", "Choose one from the page's list.")


async def _answer(answers: Answers[Answer], key: str, ask: Callable[[], Answer]) -> Answer:
    # Shielded: several visitors may wait for the same answer, and one of them may leave.
    pending = asyncio.shield(asyncio.wrap_future(answers.of(key, ask)))
    try:
        _, answer = await asyncio.wait_for(pending, WAIT_SECONDS)
    except TimeoutError:
        raise busy() from None
    if isinstance(answer, PageError):
        raise answer
    return answer
