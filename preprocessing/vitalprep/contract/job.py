"""What the hosts of a SageMaker job leave below ``<output>/sagemaker/<job>/``, for each other and for `submit`."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from vitalprep.contract.document import Document

__all__ = ["FirstHost", "HostFailure"]


class HostFailure(Document):
    """``failure-<host>.json``: why a host failed, in full, with its exit code."""

    host: str
    exit_code: int
    message: str
    fix: str


class FirstHost(Document):
    """``first-host.json``: a sign of life of the host that builds, publishes and validates for all.

    It is `done` when the data set is validated.
    """

    host: str
    state: Literal["running", "done"]
    updated: AwareDatetime
