"""What the hosts of a SageMaker job leave below ``<output>/sagemaker/<job>/``, for each other and for `submit`."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from vitalprep.contract.document import Document

__all__ = ["FirstHost", "HostFailure"]


class _OfHost(Document):
    """A document of one start of a host: an interrupted job is started again under its name, in the same folder."""

    host: str
    start: str  # a random id
    started: AwareDatetime


class HostFailure(_OfHost):
    """``failure-<host>.json``: why a host failed, in full, with its exit code."""

    exit_code: int
    message: str
    fix: str


class FirstHost(_OfHost):
    """``first-host.json``: a sign of life of the host that builds, publishes and validates for all.

    It is `done` when the data set is validated.
    """

    state: Literal["running", "done"]
    updated: AwareDatetime
