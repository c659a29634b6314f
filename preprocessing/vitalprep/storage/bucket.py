"""An S3 bucket: client settings, timeouts and retries."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import BaseError, UnauthenticatedError
from obstore.store import S3Store

from vitalprep.runtime.errors import UsageError
from vitalprep.storage.certificates import certificates
from vitalprep.storage.checksums import checksum_algorithm
from vitalprep.storage.credential_errors import located
from vitalprep.storage.credentials import Chain, chosen_chain
from vitalprep.storage.location import uri_parts
from vitalprep.storage.retries import Transient, retried
from vitalprep.storage.s3_errors import translated

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

__all__ = ["Bucket", "seconds_set"]

CONNECT_TIMEOUT = timedelta(seconds=10)
REQUEST_TIMEOUT = timedelta(minutes=2)  # for a whole body; a slower download resumes with a new request
RETRY_SECONDS = 180.0
# Longest wait for the response headers (includes sending the request) and between two reads of the body. At four
# concurrent parts, an upload needs at least 1.1 MB/s.
STALL_SECONDS = 60.0

Outcome = TypeVar("Outcome")


class Bucket:
    """A bucket and prefix.

    Environment variables: ``VITALPREP_S3_RETRY_SECONDS`` (retry a fault for this long, default 180; 0 disables retries)
    and ``VITALPREP_S3_STALL_SECONDS`` (give up on a silent connection after this long, default 60).
    """

    def __init__(self, uri: str, *, retry_seconds: float | None = None) -> None:
        parts = uri_parts(uri)
        self._chain = chosen_chain()
        set_seconds = seconds_set("VITALPREP_S3_RETRY_SECONDS", RETRY_SECONDS, least=0)
        self._retry_seconds = set_seconds if retry_seconds is None else retry_seconds
        self.store = _store(parts.netloc, parts.path.strip("/"), self._chain)

    def do(self, action: Callable[[], Outcome], *, verb: str, uri: str) -> Outcome:
        """Call `action`, retry transient faults, and raise every other error as one of the project's own."""

        def attempt() -> Outcome:
            self._renew_credentials(verb, uri)  # here, where its own errors reach the caller
            try:
                return action()
            except (BaseError, OSError) as error:
                if isinstance(error, UnauthenticatedError):
                    self._renew_credentials(verb, uri)
                raise translated(error, verb=verb, uri=uri) from None  # the original text may repeat parts of a request

        return retried(attempt, key=uri, seconds=self._retry_seconds)

    def _renew_credentials(self, verb: str, uri: str) -> None:
        if self._chain is None:
            return
        try:
            self._chain()
        except (UsageError, Transient) as error:
            raise located(error, f"Could not {verb} {uri}") from None


def _store(bucket: str, prefix: str, chain: Chain | None) -> S3Store:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if chain is not None:
        endpoint = endpoint or chain.endpoint
    if endpoint and not uri_parts(endpoint, "AWS_ENDPOINT_URL").hostname:
        raise UsageError(
            "AWS_ENDPOINT_URL is not a valid URL.", fix="set it to https://host or http://host:port, or unset it."
        )
    options: ClientConfig = {
        "timeout": REQUEST_TIMEOUT,
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": timedelta(seconds=seconds_set("VITALPREP_S3_STALL_SECONDS", STALL_SECONDS, least=0.1)),
        # Only for an endpoint that the user gives as http://; requests to AWS always use TLS.
        "allow_http": endpoint.startswith("http://"),
    }
    trusted = certificates(chain.ca_bundle if chain is not None else "")
    if trusted is not None:
        options["root_certificate"] = trusted
    config: S3Config = {"endpoint": endpoint} if endpoint else {}
    if chain is not None and chain.region and not os.environ.get("AWS_REGION"):
        config["region"] = chain.region
    algorithm = checksum_algorithm(chain.checksums if chain is not None else "")
    if algorithm is not None:
        config["checksum_algorithm"] = algorithm
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            client_options=options,
            retry_config={"max_retries": 0},  # `retries` retries instead, and logs it
            config=config,
            credential_provider=chain,
        )
    except (BaseError, ValueError) as error:
        said = str(error).split("\n", 1)[0].rstrip(".")
        raise UsageError(
            f"The S3 client refuses its settings: {said}.",
            fix="correct the variables that begin with AWS_, or the proxy's (docs/reference/environment.md).",
        ) from None


def seconds_set(name: str, default: float, *, least: float) -> float:
    """Return the number of seconds in an environment variable, or the default if it is unset.

    Raises
    ------
    UsageError
        If the value is not a finite number of at least `least` seconds.
    """
    text = os.environ.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not least <= seconds < math.inf:
        raise UsageError(f"{name} is {text!r}.", fix=f"set it to a number of seconds, at least {least:g}, or unset it.")
    return seconds
