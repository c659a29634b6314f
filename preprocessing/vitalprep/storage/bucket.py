"""S3: how it is asked, and how long."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from obstore.exceptions import BaseError
from obstore.store import S3Store

from vitalprep.runtime.errors import UsageError
from vitalprep.storage.location import uri_parts
from vitalprep.storage.retries import retried
from vitalprep.storage.s3_errors import translated

__all__ = ["Bucket", "seconds_set"]

CONNECT_TIMEOUT = timedelta(seconds=10)
REQUEST_TIMEOUT = timedelta(minutes=2)  # of a whole body: what is too slow goes on with a new request
RETRY_SECONDS = 180.0
# Until the head of an answer, sending the request included, and between two reads of its body. An upload of four parts
# at once needs 1.1 MB/s.
STALL_SECONDS = 60.0

Outcome = TypeVar("Outcome")


class Bucket:
    """A bucket and prefix.

    The environment may set ``VITALPREP_S3_RETRY_SECONDS`` (how long a fault is retried; 0: not at all) and
    ``VITALPREP_S3_STALL_SECONDS`` (how long a silent connection is waited for).
    """

    def __init__(self, uri: str, *, retry_seconds: float | None = None) -> None:
        parts = uri_parts(uri)
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        if endpoint and not uri_parts(endpoint, "AWS_ENDPOINT_URL").hostname:
            raise UsageError("AWS_ENDPOINT_URL is no URL.", fix="write https://host or http://host:port, or unset it.")
        set_seconds = seconds_set("VITALPREP_S3_RETRY_SECONDS", RETRY_SECONDS, least=0)
        self._retry_seconds = set_seconds if retry_seconds is None else retry_seconds
        self.store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={
                "timeout": REQUEST_TIMEOUT,
                "connect_timeout": CONNECT_TIMEOUT,
                "read_timeout": timedelta(seconds=seconds_set("VITALPREP_S3_STALL_SECONDS", STALL_SECONDS, least=0.1)),
                # Only for an endpoint that the user has named so; AWS itself is always asked by TLS.
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={"max_retries": 0},  # `retries` does it, and says so
            config={"endpoint": endpoint} if endpoint else None,
        )

    def do(self, action: Callable[[], Outcome], *, verb: str, uri: str) -> Outcome:
        """Return what `action` returns; transient faults are tried again, all others raised as the project's errors."""

        def attempt() -> Outcome:
            try:
                return action()
            except (BaseError, OSError) as error:
                raise translated(error, verb=verb, uri=uri) from None  # its text may hold what S3 repeats of a request

        return retried(attempt, key=uri, seconds=self._retry_seconds)


def seconds_set(name: str, default: float, *, least: float) -> float:
    """Return the seconds that an environment variable says, else the default."""
    text = os.environ.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not least <= seconds < math.inf:
        raise UsageError(f"{name} is {text!r}.", fix=f"give seconds from {least:g} on, or unset it.")
    return seconds
