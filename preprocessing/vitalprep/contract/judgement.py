"""Decides whether a run's accounting allows publishing its data set."""

from __future__ import annotations

from typing import NamedTuple

from vitalprep.contract.accounting import Accounting
from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.paths import SPLITS
from vitalprep.contract.plan import Plan
from vitalprep.contract.profiles import profile_options

__all__ = [
    "Objection",
    "objection_to",
]


class Objection(NamedTuple):
    """A reason not to publish a data set, and how to fix it."""

    problem: str
    fix: str


def objection_to(plan: Plan, accounting: Accounting) -> Objection | None:
    """Return the first reason not to publish a plan's data set, or None."""
    limits = plan.config.validation
    if accounting.success_rate < limits.min_success_rate:
        return Objection(
            f"Only {accounting.success_rate:.1%} of {accounting.present} recordings are readable, less than the "
            f"required {limits.min_success_rate:.0%}; excluded: {_counts(accounting)}.",
            f"check the receipts of the excluded cases{_salvage(plan, accounting)}, or lower "
            "validation.min_success_rate.",
        )
    if accounting.unbuilt:
        return Objection(
            f"The {' and '.join(accounting.unbuilt)} split is not built.{_lost(plan, accounting)}",
            "retry the failed harmonize shard or build and the stages after it (in Airflow: clear with downstream).",
        )
    if not accounting.adds_up:
        return Objection(
            f"The accounting does not add up: {accounting.requested} cases requested, {accounting.written} written, "
            f"excluded: {_counts(accounting)}.",
            "plan and run again with --force; if the error persists, report it.",
        )
    empty = [split for split in SPLITS if not accounting.windows.get(split)]
    if empty and not plan.config.split.allow_empty:
        return Objection(
            f"The {' and '.join(empty)} split has no windows; excluded: {_counts(accounting)}.{_left_out(accounting)}",
            f"{_mapping(accounting)}{_demanding(accounting)}add more or longer cases, or use --set "
            "split.allow_empty=true.",
        )
    windows = sum(accounting.windows.values())
    least = limits.min_windows
    if windows < least or not windows:
        each = "see in report.html of the data set what became of each case."
        return Objection(
            f"The data set has {windows} windows{f', less than the required {least}' if least else ''}"
            f"; excluded: {_counts(accounting)}.{_left_out(accounting)}",
            f"{_mapping(accounting)}{_demanding(accounting)}"
            f"{'add more cases, or lower validation.min_windows.' if least else each}",
        )
    return None


def _salvage(plan: Plan, accounting: Accounting) -> str:
    if plan.config.reading.salvage or not accounting.excluded.get("truncated"):
        return ""
    return ", use unfinished files up to their last whole packet (--set reading.salvage=true)"


def _mapping(accounting: Accounting) -> str:
    """Return what to do if recordings hold no signal that the configuration names; it begins the fix."""
    if not accounting.excluded.get("no_signal"):
        return ""
    return (
        "see which tracks the recordings have (`vitalprep inspect`), and map them with a packaged profile "
        f"({profile_options()}) or a configuration of your own; else "
    )


def _left_out(accounting: Accounting) -> str:
    """Return how many windows were left out because too little of them was observed."""
    unobserved, dropped = sum(accounting.windows_unobserved.values()), sum(accounting.windows_dropped.values())
    if not unobserved + dropped:
        return ""
    return (
        f" Windows left out: {unobserved} in which no input, or too few, were observed, {dropped} observed too little."
    )


def _demanding(accounting: Accounting) -> str:
    """Return which keys left windows out; it goes before the fix."""
    keys = []
    if sum(accounting.windows_unobserved.values()):
        keys.append("windowing.min_observed_inputs")
    if sum(accounting.windows_dropped.values()):
        keys.append("windowing.min_observed_fraction or windowing.min_target_observed")
    return f"lower {' or '.join(keys)} if they demand too much; else " if keys else ""


def _lost(plan: Plan, accounting: Accounting) -> str:
    if not accounting.unfinished:
        return ""
    shards = ", ".join(map(str, plan.shards_of(accounting.unfinished)))
    return f" Cases {short_case_list(accounting.unfinished)} are not harmonized (shards {shards})."


def _counts(accounting: Accounting) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in accounting.excluded.items()) or "none"
