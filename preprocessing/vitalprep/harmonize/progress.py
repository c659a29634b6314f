"""How far a shard is: a small object beside its plan (the heartbeat), a line in the log, and CloudWatch metrics.

Nobody decides by a heartbeat what is done: receipts say that. So one that is lost costs nothing but the view.
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
SECONDS_FOR_THE_LAST = 5.0  # a stop has 20 s to commit and 27 s to leave
SECONDS_FOR_THE_LAST_AT_ONCE = 0.1  # after a second signal there is 1 s to end the worker processes
METRICS = "VITALPREP_METRICS"
NAMESPACE = "vitalprep"


@dataclass(frozen=True)
class _Counts:
    done: int
    excluded: int
    bytes: int


class Tally:
    """What has ended of a shard's cases. One thread adds, others may look.

    Parameters
    ----------
    before : mapping of int to bool
        Cases that have a receipt already, and whether it excludes them.
    """

    def __init__(self, plan: Plan, index: int, *, before: Mapping[int, bool]) -> None:
        self.index = index
        self.dataset_id = plan.dataset_id
        self._sizes = {case: plan.by_id[case].size for case in plan.shards[index]}
        done = [case for case in self._sizes if case in before]
        self._counts = _Counts(len(done), sum(before[case] for case in done), sum(self._sizes[case] for case in done))
        self._bytes_before = self._counts.bytes
        self._began = time.monotonic()

    def add(self, receipt: Receipt) -> None:
        """Count a case that has ended."""
        counts = self._counts
        self._counts = _Counts(
            counts.done + 1,
            counts.excluded + (receipt.status == "excluded"),
            counts.bytes + self._sizes[receipt.case_id],
        )

    def progress(self, state: State = "running") -> ShardProgress:
        """Return how far the shard is."""
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
        """Return how far the shard is, as the text and the keys of a line of the log."""
        now = self.progress()
        rate = f", {now.bytes_per_second / 1e6:.1f} MB/s" if now.bytes_per_second else ""
        left = f", {now.seconds_left} s left" if now.seconds_left is not None else ""
        keys = now.content()
        del keys["schema_version"], keys["updated"]
        return f"shard {now.index}: {now.done} of {now.cases} cases{rate}{left}", {"shard": keys.pop("index")} | keys


def heartbeat_seconds() -> float:
    """Return how often a shard tells how far it is: ``VITALPREP_HEARTBEAT_SECONDS``, 10 unless it is set."""
    return seconds_set("VITALPREP_HEARTBEAT_SECONDS", HEARTBEAT_SECONDS, least=0.05)


@contextmanager
def heartbeat(tally: Tally, output: Storage, plan_path: str, *, stop: StopRequest) -> Iterator[None]:
    """Write how far a shard is beside its plan while the block runs, and whether it ended or was stopped.

    Parameters
    ----------
    plan_path : str
        Path of the whole plan below the output.
    stop : StopRequest
        Whoever is to leave at once does not wait for the last word.

    Raises
    ------
    UsageError
        If the environment asks for what there is not. Trouble with the storage is only logged.
    """
    beats = _Heartbeat(tally, output.uri, progress_path(plan_path, tally.index), metrics=_metrics_asked_for())

    def patience() -> float:
        return SECONDS_FOR_THE_LAST_AT_ONCE if stop.at_once else SECONDS_FOR_THE_LAST

    with called_every(heartbeat_seconds(), beats.write, at_both_ends=True, patience=patience):
        try:
            yield
        except BaseException:
            beats.state = "stopped"
            raise
        beats.state = "done"


def _metrics_asked_for() -> bool:
    asked = os.environ.get(METRICS, "")
    if asked not in ("", "emf"):
        raise UsageError(
            f"{METRICS} is {asked!r}.", fix="set it to emf (CloudWatch's embedded metric format), or unset it."
        )
    return bool(asked)


class _Heartbeat:
    def __init__(self, tally: Tally, output: str, path: str, *, metrics: bool) -> None:
        self.state: State = "running"
        self._tally, self._output, self._path = tally, output, path
        self._storage: Storage | None = None
        self._warned = False
        self._emitted: ShardProgress | None = tally.progress() if metrics else None

    def write(self) -> None:
        now = self._tally.progress(self.state)
        if self._emitted is not None:  # before the storage, which may hang: nothing may follow the command's result
            _emit(now, self._emitted, self._tally.dataset_id)
            self._emitted = now
        try:
            self._storage = self._storage or Storage(self._output, retry_seconds=0)  # the next one is due soon
            self._storage.put(self._path, now.to_bytes())
        except VitalprepError as error:
            if not self._warned:
                log(
                    f"how far shard {now.index} is cannot be written; the work goes on: {error}",
                    level=logging.WARNING,
                    shard=now.index,
                )
            self._warned = True


def _emit(now: ShardProgress, before: ShardProgress, dataset_id: str) -> None:
    """Print what has come since the last line, so that sums over shards and time are right.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
    Each value of a dimension is a metric that is paid for: data set and shard are none, but can be searched for.
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
