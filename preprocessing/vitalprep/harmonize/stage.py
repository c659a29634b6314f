"""The harmonize stage: processes the unfinished cases of a plan or of one shard in worker processes."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext

from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.document import Schema
from vitalprep.contract.plan import Plan
from vitalprep.contract.receipt import Receipt, listed_receipts
from vitalprep.harmonize.case import CaseTask, harmonize_case
from vitalprep.harmonize.progress import Tally, heartbeat, heartbeat_seconds
from vitalprep.runtime.console import log, progress
from vitalprep.runtime.errors import RefusedError, Stopped, UsageError
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage

__all__ = [
    "HarmonizeSummary",
    "harmonize_shards",
]


class HarmonizeSummary(Schema):
    """Result of one call of the stage: number of cases by outcome, and the duration in seconds."""

    harmonized: int
    excluded: dict[str, int]
    already_done: int
    seconds: float


def harmonize_shards(
    plan: Plan, output: Storage, shards: Iterable[int], *, pool: WorkerPool, plan_path: str | None = None
) -> HarmonizeSummary:
    """Harmonize the cases of some shards that have no receipt yet, largest recordings first.

    Parameters
    ----------
    plan_path : str, optional
        Path of the whole plan below the output; `plan` may hold only one shard of it. For a single shard, a heartbeat
        is written next to this path.

    Raises
    ------
    RefusedError
        After all other cases are done, if objects changed or disappeared since the plan. It names the cases.
    Stopped, RetryableError
        See `WorkerPool.results`. Committed cases are kept.
    """
    began = time.monotonic()
    indices = list(shards)
    cases = [case for index in indices for case in _shard(plan, index)]
    receipts = listed_receipts(plan, output)
    tasks = [
        CaseTask(plan.by_id[case], plan.config, plan.harmonize_digest, plan.stem(case), plan.input, output.uri)
        for case in sorted(cases, key=lambda case: (-plan.by_id[case].size, case))
        if case not in receipts
    ]
    tally = None
    if plan_path is not None and len(indices) == 1:
        tally = Tally(plan, indices[0], before={case: receipt.excluded for case, receipt in receipts.items()})
    with heartbeat(tally, output, plan_path, stop=pool.stop) if tally and plan_path else nullcontext():
        outcomes = _outcomes(plan, tasks, set(cases), tally, pool=pool)
    harmonized = outcomes.pop("ok", 0)
    return HarmonizeSummary(
        harmonized=harmonized,
        excluded=dict(sorted(outcomes.items())),
        already_done=len(cases) - len(tasks),
        seconds=round(time.monotonic() - began, 3),
    )


def _outcomes(
    plan: Plan, tasks: list[CaseTask], cases: set[int], tally: Tally | None, *, pool: WorkerPool
) -> Counter[str]:
    """Run the tasks, and return the number of their cases by outcome. `cases` also includes those done before."""
    outcomes: Counter[str] = Counter()
    changed: list[int] = []
    left = {task.case.case_id for task in tasks}
    shown = progress("harmonize", len(tasks))
    if tally:
        shown = progress("harmonize", len(tasks), every=heartbeat_seconds(), line=tally.line)
    with shown as advance:
        done = pool.results(harmonize_case, tasks, name=lambda task: f"case {task.case.case_id}")
        try:
            for task, receipt in done:
                advance()
                if receipt is None:
                    changed.append(task.case.case_id)
                    continue
                if tally:
                    tally.add(receipt)
                left.remove(task.case.case_id)
                outcomes[receipt.reason or "ok"] += 1
                _log_case(receipt)
        except Stopped:
            _log_stop(cases - left, left)
            raise
    if changed:
        raise RefusedError(
            f"The input has changed since it was planned: cases {short_case_list(sorted(changed))} in {plan.input}.",
            fix="plan again; only the changed cases are processed again.",
        )
    return outcomes


def _shard(plan: Plan, index: int) -> tuple[int, ...]:
    if not 0 <= index < len(plan.shards):
        raise UsageError(
            f"The plan has no shard {index}; it has shards 0-{len(plan.shards) - 1}.", fix="use one of these."
        )
    return plan.shards[index]


def _log_stop(committed: set[int], left: set[int]) -> None:
    """Log the result of a stop immediately: the process may be killed before it logs anything else."""
    these, those = (short_case_list(sorted(cases)) for cases in (committed, left))
    message = f"stopped: {len(committed)} cases committed ({these or 'none'}), {len(left)} left ({those or 'none'})"
    log(message, level=logging.WARNING, committed=these, left=those)


def _log_case(receipt: Receipt) -> None:
    if receipt.status == "ok":
        log(
            f"case {receipt.case_id} harmonized",
            shown_by_bar=True,
            case_id=receipt.case_id,
            rows=receipt.seconds,
            seconds=round(sum(receipt.timings.values()), 3),
        )
    else:
        log(
            f"case {receipt.case_id} excluded, {receipt.reason}: {receipt.detail}",
            level=logging.WARNING,
            case_id=receipt.case_id,
            reason=receipt.reason,
        )
