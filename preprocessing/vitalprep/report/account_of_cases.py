"""Outcomes of the cases: the funnel from requested to written, and one line for each case."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from vitalprep.contract.accounting import UNREADABLE, Account
from vitalprep.contract.build_summary import CaseOutcome
from vitalprep.contract.finished import FinishedCase
from vitalprep.contract.plan import Plan

__all__ = ["CaseLine", "FunnelStep", "case_lines", "funnel", "observed_share", "reasons_of"]

STEPS = (
    ("Recording found", ("raw_object_missing",)),
    ("No fault found in the recording", UNREADABLE),  # what the success rate counts
    ("Clinical row and a signal found", ("no_clinical_row", "no_signal")),
    ("Windows written", ("too_short", "no_window")),
)


@dataclass(frozen=True)
class FunnelStep:
    """Cases left after a step, and cases excluded at it, by reason."""

    name: str
    left: int
    lost: dict[str, int]


@dataclass(frozen=True)
class CaseLine:
    """One requested case.

    Attributes
    ----------
    seconds : int or None
        Length of its harmonized table.
    left_out : int
        Windows left out because nothing, or too little, was observed in them.
    observed : float or None
        Share of the seconds of its vitals with a value.
    detail : str
        Why it was excluded, as its receipt says.
    example : bool
        Whether the gallery shows it.
    """

    case_id: int
    split: str
    reason: str
    seconds: int | None
    windows: int
    left_out: int
    observed: float | None
    conflicts: int
    object: str
    detail: str
    example: bool

    @property
    def outcome(self) -> str:
        """``written`` or ``excluded``."""
        return "excluded" if self.reason else "written"


def funnel(requested: int, excluded: dict[str, int]) -> list[FunnelStep]:
    """Return the cases left after each step. The cases of the last step are written."""
    left = requested
    steps = [FunnelStep("Requested", left, {})]
    for name, reasons in STEPS:
        lost = {reason: excluded[reason] for reason in reasons if excluded.get(reason)}
        left -= sum(lost.values())
        steps.append(FunnelStep(name, left, lost))
    return steps


def observed_share(receipt: FinishedCase, vitals: list[str]) -> float | None:
    """Return the share of observed seconds of a case, averaged over the vital signs."""
    if not receipt.seconds or not receipt.features:
        return None
    live = sum(sum(receipt.features[name].live_seconds.values()) for name in vitals if name in receipt.features)
    return live / (receipt.seconds * len(vitals)) if vitals else None


def case_lines(plan: Plan, account: Account, examples: set[int], *, most: int) -> tuple[list[CaseLine], int]:
    """Return at most `most` lines, by case number, and how many cases are left out. Excluded cases take precedence."""
    vitals = [item.name for item in plan.config.inputs if item.vital and item.combine == "first"]
    lines = [CaseLine(case.case_id, "", case.reason, None, 0, 0, None, 0, "", "", False) for case in plan.excluded]
    for case in plan.cases:
        outcome = account.outcomes.get(case.case_id, CaseOutcome(case_id=case.case_id))
        receipt = account.receipts.get(case.case_id)
        lines.append(
            CaseLine(
                case_id=case.case_id,
                split=case.split,
                reason=outcome.reason or "",
                seconds=receipt.seconds if receipt else None,
                windows=outcome.windows,
                left_out=outcome.left_out,
                observed=observed_share(receipt, vitals) if receipt else None,
                conflicts=len(receipt.unit_conflicts) if receipt else 0,
                object="; ".join(file.object for file in case.files),
                detail=(receipt.detail or "") if receipt else "",
                example=case.case_id in examples,
            )
        )
    lines.sort(key=lambda line: (line.outcome == "written" and not line.example, line.case_id))
    kept = sorted(lines[:most], key=lambda line: line.case_id)
    return kept, len(lines) - len(kept)


def reasons_of(lines: list[CaseLine]) -> list[str]:
    """Return the reasons that occur, most frequent first."""
    return [reason for reason, _ in Counter(line.reason for line in lines if line.reason).most_common()]
