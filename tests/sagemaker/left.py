"""Documents that hosts of a job leave, of this attempt and of one before."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from vitalprep.contract.job import FirstHost, HostFailure
from vitalprep.sagemaker.attempt import HostStart

NOW = HostStart.now()
BEFORE = HostStart("before", NOW.at - timedelta(hours=1))  # of an attempt that was interrupted


def failure(start: HostStart = NOW, exit_code: int = 65, host: str = "algo-1") -> HostFailure:
    return HostFailure(
        host=host, start=start.id, started=start.at, exit_code=exit_code, message="Too few.", fix="give more."
    )


def living(start: HostStart = NOW, state: Literal["running", "done"] = "running", beat: int = 0) -> FirstHost:
    updated = start.at + timedelta(seconds=30 * beat)
    return FirstHost(host="algo-1", start=start.id, started=start.at, state=state, updated=updated)
