"""What AWS services refuse, and calls without an answer, as errors with a fix."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError

from vitalprep_airflow.outcome import WorkerFailed, WorkerRefused

__all__ = ["CREDENTIALS", "Kind", "Refusal", "no_answer", "patiently", "refused"]

LONGEST_PAUSE = 60.0  # s between two calls that AWS throttles or does not answer

Answer = TypeVar("Answer")
Kind = type[WorkerFailed] | type[WorkerRefused]
# A service's answer: pattern of the error code, pattern of the text, what to raise, the fix.
Refusal = tuple[str, str, Kind, str]
CREDENTIALS: Refusal = (
    "(UnrecognizedClient|ExpiredToken|InvalidSignature|InvalidClientTokenId|MissingAuthenticationToken)",
    "",
    WorkerRefused,
    "renew the AWS credentials in Airflow's environment; on EC2 set none, so that the instance's role is used",
)
_TRANSIENT = re.compile(
    "Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|RequestTimeout|ServiceUnavailable|InternalFailure|"
    "InternalError|InternalServer|ServerException"
)
_SETTINGS = (NoCredentialsError, PartialCredentialsError, NoRegionError)

log = logging.getLogger("airflow.task")


def patiently(call: Callable[[], Answer], *, pause: float, limit: float) -> Answer:
    """Return a call's answer. While AWS throttles the call or does not answer, it is made again.

    For calls that watch what runs: it runs on meanwhile.

    Parameters
    ----------
    call : callable
        The call.
    pause : float
        Seconds before the second call. The pauses double, up to a minute.
    limit : float
        Seconds after which the last error is raised.
    """
    deadline, warned = time.monotonic() + limit, False
    while True:
        try:
            return call()
        except (ClientError, BotoCoreError) as error:
            if not _is_transient(error) or time.monotonic() >= deadline:
                raise
            if not warned:
                log.warning("AWS does not say now how the work goes; it runs on, and AWS is asked again. (%s)", error)
            warned = True
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 2, max(LONGEST_PAUSE, pause))


def _is_transient(error: ClientError | BotoCoreError) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or bool(_TRANSIENT.search(error.response["Error"]["Code"]))
    return not isinstance(error, _SETTINGS)


def refused(service: str, call: str, code: str, message: str, table: Iterable[Refusal]) -> AirflowException:
    """Return the error for a service's answer, by the first row that matches; without a match it is retried."""
    for code_pattern, pattern, kind, fix in table:
        if re.search(code_pattern, code) and re.search(pattern, message, re.IGNORECASE | re.DOTALL):
            return kind(f"{service} refused {call} ({code}): {message.rstrip('.')}. Fix: {fix}.")
    return WorkerFailed(f"{service} did not do {call} ({code}): {message.rstrip('.')}. It is tried again.")


def no_answer(service: str, error: BotoCoreError) -> AirflowException:
    """Return the error for a call that got no answer."""
    if isinstance(error, _SETTINGS):
        return WorkerRefused(
            f"Airflow cannot call {service}: {error} Fix: set AWS credentials and AWS_DEFAULT_REGION in Airflow's "
            "environment; on EC2 the instance's role is used."
        )
    return WorkerFailed(f"Airflow cannot reach {service} to follow its task: {error}")
