"""What the AWS backends share: settings from the environment, and texts as AWS takes them. Imports nothing of AWS."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

__all__ = [
    "ENVIRONMENT",
    "connection_arguments",
    "fargate_machine",
    "log_seconds",
    "missing",
    "patience_seconds",
    "region",
    "tag_value",
]

ENVIRONMENT = "`make env-from-terraform` writes Terraform's outputs into .env"

TAG_LENGTH = 256


def region() -> str:
    """Return the region, empty if none is set."""
    return os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or ""


def connection_arguments() -> dict[str, Any]:
    """Return what every AWS operator is given: connection, region, and how often it asks a throttling service again."""
    return {
        "aws_conn_id": os.environ.get("VITALPREP_AWS_CONNECTION") or None,
        "region_name": region() or None,
        "botocore_config": {
            "retries": {"mode": "standard", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS") or 8)}
        },
    }


def patience_seconds() -> float:
    """Return for how many seconds a call that finds, watches or starts a task or job is made again."""
    return float(os.environ.get("VITALPREP_AWS_PATIENCE") or 1800)


def log_seconds() -> float:
    """Return how long the result of an ended container is waited for: CloudWatch shows the last lines late."""
    return float(os.environ.get("VITALPREP_LOG_WAIT") or 15)


def tag_value(text: str) -> str:
    r"""Return a text as AWS accepts it for the value of a tag: ``[\p{L}\p{Z}\p{N}_.:/=+\-@]*``, at most 256 characters.

    Airflow's run ids may have other characters, as ``~``; each becomes ``_``. ``aws:`` at the beginning is AWS's own.
    """
    composed = unicodedata.normalize("NFC", text)
    cleaned = "".join(one if unicodedata.category(one)[0] in "LZN" or one in "_.:/=+-@" else "_" for one in composed)
    return re.sub("^(aws):", r"\1_", cleaned, flags=re.IGNORECASE)[:TAG_LENGTH]


def fargate_machine(*, cpu: str, memory: str) -> list[str]:
    """Return a Fargate task as ``vitalprep cost --hour-of`` takes it; CPU in 1/1024 vCPU and memory in MiB, if set."""
    sizes = {"--vcpus": cpu, "--memory-gb": memory}
    given = {option: int(size) / 1024 for option, size in sizes.items() if size.isdigit() and int(size)}
    return ["fargate", *(word for option, size in given.items() for word in (option, f"{size:g}"))]


def missing(backend: str, needed: Mapping[str, object]) -> str | None:
    """Return which settings of a backend are not set and how to fix it, or None."""
    names = ", ".join(name for name, value in needed.items() if not value)
    if not names:
        return None
    return f"VITALPREP_BACKEND={backend} needs {names} in Airflow's environment. Fix: {ENVIRONMENT}."
