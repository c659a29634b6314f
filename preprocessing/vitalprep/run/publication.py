"""What ``vitalprep publish`` does: accounts for every case, checks the result, writes the report and descriptions."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vitalprep.account.stage import account_run, judge
from vitalprep.contract.accounting import Account, Accounting
from vitalprep.contract.paths import REPORT, dataset_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.verdict import read_verdict
from vitalprep.contract.warning import DataWarning
from vitalprep.publish.stage import content_of, publish
from vitalprep.report.report import Stored, report_html
from vitalprep.report.warnings import warnings_of
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, VitalprepError
from vitalprep.storage import Storage

__all__ = ["account_and_publish"]


def account_and_publish(plan: Plan, output: Storage) -> Accounting:
    """Write the accounting, check it, and write the files that describe the data set.

    The accounting is always written. The report is written even if the data set is refused.

    Raises
    ------
    RefusedError
        If cases are unfinished, the success rate or the number of windows is too low, or a split is empty.
    """
    found = account_run(plan, output)
    try:
        judge(plan, found.accounting, output)
    except RefusedError:
        _report_refused(plan, found, output)
        raise
    warnings = warnings_of(plan, found)
    _log_warnings(warnings, output.uri_of(dataset_path(plan.dataset_id, REPORT)))
    stored = Stored(plan, found, output, content_of(plan, found.summaries))
    publish(plan, output, found, warnings, report_html(stored, warnings))
    return found.accounting


def _log_warnings(warnings: Sequence[DataWarning], report: str) -> None:
    """Log one line for each code of warnings. Metadata and report hold all of them."""
    groups: dict[str, list[DataWarning]] = {}
    for warning in warnings:
        if warning.level == "warning":
            groups.setdefault(warning.code, []).append(warning)
    for code, found in groups.items():
        worst = max(found, key=lambda warning: warning.severity)
        if len(found) == 1:
            text = f"{code}: {worst.message} See {REPORT}."
        else:
            text = f"{code}: {len(found)} warnings, the worst: {worst.message} See {REPORT}."
        log(text, level=logging.WARNING, code=code, count=len(found), item=worst.item, report=report)


def _report_refused(plan: Plan, found: Account, output: Storage) -> None:
    """Write the report of a refused data set, which shows what became of its cases.

    A data set that was published before keeps its report when stricter thresholds refuse it.
    """
    verdict = read_verdict(output, plan.dataset_id)
    if found.accounting.unbuilt or not found.accounting.adds_up or (verdict and verdict.passed):
        return
    try:
        warnings = warnings_of(plan, found)
        output.put(dataset_path(plan.dataset_id, REPORT), report_html(Stored(plan, found, output), warnings))
        _log_warnings(warnings, output.uri_of(dataset_path(plan.dataset_id, REPORT)))
    except VitalprepError as error:  # the user has to see the refusal
        log(f"the report could not be written: {error}", level=logging.WARNING)
