"""Resumable HTTP downloads that never mix bytes of two versions of a file.

They use urllib3, because `obstore`'s HTTP store requires a Content-Length in every response and hides the Content-Type.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from functools import cache
from typing import IO
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError

from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError
from vitalprep.runtime.version import __version__
from vitalprep.storage.bucket import seconds_set
from vitalprep.storage.location import holds_credentials, uri_parts
from vitalprep.storage.retries import TRIES, Transient, retried

__all__ = ["Denied", "NotThere", "checked_base_url", "download"]

CONNECT_SECONDS = 10.0
STALL_SECONDS = 60.0
RETRY_SECONDS = 180.0
BODY_SECONDS = 1800.0  # for one response body; a slower download resumes with a new request
LONGEST_ASKED_WAIT = 120.0  # upper limit for Retry-After
REDIRECTS = 3
PIECE = 1 << 18
_TRANSIENT = {408, 425, 429}
_ABSENT = {404, 410}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)
_FIX = "run it again: it resumes; if the error persists, check the network and the service."


class NotThere(RefusedError):  # noqa: N818  not a fault
    """The server has no such file (404, 410)."""


class Denied(UsageError):  # noqa: N818  the server's answer
    """The server denies the request (401, 403, 451, ...), and a retry cannot help.

    For a single file, it can also mean that the file does not exist: S3 answers 403 without list permission.
    """


def checked_base_url(url: str) -> str:
    """Return a base URL without its trailing slash.

    Raises
    ------
    UsageError
        If it is not a valid URL, or contains credentials, a query or a fragment. The message repeats no secret.
    """
    parts = uri_parts(url, "--base-url")
    if holds_credentials(url) or parts.query or parts.fragment:
        raise UsageError("--base-url contains credentials or a query.", fix="give https://host/path only.")
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f]", url):
        raise UsageError(f"--base-url {url!r} is not a valid URL.", fix="give https://host or https://host/path.")
    return url.rstrip("/")


def download(base_url: str, path: str, into: IO[bytes], *, most: int) -> None:
    """Download a file into `into`, starting at offset 0, without decoding its content.

    Transient faults are retried with exponential back-off and jitter. Environment variables:
    ``VITALPREP_FETCH_RETRY_SECONDS`` (retry for this long, default 180) and ``VITALPREP_FETCH_STALL_SECONDS`` (give up
    on a silent connection after this long, default 60).

    Parameters
    ----------
    most : int
        Largest file size accepted, in bytes.

    Raises
    ------
    NotThere
        If the server has no such file.
    RetryableError
        If a fault persists after all retries.
    Denied
        If the server denies the request.
    UsageError
        If the environment's proxy is not a valid URL.
    RefusedError
        If the file is larger than `most` bytes.
    """
    url = f"{base_url}/{quote(path)}"
    seconds = seconds_set("VITALPREP_FETCH_RETRY_SECONDS", RETRY_SECONDS, least=0)
    transfer = _Transfer(url, into, most)
    try:
        while retried(transfer.step, key=url, seconds=seconds):
            pass
    finally:
        transfer.close()


class _Transfer:
    """A download in progress: `into` holds the bytes up to `position`."""

    def __init__(self, url: str, into: IO[bytes], most: int) -> None:
        self._url = url
        self._into = into
        self._most = most
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._began = 0.0
        self._position = 0
        self._etag: str | None = None
        self._restarts = 0

    def step(self) -> bool:
        """Receive the next chunk. Return False at the end. May be called again after a `Transient`: it resumes."""
        try:
            if self._answer is None:
                self._ask()
            piece = next(self._pieces, None)
        except HTTPError as error:
            self.close()
            raise self._fault(_plain(error)) from None
        except Transient:
            self.close()
            raise
        if piece is None:
            self.close()
            return False
        self._into.write(piece)
        self._position += len(piece)
        if self._position > self._most:
            raise RefusedError(f"{self._url} is larger than {self._most} bytes.", fix="check the address.")
        if time.monotonic() - self._began > BODY_SECONDS:
            self.close()
        return True

    def close(self) -> None:
        """Close the connection, if any. The next step opens a new one."""
        if self._answer is not None:
            self._answer.close()
        self._answer = None

    def _ask(self) -> None:
        headers = {"Accept-Encoding": "identity", "User-Agent": f"vitalprep/{__version__}"}
        if self._position and self._etag:
            headers |= {"Range": f"bytes={self._position}-", "If-Range": self._etag}
        answer = _connections(self._url.split("/")[2], urlsplit(self._url).scheme).request(
            "GET",
            self._url,
            headers=headers,
            preload_content=False,
            decode_content=False,
            retries=urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=REDIRECTS),
            timeout=_timeout(),
        )
        self._answer = answer
        self._check_status(answer)
        if answer.status == 206:
            self._refuse_other_range(answer)
        else:
            self._restart()
            etag = answer.headers.get("ETag", "")
            self._etag = etag if etag.startswith('"') else None  # a weak etag does not guarantee identical bytes
        self._began = time.monotonic()
        self._pieces = answer.stream(PIECE, decode_content=False)

    def _check_status(self, answer: urllib3.BaseHTTPResponse) -> None:
        status = f"the server answered {answer.status} {answer.reason or ''}".rstrip()
        if answer.status in _ABSENT:
            raise NotThere(f"{self._url} does not exist: {status}.", fix="leave it out, or check the address.")
        if answer.status == 416:
            self._etag = None  # the file changed meanwhile: restart from offset 0
            raise self._fault(status)
        if answer.status in _TRANSIENT or (answer.status >= 500 and answer.status != 501):
            raise self._fault(status, wait=_asked_wait(answer))
        if answer.status not in (200, 206):
            raise Denied(f"{self._url}: {status}.", fix="check --base-url.")
        if self._url.startswith("https:") and (answer.geturl() or self._url).startswith("http:"):
            raise Denied(f"{self._url} redirects to unencrypted http.", fix="check --base-url.")
        if answer.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise self._fault("the server sent a web page instead of a file")

    def _refuse_other_range(self, answer: urllib3.BaseHTTPResponse) -> None:
        given = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if not given or int(given[1]) != self._position or answer.headers.get("ETag") != self._etag:
            self._etag = None
            raise self._fault("the server sent another range than requested")

    def _restart(self) -> None:
        if self._position:
            self._restarts += 1
            if self._restarts >= TRIES:
                raise RetryableError(
                    f"The download of {self._url} broke off {TRIES} times, and the server cannot resume it.", fix=_FIX
                )
        self._into.seek(0)
        self._into.truncate()
        self._position = 0

    def _fault(self, how: str, *, wait: float = 0.0) -> Transient:
        return Transient(RetryableError(f"Could not read {self._url}: {how}.", fix=_FIX), wait=wait)


def _timeout() -> urllib3.Timeout:
    stall = seconds_set("VITALPREP_FETCH_STALL_SECONDS", STALL_SECONDS, least=0.1)
    return urllib3.Timeout(connect=CONNECT_SECONDS, read=stall)


def _asked_wait(answer: urllib3.BaseHTTPResponse) -> float:
    """Return the seconds in a Retry-After header, limited to `LONGEST_ASKED_WAIT`; 0 if it is absent or a date."""
    text = answer.headers.get("Retry-After", "")
    return min(float(text), LONGEST_ASKED_WAIT) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else 0.0


@cache
def _connections(host: str, scheme: str) -> urllib3.PoolManager:
    """Return a connection pool for a host: direct, or through the environment's proxy (HTTPS_PROXY, ...)."""
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        return urllib3.PoolManager()
    try:
        secrets = urlsplit(proxy)
        login = f"{secrets.username}:{secrets.password or ''}" if secrets.username else None
        return urllib3.ProxyManager(
            f"{secrets.scheme}://{secrets.netloc.rpartition('@')[2]}",
            proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
        )
    except (LocationParseError, ValueError):  # their messages may repeat its password
        raise UsageError(
            f"The environment's proxy for {scheme} is not a valid URL.", fix="correct or unset it."
        ) from None


def _plain(error: HTTPError) -> str:
    """Return a short error text, without the addresses of Python objects."""
    text = re.sub(r"<[^<>]*>[:,]?\s*|\s*object at 0x[0-9a-f]+", "", str(getattr(error, "reason", None) or error))
    return " ".join(text.strip("(){}'\" ").split())[:200] or type(error).__name__
