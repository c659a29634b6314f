"""What AWS services refuse, and calls without an answer, as errors with a fix."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from vitalprep_airflow.outcome import WorkerFailed, WorkerRefused

__all__ = ["CREDENTIALS", "Kind", "Patience", "Refusal", "no_answer", "patiently", "refused", "stop_or_say_how"]

LONGEST_PAUSE = 60.0  # s between two calls that AWS throttles or does not answer
_STOP_SECONDS = 3  # for which an `on_kill` asks again; Airflow kills its process 5 s after SIGTERM

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
_THROTTLE = re.compile("Throttl|TooManyRequests|RequestLimitExceeded|SlowDown")
_OUTAGE = re.compile("RequestTimeout|ServiceUnavailable|InternalFailure|InternalError|InternalServer|ServerException")
# botocore's own errors that asking again does not help against, and the fix.
_SETTINGS: tuple[tuple[tuple[type[BotoCoreError], ...], str], ...] = (
    (
        (SSOError, TokenRetrievalError, CredentialRetrievalError),
        "renew the AWS credentials of Airflow's environment (`aws sso login`, or what its profile calls)",
    ),
    ((ProfileNotFound,), "set AWS_PROFILE in Airflow's environment to a profile that exists there"),
    ((NoRegionError, InvalidRegionError), "set AWS_DEFAULT_REGION in Airflow's environment to a region of AWS"),
    ((ParamValidationError,), "check the backend's VITALPREP_ settings in Airflow's environment"),
    (
        (NoCredentialsError, PartialCredentialsError),
        "set AWS credentials and AWS_DEFAULT_REGION in Airflow's environment; on EC2 the instance's role is used",
    ),
)

log = logging.getLogger("airflow.task")


class Patience:
    """How long AWS may throttle calls, or not answer them, before its error counts.

    Parameters
    ----------
    pause : float
        Seconds before the second call. The pauses double, up to a minute, and vary at random, so that the calls of many
        tasks spread.
    limit : float
        Seconds after which the error counts.
    throttles_only : bool
        Whether only a throttled call may be made again: it did nothing.
    """

    def __init__(self, *, pause: float, limit: float, throttles_only: bool = False) -> None:
        self._pause = pause
        self._longest = max(LONGEST_PAUSE, pause)
        self._deadline = time.monotonic() + limit
        self._passes = _is_throttle if throttles_only else _is_transient
        self._warned = False

    def after(self, error: ClientError | BotoCoreError) -> float:
        """Return how many seconds to wait before the call is made again. Raises the error if it counts."""
        left = self._deadline - time.monotonic()
        if left <= 0 or not self._passes(error):
            raise error
        if not self._warned:
            log.warning("AWS does not answer now. What runs, runs on, and AWS is asked again. (%s)", error)
        self._warned = True
        pause = min(self._pause * random.uniform(0.5, 1.5), left)
        self._pause = min(self._pause * 2, self._longest)
        return pause


def patiently(call: Callable[[], Answer], *, pause: float, limit: float, throttles_only: bool = False) -> Answer:
    """Return a call's answer. While AWS throttles the call or does not answer, it is made again; see `Patience`."""
    patience = Patience(pause=pause, limit=limit, throttles_only=throttles_only)
    while True:
        try:
            return call()
        except (ClientError, BotoCoreError) as error:
            time.sleep(patience.after(error))


def stop_or_say_how(call: Callable[[], object], *, what: str, by_hand: str) -> None:
    """Stop what runs on AWS. Never raises: the log says how a person stops it, before AWS is asked.

    Parameters
    ----------
    call : callable
        Asks AWS to stop it. Its worker commits finished cases.
    what : str
        Names it in messages.
    by_hand : str
        The command that stops it.
    """
    log.info("stopping %s (by hand: %s)", what, by_hand)
    try:
        patiently(call, pause=0.5, limit=_STOP_SECONDS)
    except (ClientError, BotoCoreError) as error:
        log.error("%s was not stopped and runs to its end: %s To stop it: %s", what, error, by_hand)


def _is_throttle(error: ClientError | BotoCoreError) -> bool:
    return isinstance(error, ClientError) and bool(_THROTTLE.search(error.response["Error"]["Code"]))


def _is_transient(error: ClientError | BotoCoreError) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or _is_throttle(error) or bool(_OUTAGE.search(error.response["Error"]["Code"]))
    return not _fix_of(error)


def refused(service: str, call: str, code: str, message: str, table: Iterable[Refusal]) -> AirflowException:
    """Return the error for a service's answer, by the first row that matches; without a match it is retried."""
    for code_pattern, pattern, kind, fix in table:
        if re.search(code_pattern, code) and re.search(pattern, message, re.IGNORECASE | re.DOTALL):
            return kind(f"{service} refused {call} ({code}): {message.rstrip('.')}. Fix: {fix}.")
    return WorkerFailed(f"{service} did not do {call} ({code}): {message.rstrip('.')}. It is tried again.")


def no_answer(service: str, error: BotoCoreError) -> AirflowException:
    """Return the error for a call that got no answer."""
    if fix := _fix_of(error):
        return WorkerRefused(f"Airflow cannot call {service}: {error} Fix: {fix}.")
    return WorkerFailed(f"Airflow cannot reach {service}: {error}")


def _fix_of(error: BotoCoreError) -> str:
    """Return how to fix the settings that caused an error; empty if no setting did."""
    return next((fix for kinds, fix in _SETTINGS if isinstance(error, kinds)), "")
