"""Runs a whole plan in one job of several hosts: each harmonizes its share, the first host does the rest.

No host ends before the first one has finished: see `first_host`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

from vitalprep.contract.accounting import account
from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.job import HostFailure
from vitalprep.contract.paths import dataset_folder, output_of_plan
from vitalprep.contract.plan import Plan, load_plan
from vitalprep.contract.published import is_up_to_date
from vitalprep.contract.receipt import finished_cases
from vitalprep.harmonize.stage import harmonize_shards
from vitalprep.run.all_stages import accounted_for, finish
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RetryableError
from vitalprep.runtime.workers import StopRequest, WorkerPool
from vitalprep.sagemaker.attempt import HostStart, OtherHosts, raised_there
from vitalprep.sagemaker.first_host import WatchedFirstHost, signs_of_life
from vitalprep.sagemaker.hosts import HostShare, load_host_shard
from vitalprep.sagemaker.job_folder import JOB_NAME, JobFolder
from vitalprep.sagemaker.pauses import growing_pauses, pause
from vitalprep.storage import Storage

__all__ = ["run_plan", "wait_for_receipts"]

FailureOf = Callable[[str], HostFailure | None]

LONGEST_PAUSE = 20.0  # s between two looks, each with a log line; with the listing itself less than 30


def run_plan(
    plan_uri: str, share: HostShare, *, start: HostStart, wait_seconds: float, pool: WorkerPool
) -> dict[str, Any]:
    """Harmonize this host's share; on the first host wait for the others, then build, publish and validate.

    The other hosts end when the first one has finished.

    Parameters
    ----------
    start : HostStart
        Of this host.
    wait_seconds : float
        How long the first host waits without a new receipt, and the others without a sign of life of it.

    Returns
    -------
    dict
        What the share came to and, of the first host, the data set.

    Raises
    ------
    UsageError
        If the plan has more or fewer shards than there are hosts.
    RetryableError
        If the others' receipts do not come, or the first host gives no sign of life.
    RefusedError, Stopped
        As the stages do. A host also fails as one does that it waits for.
    """
    part, output = load_host_shard(plan_uri, share)
    done: dict[str, Any] = {"host": share.host, "shard": share.index, "plan": plan_uri}
    log(
        f"{share.host}, {share.index + 1} of {share.count} hosts: {part.shard_label(share.index)}",
        host=share.host,
        shard=share.index,
        hosts=share.count,
        told_by=share.told_by,
    )
    output_uri, path = output_of_plan(plan_uri)
    folder = _folder_of_job(output_uri, share)
    if share.index:
        first = WatchedFirstHost(folder, share.hosts[0], start) if folder else None
        summary = harmonize_shards(part, output, [share.index], pool=pool, plan_path=path)
        if first is not None:
            first.wait(wait_seconds, pool.stop, _up_to_date(plan_uri))
        return done | summary.content()
    failure_of = _failures_of(folder, share, start) if folder else _no_failure
    with signs_of_life(folder, share.host, start) if folder else nullcontext():
        return done | _run_first(plan_uri, path, share, failure_of, wait_seconds=wait_seconds, pool=pool)


def _up_to_date(plan_uri: str) -> Callable[[], bool]:
    """Return what tells whether a plan's data set is up to date; it reads the plan once."""
    loaded = cache(load_plan)

    def is_built() -> bool:
        plan, output = loaded(plan_uri)
        return is_up_to_date(output, plan)

    return is_built


def _no_failure(host: str) -> None:
    """Return None where nobody tells of failures."""


def _failures_of(folder: JobFolder, share: HostShare, start: HostStart) -> FailureOf:
    """Return what finds the failure of another host in this attempt."""
    others = OtherHosts(folder, start)
    for host in share.hosts[1:]:
        others.failure_of(host)
    return others.failure_of


def _folder_of_job(output_uri: str, share: HostShare) -> JobFolder | None:
    """Return where the hosts of a job tell each other how far they are; None if there is one, or no name of the job."""
    if share.count == 1:
        return None
    folder = JobFolder.of_container(output_uri)
    if folder is None:
        log(
            f"{JOB_NAME} does not hold the job's name: no host waits for {share.hosts[0]} at its end",
            level=logging.WARNING,
        )
    return folder


