"""The account stage: counts the outcome of every case, stores the accounting, and judges it."""

from __future__ import annotations

from vitalprep.contract.accounting import Account, Accounting, account, store_accounting
from vitalprep.contract.judgement import objection_to
from vitalprep.contract.paths import accounting_path
from vitalprep.contract.plan import Plan
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import RefusedError
from vitalprep.storage import Storage

__all__ = ["account_run", "judge"]


def account_run(plan: Plan, output: Storage) -> Account:
    """Compute the accounting of a plan from its stored receipts and build summaries, store it, and return it."""
    found = account(plan, output)
    accounting = found.accounting
    store_accounting(accounting, output)
    log(
        f"{accounting.written} of {accounting.requested} cases written",
        written=accounting.written,
        requested=accounting.requested,
        excluded=accounting.excluded,
        success_rate=accounting.success_rate,
    )
    return found


def judge(plan: Plan, accounting: Accounting, output: Storage) -> None:
    """Refuse to publish a data set that does not meet its validation limits.

    Raises
    ------
    RefusedError
        If cases are unfinished, the success rate or the number of windows is too low, or a split is empty.
    """
    found = objection_to(plan, accounting)
    if found:
        where = output.uri_of(accounting_path(plan.dataset_id))
        raise RefusedError(f"{found.problem} The data set is not published; see {where}.", fix=found.fix)
