"""The validate stage: proves a published data set from its plan and tables, and writes the verdict."""

from __future__ import annotations

import logging

from vitalprep.contract.accounting import Accounting, account
from vitalprep.contract.build_summary import require_build_summary
from vitalprep.contract.identity import CODE_VERSIONS
from vitalprep.contract.metadata import read_metadata
from vitalprep.contract.paths import (
    LATEST,
    METADATA,
    SPLITS,
    VERDICT,
    accounting_path,
    dataset_folder,
    dataset_path,
    output_of_dataset,
)
from vitalprep.contract.plan import Plan, read_plan
from vitalprep.contract.published import refuse_copy
from vitalprep.contract.verdict import Check, Latest, Verdict
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import ObjectMissing, Storage
from vitalprep.validate.checks import Checks
from vitalprep.validate.proof import prove_splits
from vitalprep.validate.recordings import recordings_still_there

__all__ = ["validate_dataset"]


def validate_dataset(dataset_uri: str, *, pool: WorkerPool, write: bool = True) -> Verdict:
    """Prove a data set, write the verdict, and update ``latest.json`` if it passed.

    With `write` false it writes nothing, and needs no right to.

    The proof starts at the plan and the tables: every table is held against its receipt, and every record against its
    table.

    Raises
    ------
    RefusedError
        If the data set is a copy, or a check fails. In the last case the verdict is written.
    RetryableError
        If it is not published yet: another process may just be doing it.
    UsageError
        If other versions of the code made it than those of today. Its verdict stays.
    """
    refuse_copy(dataset_uri)
    output_uri, dataset_id = output_of_dataset(dataset_uri)
    output = Storage(output_uri)
    _refuse_other_versions(output, dataset_id)
    fix = "run it again: it rebuilds a refused data set; if it fails again, run with --force."
    try:
        verdict, content_id = _verdict(output, dataset_id, pool)
    except RefusedError as error:  # nothing can be proved from a document that is damaged
        check = Check(name="documents", passed=False, detail=error.message.rstrip("."))
        verdict, content_id, fix = _refused(dataset_id, check), None, error.fix
    if write:
        output.put(dataset_path(dataset_id, VERDICT), verdict.to_bytes())
    _log(verdict)
    if not verdict.passed:
        fix = fix if write else "validate it without --no-write, then run it again: that rebuilds a refused data set."
        failed = next(check for check in verdict.checks if not check.passed)
        raise RefusedError(
            f"{output.uri_of('datasets')}/{dataset_id} failed validation. {failed.name}: {failed.detail}.", fix=fix
        )
    if write:
        _name_latest(output, dataset_id, content_id)
    return verdict


def _name_latest(output: Storage, dataset_id: str, content_id: str | None) -> None:
    latest = Latest(
        schema_version=1 if content_id is None else 2,
        dataset_id=dataset_id,
        path=dataset_folder(dataset_id),
        content_id=content_id,
    )
    output.put(LATEST, latest.to_bytes())


def _verdict(output: Storage, dataset_id: str, pool: WorkerPool) -> tuple[Verdict, str | None]:
    """Return the verdict, and the content id that the data set's metadata state."""
    plan, stored, accounting = _plan_of(output, dataset_id)
    summaries = {split: require_build_summary(output, dataset_id, split) for split in SPLITS}
    proofs = prove_splits(plan, output, summaries, pool)
    found = Checks(plan, output, accounting, stored, proofs)
    checks = found.all()
    verdict = Verdict(
        schema_version=2,
        dataset_id=dataset_id,
        passed=all(check.passed for check in checks),
        checks=checks,
        windows={split: len(proof.windows) for split, proof in proofs.items()},
        files={split: len(proof.summary.files) for split, proof in proofs.items()},
        success_rate=accounting.success_rate,
        recordings=recordings_still_there(plan),
    )
    return verdict, found.content_id


def _refused(dataset_id: str, check: Check) -> Verdict:
    """Return the verdict where a document is damaged, so that nothing can be counted."""
    return Verdict(
        schema_version=2, dataset_id=dataset_id, passed=False, checks=(check,), windows={}, files={}, success_rate=0.0
    )


def _log(verdict: Verdict) -> None:
    for check in verdict.checks:
        level = logging.INFO if check.passed else logging.ERROR
        log(f"{'passed' if check.passed else 'FAILED'}: {check.name}: {check.detail}", level=level, check=check.name)
    if verdict.recordings:
        log(f"recordings: {verdict.recordings}")


def _refuse_other_versions(output: Storage, dataset_id: str) -> None:
    try:
        metadata = read_metadata(output, dataset_id)
    except RefusedError:  # a check says so
        return
    if metadata is not None and metadata.code_versions != CODE_VERSIONS:
        made, now = (
            " and ".join(f"{name} {number}" for name, number in versions.items())
            for versions in (metadata.code_versions, CODE_VERSIONS)
        )
        raise UsageError(
            f"{output.uri_of(dataset_path(dataset_id, METADATA))} says that {made} made this data set; this vitalprep "
            f"has {now} and cannot compute its records anew. Its verdict was not touched.",
            fix="validate it with the vitalprep that made it (`versions` in the same file), or build it anew.",
        )


def _plan_of(output: Storage, dataset_id: str) -> tuple[Plan, Accounting, Accounting]:
    """Return the plan, the accounting that is stored, and the one that receipts and summaries give."""
    path = accounting_path(dataset_id)
    try:
        stored = Accounting.from_bytes(output.get(path), uri=output.uri_of(path))
    except ObjectMissing as error:
        raise RetryableError(
            f"{output.uri_of('datasets')}/{dataset_id} has no accounting.", fix="run `vitalprep publish` first."
        ) from error
    try:
        plan = read_plan(output, stored.plan)
    except ObjectMissing as error:
        raise RefusedError(
            f"{output.uri_of(path)} names {stored.plan}, which does not exist.", fix="plan and publish again."
        ) from error
    if plan.dataset_id != dataset_id:
        raise RefusedError(
            f"{output.uri_of(path)} names {stored.plan}, the plan of another data set.", fix="plan and publish again."
        )
    return plan, stored, account(plan, output)[0]
