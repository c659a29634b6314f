"""How far a shard is: the heartbeat beside its plan."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from vitalprep.contract.document import Document

__all__ = ["ShardProgress", "State"]


State = Literal["running", "stopped", "done"]


class ShardProgress(Document):
    """How far a shard was when it was `updated`.

    `done` are its cases with a receipt, of earlier attempts too, `excluded` those of them that were refused, and
    `bytes_done` the size of their recordings. `bytes_per_second` is this attempt's rate. `seconds_left` is None while
    it cannot be told.
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
