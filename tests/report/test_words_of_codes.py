"""Every reason and every warning has its words wherever the report or the card shows it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from tests.report.html_page import parsed
from tests.report.synthetic import excluded_receipt, planned_case, stored
from vitalprep.contract.left_out import WHY, Reason
from vitalprep.contract.paths import receipt_path
from vitalprep.contract.reasons import REASONS
from vitalprep.contract.warning import Code, DataWarning, Level
from vitalprep.report.account_of_cases import funnel
from vitalprep.report.headings import headings
from vitalprep.report.report import case_html, report_html
from vitalprep.report.thresholds import Thresholds
from vitalprep.runtime.errors import ReasonCode

OF_PLAN = ("raw_object_missing", "no_clinical_row")


def test_every_reason_has_a_meaning_and_a_fix() -> None:
    assert REASONS.keys() == set(get_args(ReasonCode))
    assert all(words.meaning and words.fix.endswith(".") for words in REASONS.values())


def test_every_reason_is_a_step_of_the_funnel() -> None:
    reasons = get_args(ReasonCode)
    steps = funnel(len(reasons), dict.fromkeys(reasons, 1))
    assert sorted(reason for step in steps for reason in step.lost) == sorted(reasons)
    assert steps[-1].left == 0


@pytest.mark.parametrize("level", get_args(Level))
def test_every_warning_has_a_heading(level: Level) -> None:
    assert headings(level, Thresholds()).keys() == set(get_args(Code))


def test_every_way_to_leave_out_a_recording_has_words() -> None:
    assert WHY.keys() == set(get_args(Reason))


@pytest.mark.parametrize("reason", [reason for reason in get_args(ReasonCode) if reason not in OF_PLAN])
def test_the_report_and_the_page_of_a_case_say_why_it_is_excluded(reason: ReasonCode, tmp_path: Path) -> None:
    case = planned_case(1, "train")
    receipt = excluded_receipt(case, "a detail", reason)
    data = stored(tmp_path, [case], {1: receipt}, gone=1)
    data.output.put(receipt_path(data.plan.stem(1)), receipt.to_bytes())
    losses = [loss for lost in parsed(report_html(data, [])).all("ul", class_="lost") for loss in lost.all("li")]
    said = {loss.one("code").text: loss.one("span").text for loss in losses}
    assert said[reason] == REASONS[reason].meaning
    assert REASONS[reason].fix in parsed(case_html(data, 1)).one("section", id="outcome").text


@pytest.mark.parametrize("level", get_args(Level))
def test_every_warning_is_shown(level: Level, tmp_path: Path) -> None:
    case = planned_case(1, "train")
    warnings = [
        DataWarning(code=code, level=level, item="HR", values={"train": 0.5}, message=code) for code in get_args(Code)
    ]
    page = parsed(report_html(stored(tmp_path, [case], {1: excluded_receipt(case, "a detail")}), warnings))
    shown = [line.attributes.get("data-code") for line in page.one("section", id="warnings").all("li")]
    assert sorted(filter(None, shown)) == sorted(get_args(Code))
