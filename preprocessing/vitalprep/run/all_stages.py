"""What ``vitalprep run`` does: all stages on one machine, one after another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from vitalprep.build.stage import build_split
from vitalprep.contract.accounting import Accounting, account, store_accounting
from vitalprep.contract.metadata import Metadata, read_metadata
from vitalprep.contract.paths import SPLITS, dataset_folder
from vitalprep.contract.plan import Plan
from vitalprep.contract.verdict import Verdict, is_refused
from vitalprep.harmonize.stage import harmonize_shards
from vitalprep.plan.make_plan import PlanRequest
from vitalprep.run.next_steps import NextSteps, next_steps
from vitalprep.run.plan_run import Planned, plan_run
from vitalprep.run.publication import account_and_publish
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import VitalprepError
from vitalprep.runtime.workers import StopRequest, WorkerPool
from vitalprep.storage import Storage
from vitalprep.validate.stage import validate_dataset

__all__ = ["Finished", "RunResult", "accounted_for", "finish", "run"]

Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class RunResult:
    """Result of a run. `verdict` is None if the data set was up to date."""

    planned: Planned
    accounting: Accounting
    verdict: Verdict | None
    stage_seconds: dict[str, float]

    @cached_property
    def metadata(self) -> Metadata | None:
        """The metadata of the data set."""
        return read_metadata(self.planned.output, self.planned.plan.dataset_id)

    @property
    def next_steps(self) -> NextSteps:
        """What the user can do next."""
        return next_steps(self.planned.dataset_uri, self.planned.plan)

    def described(self) -> dict[str, Any]:
        """Return what ``vitalprep run --json`` prints."""
        accounting, metadata = self.accounting, self.metadata
        return {
            "dataset": self.planned.dataset_uri,
            "dataset_id": self.planned.plan.dataset_id,
            "content_id": metadata.content_id if metadata else None,
            "name": self.planned.plan.name,
            "plan": self.planned.uri,
            "parents": list(self.planned.plan.parents),
            "new": self.verdict is not None,
            "requested": accounting.requested,
            "present": accounting.present,
            "written": accounting.written,
            "excluded": accounting.excluded,
            "windows": accounting.windows,
            "windows_unobserved": accounting.windows_unobserved,
            "windows_dropped": accounting.windows_dropped,
            "success_rate": accounting.success_rate,
            "stage_seconds": self.stage_seconds,
            "warnings": [warning.content() for warning in metadata.warnings or ()] if metadata else [],
            "next": self.next_steps._asdict(),
        }

    def shown(self) -> dict[str, Any]:
        """Return what ``vitalprep run`` shows as a table."""
        accounting, metadata = self.accounting, self.metadata
        rows: dict[str, Any] = {"name": self.planned.plan.name} if self.planned.plan.name else {}
        return rows | {
            "dataset": self.planned.dataset_uri,
            "content id": metadata.content_id if metadata else None,
            "cases": f"{accounting.requested} asked for, {accounting.present} present, {accounting.written} written",
            "excluded": accounting.excluded,
            "windows": accounting.windows,
            "windows unobserved": accounting.windows_unobserved,
            "windows dropped": accounting.windows_dropped,
            "stage seconds": self.stage_seconds,
        }


def run(request: PlanRequest, output_uri: str, *, workers: int, force: bool, stop: StopRequest) -> RunResult:
    """Plan, harmonize, build, publish and validate. Finished work is not repeated.

    The accounting is written even if a stage fails or the run is stopped.
    """
    seconds: dict[str, float] = {}
    planned = _timed("plan", seconds, lambda: plan_run(request, output_uri, force=force))
    plan, output = planned.plan, planned.output
    if planned.up_to_date:
        log("nothing new: the data set is built and proved", dataset=planned.dataset_uri)
        return RunResult(planned, account(plan, output)[0], None, seconds)
    with WorkerPool(workers, stop) as pool:
        with accounted_for(plan, output):
            shards = range(len(plan.shards))
            _timed("harmonize", seconds, lambda: harmonize_shards(plan, output, shards, pool=pool, plan_path=plan.path))
        finished = finish(plan, output, pool=pool)
    return RunResult(planned, finished.accounting, finished.verdict, seconds | finished.stage_seconds)


@dataclass(frozen=True)
class Finished:
    """Result of the stages after harmonize."""

    accounting: Accounting
    verdict: Verdict
    stage_seconds: dict[str, float]


def finish(plan: Plan, output: Storage, *, pool: WorkerPool) -> Finished:
    """Build, publish and validate a plan whose cases all have receipts. Finished splits are not built again."""
    seconds: dict[str, float] = {}
    with accounted_for(plan, output):
        again = is_refused(output, plan.dataset_id)
        _timed("build", seconds, lambda: _build(plan, output, pool=pool, again=again))
    accounting = _timed("publish", seconds, lambda: account_and_publish(plan, output))
    dataset = output.uri_of(dataset_folder(plan.dataset_id))
    verdict = _timed("validate", seconds, lambda: validate_dataset(dataset, pool=pool))
    return Finished(accounting, verdict, seconds)


def _build(plan: Plan, output: Storage, *, pool: WorkerPool, again: bool) -> None:
    """Build all splits. Their summaries are not kept: the next stages read them one by one."""
    for split in SPLITS:
        build_split(plan, output, split, pool=pool, again=again)


@contextmanager
def accounted_for(plan: Plan, output: Storage) -> Iterator[None]:
    """Write the accounting if the block fails.

    The block's error is raised even if writing the accounting fails, too.
    """
    try:
        yield
    except VitalprepError:
        try:
            store_accounting(account(plan, output)[0], output)
        except VitalprepError as error:
            log(f"the accounting could not be written: {error}", level=logging.WARNING)
        raise


def _timed(stage: str, seconds: dict[str, float], work: Callable[[], Outcome]) -> Outcome:
    began = time.monotonic()
    try:
        return work()
    finally:
        seconds[stage] = round(time.monotonic() - began, 3)
