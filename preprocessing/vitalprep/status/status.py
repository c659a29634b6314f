"""State of the data sets in an output, from listings and a few small objects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from vitalprep.account.stage import judge
from vitalprep.contract.accounting import Accounting
from vitalprep.contract.document import Document
from vitalprep.contract.metadata import Metadata
from vitalprep.contract.paths import (
    LATEST,
    METADATA,
    REPORT,
    SPLITS,
    VERDICT,
    accounting_path,
    build_summary_path,
    dataset_path,
    is_digest,
)
from vitalprep.contract.plan import Plan
from vitalprep.contract.progress import ShardProgress
from vitalprep.contract.receipt import ListedReceipt, listed_receipts
from vitalprep.contract.verdict import Latest, Verdict
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.status.listing import ListedDataset, listed_datasets
from vitalprep.status.shards import READERS, read_heartbeats, shard_statuses
from vitalprep.storage import Storage

__all__ = ["status"]

NEWEST = 20

Stored = TypeVar("Stored", bound=Document)
State = Literal["planned", "harmonizing", "building", "refused", "published"]


def status(output_uri: str, *, dataset_id: str | None = None) -> dict[str, Any]:
    """Return what ``vitalprep status --json`` prints. An unreadable document becomes the `problem` of its data set.

    Parameters
    ----------
    dataset_id : str, optional
        Only this data set, with its shards even if it is published. Default: the 20 newest; `older` has the ids of the
        others.

    Raises
    ------
    UsageError
        If there is no such data set.
    """
    output = Storage(output_uri)
    if dataset_id is not None and not is_digest(dataset_id):
        raise UsageError(f"{dataset_id!r} is not the id of a data set.", fix="give its 12 hex digits.")
    listed = listed_datasets(output, dataset_id)
    found = listed[:NEWEST]
    if dataset_id is not None and not found:
        raise UsageError(
            f"{output.uri} has no data set {dataset_id}.", fix="run `vitalprep status` without --dataset to list all."
        )
    top = _Documents(output)
    latest = top.read(LATEST, Latest)
    with ThreadPoolExecutor(READERS) as pool:
        described = list(pool.map(lambda one: _described(output, one, whole=dataset_id is not None), found))
    return {
        "output": output.uri,
        "latest": latest.dataset_id if latest else None,
        "datasets": described,
        "older": [one.dataset_id for one in listed[NEWEST:]],
        "problem": top.problem,
    }


@dataclass(frozen=True)
class _Work:
    """Finished work of a data set's plan."""

    plan: Plan
    receipts: dict[int, ListedReceipt]
    heartbeats: dict[int, ShardProgress]

    def begun_since(self, planned: datetime | None) -> bool:
        """Return whether work started after `planned`: an appended set shares older receipts with its parent."""
        times = [receipt.modified for receipt in self.receipts.values() if receipt.modified]
        return bool(self.heartbeats) or (planned is not None and any(time > planned for time in times))


@dataclass
class _Documents:
    """Reads documents of an output. `problem` says why the first unreadable one cannot be read."""

    output: Storage
    problem: str | None = field(default=None, init=False)

    def read(self, path: str, kind: type[Stored]) -> Stored | None:
        try:
            return kind.from_storage(self.output, path)
        except RefusedError as error:
            self.refuse(error)
            return None

    def refuse(self, error: RefusedError) -> None:
        self.problem = self.problem or str(error)


def _described(output: Storage, listed: ListedDataset, *, whole: bool) -> dict[str, Any]:
    name = listed.dataset_id
    documents = _Documents(output)

    def read(path: str, kind: type[Stored]) -> Stored | None:
        return documents.read(path, kind) if path in listed.times else None

    verdict_path = dataset_path(name, VERDICT)
    verdict = read(verdict_path, Verdict)
    accounting = read(accounting_path(name), Accounting)
    metadata = read(dataset_path(name, METADATA), Metadata)
    published = verdict is not None and verdict.passed
    work = _work(documents, listed) if whole or not published else None
    return {
        "dataset_id": name,
        "name": metadata.name if metadata else None,
        "content_id": metadata.content_id if metadata else None,
        "dataset": output.uri_of(dataset_path(name, "").rstrip("/")),
        "state": _state(output, listed, verdict, accounting, work),
        "planned": _stamp(listed.planned),
        "validated": _stamp(listed.times.get(verdict_path)) if verdict else None,
        "requested": accounting.requested if accounting else None,
        "written": accounting.written if accounting else None,
        "excluded": accounting.excluded if accounting else None,
        "windows": verdict.windows if verdict else None,
        "windows_unobserved": (accounting.windows_unobserved or None) if accounting else None,
        "windows_dropped": (accounting.windows_dropped or None) if accounting else None,
        "warnings": _warnings(metadata),
        "report": dataset_path(name, REPORT) in listed.times,
        "plan": output.uri_of(listed.plan) if listed.plan else None,
        "shards": shard_statuses(work.plan, work.receipts, work.heartbeats) if work else [],
        "problem": documents.problem,
    }


def _work(documents: _Documents, listed: ListedDataset) -> _Work | None:
    plan = documents.read(listed.plan, Plan) if listed.plan else None
    if plan is None or listed.plan is None:
        return None
    output, heartbeats = documents.output, {}
    try:
        heartbeats = read_heartbeats(output, listed.heartbeats(listed.plan, len(plan.shards)))
    except RefusedError as error:
        documents.refuse(error)
    return _Work(plan, listed_receipts(plan, output), heartbeats)


def _state(
    output: Storage, listed: ListedDataset, verdict: Verdict | None, accounting: Accounting | None, work: _Work | None
) -> State:
    if verdict is not None:
        return "published" if verdict.passed else "refused"
    built = [build_summary_path(listed.dataset_id, split) in listed.times for split in SPLITS]
    if work is None:
        return "building" if any(built) else "planned"
    if all(built) and accounting is not None and _is_refused(work.plan, accounting, output):
        return "refused"
    if any(built) or work.plan.by_id.keys() <= work.receipts.keys():
        return "building"
    return "harmonizing" if work.begun_since(listed.planned) else "planned"


def _is_refused(plan: Plan, accounting: Accounting, output: Storage) -> bool:
    """Return whether publish refused the data set. The accounting of an unfinished build is no refusal."""
    if accounting.unbuilt:
        return False
    try:
        judge(plan, accounting, output)
    except RefusedError:
        return True
    return False


def _stamp(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _warnings(metadata: Metadata | None) -> int | None:
    if metadata is None or metadata.warnings is None:
        return None
    return [warning.level for warning in metadata.warnings].count("warning")
