"""What ``vitalprep publish`` does: account for every case, judge the result, draw the report, describe the data set."""

from __future__ import annotations

import logging

from vitalprep.account.stage import account_run, judge
from vitalprep.contract.accounting import Account, Accounting
from vitalprep.contract.paths import REPORT, dataset_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.verdict import read_verdict
from vitalprep.publish.stage import publish
from vitalprep.report.report import Stored, report_html
from vitalprep.report.warnings import warnings_of
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError, VitalprepError
from vitalprep.storage import Storage

__all__ = ["account_and_publish"]


def account_and_publish(plan: Plan, output: Storage) -> Accounting:
    """Write the accounting, judge it, and write the files that describe the data set.

    The accounting is written in any case, and the report also where the data set is refused.

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
    for warning in warnings:
        if warning.level == "warning":
            log(warning.message, level=logging.WARNING, code=warning.code)
    publish(plan, output, found, warnings, report_html(Stored(plan, found, output), warnings))
    return found.accounting


def _report_refused(plan: Plan, found: Account, output: Storage) -> None:
    """Write the report of a data set that is not published; it shows what became of its cases.

    A published data set keeps its report: stricter thresholds change nothing of it.
    """
    verdict = read_verdict(output, plan.dataset_id)
    if found.accounting.unbuilt or not found.accounting.adds_up or (verdict and verdict.passed):
        return
    try:
        page = report_html(Stored(plan, found, output), warnings_of(plan, found))
        output.put(dataset_path(plan.dataset_id, REPORT), page)
    except VitalprepError as error:  # the refusal itself is what the user has to see
        log(f"the report could not be written: {error}", level=logging.WARNING)
