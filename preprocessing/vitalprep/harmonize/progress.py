"""Reports a shard's progress: a heartbeat object next to its plan, a log line, and CloudWatch metrics.

The heartbeat is informational: only receipts determine which cases are done. Losing a heartbeat loses no work.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vitalprep.contract.paths import progress_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.progress import ShardProgress, State
from vitalprep.contract.receipt import Receipt
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import UsageError, VitalprepError
from vitalprep.runtime.periodic import called_every
from vitalprep.runtime.workers import StopRequest
from vitalprep.storage import Storage
from vitalprep.storage.bucket import seconds_set

__all__ = ["Tally", "heartbeat", "heartbeat_seconds"]

HEARTBEAT_SECONDS = 10.0
SECONDS_FOR_THE_LAST = 5.0  # after a signal: 20 s to commit, forced exit after 27 s
SECONDS_FOR_THE_LAST_AT_ONCE = 0.1  # after a second signal: forced exit after 1 s, which also ends the workers
METRICS = "VITALPREP_METRICS"
NAMESPACE = "vitalprep"


@dataclass(frozen=True)
class _Counts:
    done: int
    excluded: int
    bytes: int


class Tally:
    """Counts the finished cases of a shard. One thread adds; other threads may read.

    Parameters
    ----------
    before : mapping of int to bool
        Cases that already have a receipt, and whether it excludes them.
    """

    def __init__(self, plan: Plan, index: int, *, before: Mapping[int, bool]) -> None:
        self.index = index
        self.dataset_id = plan.dataset_id
        self._sizes = {case: plan.by_id[case].total_size for case in plan.shards[index]}
        done = [case for case in self._sizes if case in before]
        self._counts = _Counts(len(done), sum(before[case] for case in done), sum(self._sizes[case] for case in done))
        self._bytes_before = self._counts.bytes
        self._began = time.monotonic()

    def add(self, receipt: Receipt) -> None:
        """Count a finished case."""
        counts = self._counts
        self._counts = _Counts(
            counts.done + 1,
            counts.excluded + (receipt.status == "excluded"),
            counts.bytes + self._sizes[receipt.case_id],
        )

    def progress(self, state: State = "running") -> ShardProgress:
        """Return the shard's progress: bytes in bytes, rate in bytes/s of this attempt, remaining time in s."""
        counts, size = self._counts, sum(self._sizes.values())
        rate = (counts.bytes - self._bytes_before) / max(time.monotonic() - self._began, 0.001)
        left = math.ceil((size - counts.bytes) / rate) if rate and state == "running" else None
        return ShardProgress(
            index=self.index,
            state=state,
            cases=len(self._sizes),
            bytes=size,
            done=counts.done,
            excluded=counts.excluded,
            bytes_done=counts.bytes,
            bytes_per_second=round(rate, 1),
            seconds_left=0 if state == "done" else left,
            updated=datetime.now(UTC).replace(microsecond=0),
        )

    def line(self, _: int) -> tuple[str, dict[str, Any]]:
        """Return the shard's progress as the text and keys of a log line."""
        now = self.progress()
        rate = f", {now.bytes_per_second / 1e6:.1f} MB/s" if now.bytes_per_second else ""
        left = f", {now.seconds_left} s left" if now.seconds_left is not None else ""
        keys = now.content()
        del keys["schema_version"], keys["updated"]
        return f"shard {now.index}: {now.done} of {now.cases} cases{rate}{left}", {"shard": keys.pop("index")} | keys


def heartbeat_seconds() -> float:
    """Return the heartbeat interval in seconds: ``VITALPREP_HEARTBEAT_SECONDS``, by default 10."""
    return seconds_set("VITALPREP_HEARTBEAT_SECONDS", HEARTBEAT_SECONDS, least=0.05)


@contextmanager
def heartbeat(tally: Tally, output: Storage, plan_path: str, *, stop: StopRequest) -> Iterator[None]:
    """Write a shard's progress next to its plan while the block runs, and its final state at the end.

    Parameters
    ----------
    plan_path : str
        Path of the whole plan below the output.
    stop : StopRequest
        After a second signal, the final heartbeat is not waited for.

    Raises
    ------
    UsageError
        If ``VITALPREP_METRICS`` or ``VITALPREP_HEARTBEAT_SECONDS`` is invalid. Storage errors are only logged.
    """
    beats = _Heartbeat(tally, output.uri, progress_path(plan_path, tally.index), metrics=_metrics_enabled())

    def patience() -> float:
        return SECONDS_FOR_THE_LAST_AT_ONCE if stop.at_once else SECONDS_FOR_THE_LAST

    with called_every(heartbeat_seconds(), beats.write, at_both_ends=True, patience=patience):
        try:
            yield
        except BaseException:
            beats.state = "stopped"
            raise
        beats.state = "done"


def _metrics_enabled() -> bool:
    value = os.environ.get(METRICS, "")
    if value not in ("", "emf"):
        raise UsageError(
            f"{METRICS} is {value!r}.", fix="set it to emf (CloudWatch's embedded metric format), or unset it."
        )
    return bool(value)


class _Heartbeat:
    def __init__(self, tally: Tally, output: str, path: str, *, metrics: bool) -> None:
        self.state: State = "running"
        self._tally, self._output, self._path = tally, output, path
        self._storage: Storage | None = None
        self._warned = False
        self._emitted: ShardProgress | None = tally.progress() if metrics else None

    def write(self) -> None:
        now = self._tally.progress(self.state)
        if self._emitted is not None:  # before the storage call, which may hang: the JSON result must be the last line
            _emit(now, self._emitted, self._tally.dataset_id)
            self._emitted = now
        try:
            self._storage = self._storage or Storage(self._output, retry_seconds=0)  # the next heartbeat is the retry
            self._storage.put(self._path, now.to_bytes())
        except VitalprepError as error:
            if not self._warned:
                log(
                    f"could not write the progress of shard {now.index}; processing continues: {error}",
                    level=logging.WARNING,
                    shard=now.index,
                )
            self._warned = True


def _emit(now: ShardProgress, before: ShardProgress, dataset_id: str) -> None:
    """Print the increments since the last line, so that sums over shards and time are correct.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
    Each distinct dimension value is a billed metric. Data set and shard are therefore plain fields, which logs can be
    searched by.
    """
    units = {"Cases": "Count", "Excluded": "Count", "Bytes": "Bytes"}
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    described = {"Namespace": NAMESPACE, "Dimensions": [["stage"]], "Metrics": metrics}
    line = {
        "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [described]},
        "stage": "harmonize",
        "dataset_id": dataset_id,
        "shard": now.index,
        "state": now.state,
        "Cases": now.done - before.done,
        "Excluded": now.excluded - before.excluded,
        "Bytes": now.bytes_done - before.bytes_done,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
