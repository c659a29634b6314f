"""The validate stage: runs all checks on a published data set and writes the verdict."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from vitalprep.contract.accounting import Accounting, account
from vitalprep.contract.build_summary import BuildSummary, require_build_summary
from vitalprep.contract.paths import (
    LATEST,
    SPLITS,
    VERDICT,
    SplitName,
    accounting_path,
    dataset_folder,
    dataset_path,
    output_of_dataset,
)
from vitalprep.contract.plan import Plan
from vitalprep.contract.published import refuse_copy
from vitalprep.contract.verdict import Latest, Verdict
from vitalprep.runtime.console import log, progress
from vitalprep.runtime.errors import RefusedError
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import ObjectMissing, Storage
from vitalprep.validate.checks import Checks
from vitalprep.validate.file import FileFindings, ValidateTask, validate_file

__all__ = ["validate_dataset"]


def validate_dataset(dataset_uri: str, *, pool: WorkerPool) -> Verdict:
    """Read every record of a data set back, write the verdict, and update ``latest.json`` if it passed.

    Raises
    ------
    RefusedError
        If the data set has no accounting or is a copy, or if a check fails. In the last case the verdict is written.
    """
    refuse_copy(dataset_uri)
    output_uri, dataset_id = output_of_dataset(dataset_uri)
    output = Storage(output_uri)
    plan, accounting = _plan_of(output, dataset_id)
    summaries = {split: require_build_summary(output, dataset_id, split) for split in SPLITS}
    findings = _findings(plan, output, summaries, pool)
    proof = Checks(plan, output, summaries, findings, accounting)
    checks = proof.all()
    verdict = Verdict(
        dataset_id=dataset_id,
        passed=all(check.passed for check in checks),
        checks=checks,
        windows={split: sum(len(item.windows) for item in findings[split]) for split in SPLITS},
        files={split: len(summaries[split].files) for split in SPLITS},
        success_rate=accounting.success_rate,
    )
    output.put(dataset_path(dataset_id, VERDICT), verdict.to_bytes())
    for check in checks:
        level = logging.INFO if check.passed else logging.ERROR
        log(f"{'passed' if check.passed else 'FAILED'}: {check.name}: {check.detail}", level=level, check=check.name)
    if not verdict.passed:
        failed = next(check for check in checks if not check.passed)
        raise RefusedError(
            f"{output.uri_of('datasets')}/{dataset_id} failed validation. {failed.name}: {failed.detail}.",
            fix="run it again: it rebuilds a refused data set; if it fails again, run with --force.",
        )
    latest = Latest(
        schema_version=1 if proof.content_id is None else 2,
        dataset_id=dataset_id,
        path=dataset_folder(dataset_id),
        content_id=proof.content_id,
    )
    output.put(LATEST, latest.to_bytes())
    return verdict


def _plan_of(output: Storage, dataset_id: str) -> tuple[Plan, Accounting]:
    path = accounting_path(dataset_id)
    try:
        accounting = Accounting.from_bytes(output.get(path), uri=output.uri_of(path))
    except ObjectMissing as error:
        raise RefusedError(
            f"{output.uri_of('datasets')}/{dataset_id} has no accounting.", fix="run `vitalprep publish` first."
        ) from error
    plan = Plan.from_bytes(output.get(accounting.plan), uri=output.uri_of(accounting.plan))
    return plan, account(plan, output)[0]


def _findings(
    plan: Plan, output: Storage, summaries: Mapping[SplitName, BuildSummary], pool: WorkerPool
) -> dict[SplitName, list[FileFindings]]:
    tasks = [
        ValidateTask(file, dataset_path(plan.dataset_id, file.name), split, plan.config, output.uri)
        for split, summary in summaries.items()
        for file in summary.files
    ]
    by_name: dict[str, FileFindings] = {}
    with progress("validate", len(tasks)) as advance:
        for task, found in pool.results(validate_file, tasks, name=lambda task: task.summary.name):
            by_name[task.summary.name] = found
            advance()
    return {split: [by_name[file.name] for file in summary.files] for split, summary in summaries.items()}