def _run_first(
    plan_uri: str, path: str, share: HostShare, failure_of: FailureOf, *, wait_seconds: float, pool: WorkerPool
) -> dict[str, Any]:
    plan, output = load_plan(plan_uri)
    with accounted_for(plan, output):
        summary = harmonize_shards(plan, output, [share.index], pool=pool, plan_path=path)
        wait_for_receipts(plan, output, share.hosts, failure_of, seconds=wait_seconds, stop=pool.stop)
    if is_up_to_date(output, plan):  # a job that is started again must not withdraw what the other hosts rely on
        log("the data set is built and proved", dataset_id=plan.dataset_id)
        accounting, seconds = account(plan, output)[0], {}
    else:
        finished = finish(plan, output, pool=pool)
        accounting, seconds = finished.accounting, finished.stage_seconds
    return summary.content() | {
        "dataset": output.uri_of(dataset_folder(plan.dataset_id)),
        "dataset_id": plan.dataset_id,
        "requested": accounting.requested,
        "written": accounting.written,
        "excluded": accounting.excluded,
        "windows": accounting.windows,
        "success_rate": accounting.success_rate,
        "stage_seconds": {"harmonize": summary.seconds} | seconds,
    }


def wait_for_receipts(
    plan: Plan, output: Storage, hosts: Sequence[str], failure_of: FailureOf, *, seconds: float, stop: StopRequest
) -> None:
    """Return when every case of a plan has its receipt.

    Parameters
    ----------
    hosts : sequence of str
        The host of each shard.
    failure_of : callable
        Returns why a host failed, or None. Such a host is not waited for.
    seconds : float
        How long to wait without a new receipt.

    Raises
    ------
    RetryableError
        After that; it names the shards that are missing, and their hosts.
    UsageError, RefusedError, RetryableError
        As a host did whose receipts are missing.
    Stopped
        When a stop is asked for.
    """
    left, since = len(plan.cases) + 1, time.monotonic()
    for wait in growing_pauses(LONGEST_PAUSE):
        missing = plan.by_id.keys() - finished_cases(plan, output)
        if not missing:
            return
        by_host = {hosts[shard]: len(cases) for shard, cases in _by_shard(plan, missing).items()}
        for failure in filter(None, map(failure_of, by_host)):
            raise raised_there(failure, "The host")
        if len(missing) < left:
            left, since = len(missing), time.monotonic()
        patience = since + seconds - time.monotonic()
        if patience <= 0:
            raise _given_up(plan, hosts, missing, seconds)
        counts = ", ".join(f"{host} {count}" for host, count in by_host.items())
        log(f"waiting for {len(missing)} of {len(plan.cases)} cases: {counts}", missing=len(missing), hosts=by_host)
        pause(min(wait, patience), stop)
        stop.raise_if_requested(f"waiting for {counts}")


def _by_shard(plan: Plan, cases: Collection[int]) -> dict[int, list[int]]:
    """Return the cases of each shard that holds any of them."""
    return {index: sorted(set(plan.shards[index]) & set(cases)) for index in plan.shards_of(cases)}


def _given_up(plan: Plan, hosts: Sequence[str], missing: Collection[int], seconds: float) -> RetryableError:
    shards = _by_shard(plan, missing)
    for shard, cases in shards.items():
        log(
            f"missing of shard {shard} ({hosts[shard]}): cases {short_case_list(cases)}",
            level=logging.ERROR,
            shard=shard,
            host=hosts[shard],
        )
    named = ", ".join(f"shard {shard} ({hosts[shard]}: {len(cases)} cases)" for shard, cases in shards.items())
    return RetryableError(
        f"No receipt has come for {seconds:g} s, and these are missing: {named}.",
        fix="see the log of these hosts, then submit the same again: it goes on from here. If cases take longer, "
        "raise the hyperparameter wait_seconds.",
    )
