"""A shard's progress: the heartbeat document next to its plan."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from vitalprep.contract.document import Document

__all__ = ["ShardProgress", "State"]


State = Literal["running", "stopped", "done"]


class ShardProgress(Document):
    """A shard's progress at the time `updated`.

    `done` counts its cases with a receipt, including those of earlier attempts, `excluded` the excluded ones among
    them, and `bytes_done` the size of their recordings. `bytes_per_second` is the rate of this attempt. `seconds_left`
    is None while it is unknown.
    """

    index: int
    state: State
    cases: int
    bytes: int
    done: int
    excluded: int
    bytes_done: int
    bytes_per_second: float
    seconds_left: int | None
    updated: AwareDatetime
