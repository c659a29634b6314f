"""Progress of a plan's shards: finished cases from receipts, speed from heartbeats."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vitalprep.contract.plan import Plan
from vitalprep.contract.progress import ShardProgress
from vitalprep.contract.receipt import ListedReceipt
from vitalprep.storage import Storage

__all__ = ["READERS", "read_heartbeats", "shard_statuses"]

READERS = 16  # heartbeats are small: many are read at once


def read_heartbeats(output: Storage, paths: Mapping[int, str]) -> dict[int, ShardProgress]:
    """Read the listed heartbeats, except those that `--force` has removed since."""

    def read(path: str) -> ShardProgress | None:
        return ShardProgress.from_storage(output, path)

    with ThreadPoolExecutor(READERS) as pool:
        found = zip(paths, pool.map(read, paths.values()), strict=True)
        return {index: heartbeat for index, heartbeat in found if heartbeat is not None}


def shard_statuses(
    plan: Plan, receipts: Mapping[int, ListedReceipt], heartbeats: Mapping[int, ShardProgress]
) -> list[dict[str, Any]]:
    """Return what ``vitalprep status --json`` prints of each shard of a plan."""
    return [_status(plan, index, receipts, heartbeats.get(index)) for index in range(len(plan.shards))]


def _status(
    plan: Plan, index: int, receipts: Mapping[int, ListedReceipt], heartbeat: ShardProgress | None
) -> dict[str, Any]:
    shard = plan.shards[index]
    done = [case for case in shard if case in receipts]
    finished = len(done) == len(shard)
    if heartbeat is None or (heartbeat.state == "done" and not finished):  # its receipts have been removed since
        told: dict[str, Any] = {
            "cases": len(shard),
            "bytes": sum(plan.by_id[case].total_size for case in shard),
            "state": "done" if finished else "waiting",
            "done": len(done),
            "excluded": sum(receipts[case].excluded for case in done),
            "bytes_done": sum(plan.by_id[case].total_size for case in done),
            "bytes_per_second": 0.0,
            "seconds_left": 0 if finished else None,
            "updated": None,
        }
    else:
        told = {key: value for key, value in heartbeat.content().items() if key != "schema_version"}
    return told | {"index": index, "label": plan.shard_label(index)}
