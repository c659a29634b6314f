"""The plan stage: makes and stores a plan, and finds which of its work is finished."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.locations import refuse_locations
from vitalprep.contract.paths import (
    DATASETS,
    HARMONIZED,
    RUNS,
    SPLITS,
    VERDICT,
    build_summary_path,
    dataset_folder,
    dataset_path,
    made_by_vitalprep,
    progress_path,
    receipt_path,
)
from vitalprep.contract.plan import Plan, PlannedCase, store_plan
from vitalprep.contract.published import described_as_published, is_up_to_date
from vitalprep.contract.receipt import finished_cases
from vitalprep.plan.make_plan import PlanRequest, make_plan
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.printable import shortened
from vitalprep.storage import Storage, normalized_uri

__all__ = ["Planned", "plan_run", "settled_plan"]

LONGEST_SHOWN = 80  # characters of a list of cases


@dataclass(frozen=True)
class Planned:
    """A plan, its output, and which of its work is finished."""

    plan: Plan
    output: Storage
    uri: str
    dataset_uri: str
    finished: set[int]
    up_to_date: bool

    def described(self) -> dict[str, Any]:
        """Return what ``vitalprep plan --json`` prints."""
        plan = self.plan
        excluded: dict[str, int] = {}
        for case in plan.excluded:
            excluded[case.reason] = excluded.get(case.reason, 0) + 1
        return {
            "plan": self.uri,
            "dataset": self.dataset_uri,
            "dataset_id": plan.dataset_id,
            "name": plan.name,
            "harmonize_digest": plan.harmonize_digest,
            "parents": list(plan.parents),
            "up_to_date": self.up_to_date,
            "cases": {
                "requested": len(plan.cases) + len(plan.excluded),
                "present": len(plan.cases) + excluded.get("no_clinical_row", 0),
                "excluded": excluded,
            },
            "left_out": {one.reason: {"count": one.count, "names": list(one.names)} for one in plan.left_out},
            "shards": [
                {
                    "index": index,
                    "cases": len(shard),
                    "bytes": sum(plan.by_id[case].total_size for case in shard),
                    "unfinished": sum(case not in self.finished for case in shard),
                    "label": plan.shard_label(index),
                }
                for index, shard in enumerate(plan.shards)
            ],
            "splits": {
                split: {
                    "cases": len(plan.cases_of(split)),
                    "subjects": len({case.subject_id for case in plan.cases_of(split)}),
                }
                for split in SPLITS
            },
        }


def plan_run(request: PlanRequest, output_uri: str, *, force: bool = False, dry_run: bool = False) -> Planned:
    """Make and store a plan, and find which of its work is finished.

    `force` removes the results of earlier runs: verdict and build summaries before receipts, so that an interruption
    never leaves a data set that looks published. `dry_run` stores nothing and removes nothing.
    """
    if force and dry_run:
        raise UsageError("--force and --dry-run exclude each other.", fix="leave out one of them.")
    refuse_locations(request.input, output_uri)
    plan = settled_plan(request, output_uri)
    if request.parent is not None:
        if force and plan.dataset_id == request.parent.dataset_id:
            raise UsageError(
                f"There are no new cases to append to {plan.dataset_id}; --force would remove that data set's results.",
                fix="leave out --force.",
            )
        _log_growth(request.parent, plan)
    _warn_of_missing_rows(plan)
    _warn_of_limits(plan)
    output = Storage(output_uri, create=True)
    if not dry_run:
        _store(plan, output, force=force)
    return Planned(
        plan=plan,
        output=output,
        uri=output.uri_of(plan.path),
        dataset_uri=output.uri_of(dataset_folder(plan.dataset_id)),
        finished=finished_cases(plan, output),
        up_to_date=is_up_to_date(output, plan),
    )


def settled_plan(request: PlanRequest, output_uri: str) -> Plan:
    """Make a plan that knows its output: which recordings were harmonized there, and how its data set is published.

    It writes nothing: a plan that is refused leaves no folder behind.
    """
    uri = normalized_uri(output_uri)
    if not uri.startswith("s3://") and not Path(uri).is_dir():
        return make_plan(request)
    output = Storage(uri)
    return described_as_published(output, make_plan(replace(request, output=output)))


def _store(plan: Plan, output: Storage, *, force: bool) -> None:
    for folder in (HARMONIZED, RUNS, DATASETS):  # unfinished writes of killed processes
        output.sweep(folder, of=made_by_vitalprep)
    store_plan(plan, output)
    if force:  # the verdict first: what is half removed must not count as proved
        names = [dataset_path(plan.dataset_id, VERDICT)]
        names += [build_summary_path(plan.dataset_id, split) for split in SPLITS]
        names += [receipt_path(plan.stem(case.case_id)) for case in plan.cases]
        names += [progress_path(plan.path, index) for index in range(len(plan.shards))]
        output.delete(names)
        log("force: receipts, build summaries and verdict removed", dataset_id=plan.dataset_id)


def _log_growth(parent: Plan, plan: Plan) -> None:
    """Log how an appended data set differs from its parent. A missing case is a warning."""
    before = parent.by_id
    new = plan.by_id.keys() - before.keys()
    gone = sorted(before.keys() - plan.by_id.keys())
    changed = sum(_facts(case) != _facts(before.get(case.case_id, case)) for case in plan.cases)
    log(
        f"appending to {parent.dataset_id}: {len(new)} new cases, {changed} changed",
        parent=parent.dataset_id,
        new=len(new),
        changed=changed,
        gone=len(gone),
    )
    if gone:
        log(
            f"cases {short_case_list(gone)} of {parent.dataset_id} are no longer in {plan.input}: the new data set "
            "will lack them",
            level=logging.WARNING,
            gone=len(gone),
        )


def _facts(case: PlannedCase) -> tuple[object, ...]:
    return case.input_id, case.subject_id, case.static, case.static_origin, case.body


def _warn_of_missing_rows(plan: Plan) -> None:
    """Name the first recordings that cannot be used because the clinical table has no row of their case."""
    cases = [case.case_id for case in plan.excluded if case.reason == "no_clinical_row"]
    if cases:
        log(
            f"{len(cases)} of {len(plan.cases) + len(cases)} cases with a recording have no row in the clinical table "
            f"and are left out: {shortened(short_case_list(cases), LONGEST_SHOWN)}",
            level=logging.WARNING,
            no_clinical_row=len(cases),
        )


def _warn_of_limits(plan: Plan) -> None:
    """Name the cases whose clinical value a static's limits dropped."""
    for item in plan.config.statics:
        cases = plan.outside_limits.get(item.name)
        if cases and item.limits:
            low, high = item.limits
            log(
                f"statics.{item.name}.limits [{low:g}, {high:g}] drop the value of column {item.table_column} in "
                f"{len(cases)} of {len(plan.cases)} cases: {short_case_list(cases)}; "
                f"{'its' if len(cases) == 1 else 'their'} records hold the default {item.default:g}",
                level=logging.WARNING,
                static=item.name,
                dropped=len(cases),
            )
