"""What the AWS backends share: settings from the environment, and calls that AWS refuses, as errors with their mend."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError, PartialCredentialsError

from vitalprep_outcomes import WorkerFailed, WorkerRefused

__all__ = [
    "CREDENTIALS",
    "ENVIRONMENT",
    "Refusal",
    "connection_arguments",
    "lost_sight",
    "missing",
    "refused",
    "region",
]

ENVIRONMENT = "`make env-from-terraform` writes what Terraform made into .env"

# What a service answers: error code and text (patterns), what to raise, the mend.
Refusal = tuple[str, str, type[AirflowException], str]
CREDENTIALS: Refusal = (
    "(UnrecognizedClient|ExpiredToken|InvalidSignature|InvalidClientTokenId|MissingAuthenticationToken)",
    "",
    WorkerRefused,
    "renew Airflow's AWS credentials; on EC2 give none, the instance's role is found",
)


def region() -> str:
    """Return the region, empty if none is set."""
    return os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or ""


def connection_arguments() -> dict[str, Any]:
    """Return what every AWS operator is given: credentials, region, and patience with a busy service."""
    return {
        "aws_conn_id": os.environ.get("VITALPREP_AWS_CONNECTION") or None,
        "region_name": region() or None,
        "botocore_config": {
            "retries": {"mode": "standard", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS") or 8)}
        },
    }


def missing(backend: str, needed: dict[str, Any]) -> str | None:
    """Return which settings of a backend are not set and how to mend it, or None."""
    names = ", ".join(name for name, value in needed.items() if not value)
    if not names:
        return None
    return f"VITALPREP_BACKEND={backend} needs {names} in Airflow's environment. To mend: {ENVIRONMENT}."


def refused(service: str, call: str, code: str, message: str, table: Iterable[Refusal]) -> AirflowException:
    """Return the error for an answer of a service, by the first row that fits; without one it is tried again."""
    for code_pattern, pattern, kind, mend in table:
        if re.search(code_pattern, code) and re.search(pattern, message, re.IGNORECASE | re.DOTALL):
            return kind(f"{service} refused {call} ({code}): {message.rstrip('.')}. To mend: {mend}.")
    return WorkerFailed(f"{service} did not do {call} ({code}): {message.rstrip('.')}. It is tried again.")


def lost_sight(service: str, error: BotoCoreError) -> AirflowException:
    """Return the error for a call that got no answer."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError | NoRegionError):
        return WorkerRefused(
            f"Airflow cannot call {service}: {error} To mend: give Airflow's environment AWS credentials and "
            "AWS_DEFAULT_REGION; on EC2 the instance's role is found."
        )
    return WorkerFailed(f"Airflow lost sight of what runs on {service}: {error}")
