"""The build stage: writes the TFRecord files of one split from its harmonized cases."""

from __future__ import annotations

import time

from vitalprep.build.write_file import WrittenFile, write_file
from vitalprep.contract.build_summary import BuildSummary, is_built, is_summary_of, read_build_summary
from vitalprep.contract.identity import salt_of
from vitalprep.contract.paths import SPLITS, build_summary_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.receipt import results_of
from vitalprep.contract.verdict import withdraw_verdict
from vitalprep.record_files.split_files import split_files
from vitalprep.runtime.console import log, progress
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage

__all__ = [
    "build_split",
]


def build_split(plan: Plan, output: Storage, split: str, *, pool: WorkerPool, again: bool = False) -> BuildSummary:
    """Write a split's files and its summary. A passed verdict is withdrawn before.

    Parameters
    ----------
    again : bool
        Rebuild even if the split is already built, because its data set was refused. If false, an already built split
        is skipped.

    Raises
    ------
    UsageError
        If there is no such split.
    RefusedError
        If a table is not the one that its receipt describes.
    RetryableError
        If cases of the split are not harmonized yet. See `WorkerPool.results`, too.
    Stopped
        See `WorkerPool.results`. An interrupted build leaves no summary, so the next run repeats it.
    """
    name = next((name for name in SPLITS if name == split), None)
    if name is None:
        raise UsageError(f"There is no split {split!r}.", fix=f"use one of {', '.join(SPLITS)}.")
    salt = salt_of(plan)
    known = read_build_summary(output, plan.dataset_id, name)
    if known is not None and not again and is_summary_of(known, plan, name) and is_built(known, plan, output):
        log(f"{name} is already built", split=name, windows=known.windows)
        return known
    began = time.monotonic()
    files = split_files(plan, output, name, results_of(plan, output, plan.cases_of(name)), salt=salt, pool=pool)
    withdraw_verdict(output, plan.dataset_id)
    written: dict[str, WrittenFile] = {}
    with progress(f"build {name}", len(files.tasks)) as advance:
        for task, result in pool.results(write_file, files.tasks, name=lambda task: task.file.name):
            written[task.file.name] = result
            advance()
    in_order = [written[task.file.name] for task in files.tasks]
    summary = files.summary([one.summary for one in in_order], [one.facts for one in in_order])
    output.put(build_summary_path(plan.dataset_id, name), summary.to_bytes())
    log(
        f"{name} built",
        split=name,
        windows=summary.windows,
        unobserved=summary.unobserved,
        dropped=summary.dropped,
        files=len(written),
        seconds=time.monotonic() - began,
    )
    return summary
