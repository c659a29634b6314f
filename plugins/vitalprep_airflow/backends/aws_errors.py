"""What AWS services refuse, and calls without an answer, as errors with a fix."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError, PartialCredentialsError

from vitalprep_airflow.outcome import WorkerFailed, WorkerRefused

__all__ = ["CREDENTIALS", "Kind", "Refusal", "no_answer", "refused"]

Kind = type[WorkerFailed] | type[WorkerRefused]
# A service's answer: pattern of the error code, pattern of the text, what to raise, the fix.
Refusal = tuple[str, str, Kind, str]
CREDENTIALS: Refusal = (
    "(UnrecognizedClient|ExpiredToken|InvalidSignature|InvalidClientTokenId|MissingAuthenticationToken)",
    "",
    WorkerRefused,
    "renew the AWS credentials in Airflow's environment; on EC2 set none, so that the instance's role is used",
)


def refused(service: str, call: str, code: str, message: str, table: Iterable[Refusal]) -> AirflowException:
    """Return the error for a service's answer, by the first row that matches; without a match it is retried."""
    for code_pattern, pattern, kind, fix in table:
        if re.search(code_pattern, code) and re.search(pattern, message, re.IGNORECASE | re.DOTALL):
            return kind(f"{service} refused {call} ({code}): {message.rstrip('.')}. Fix: {fix}.")
    return WorkerFailed(f"{service} did not do {call} ({code}): {message.rstrip('.')}. It is tried again.")


def no_answer(service: str, error: BotoCoreError) -> AirflowException:
    """Return the error for a call that got no answer."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError | NoRegionError):
        return WorkerRefused(
            f"Airflow cannot call {service}: {error} Fix: set AWS credentials and AWS_DEFAULT_REGION in Airflow's "
            "environment; on EC2 the instance's role is used."
        )
    return WorkerFailed(f"Airflow cannot reach {service} to follow its task: {error}")
