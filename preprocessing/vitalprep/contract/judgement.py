"""Whether the numbers of a run are good enough to publish its data set."""

from __future__ import annotations

from typing import NamedTuple

from vitalprep.contract.accounting import Accounting
from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan

__all__ = [
    "Objection",
    "objection_to",
]


class Objection(NamedTuple):
    """What stands against publishing a data set, and what to do about it."""

    problem: str
    fix: str


def objection_to(plan: Plan, accounting: Accounting) -> Objection | None:
    """Return what stands against publishing a plan's data set, or None."""
    limits = plan.config.validation
    if accounting.success_rate < limits.min_success_rate:
        return Objection(
            f"Only {accounting.success_rate:.1%} of {accounting.present} recordings have no fault, less than the "
            f"{limits.min_success_rate:.0%} demanded; excluded: {_counts(accounting)}.",
            "look at the receipts of the excluded cases, or lower validation.min_success_rate.",
        )
    if accounting.unbuilt:
        return Objection(
            f"The {' and '.join(accounting.unbuilt)} split is not built.{_lost(plan, accounting)}",
            "retry the failed harmonize shard or build with what follows it (in Airflow: clear with downstream).",
        )
    if not accounting.adds_up:
        return Objection(
            f"The accounting does not add up: {accounting.requested} cases requested, {accounting.written} written, "
            f"excluded: {_counts(accounting)}.",
            "plan and run again with --force; if it stays, report it.",
        )
    empty = [split for split in SPLITS if not accounting.windows.get(split)]
    if empty and not plan.config.split.allow_empty:
        return Objection(
            f"The {' and '.join(empty)} split has no window; excluded: {_counts(accounting)}.",
            "give more or longer cases, or --set split.allow_empty=true.",
        )
    windows = sum(accounting.windows.values())
    if windows < limits.min_windows or not windows:
        return Objection(
            f"The data set has {windows} windows, less than the {max(limits.min_windows, 1)} demanded.",
            "give more cases, or lower validation.min_windows.",
        )
    return None


def _lost(plan: Plan, accounting: Accounting) -> str:
    if not accounting.unfinished:
        return ""
    shards = ", ".join(map(str, plan.shards_of(accounting.unfinished)))
    return f" Cases {short_case_list(accounting.unfinished)} are not harmonized (shards {shards})."


def _counts(accounting: Accounting) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in accounting.excluded.items()) or "none"
