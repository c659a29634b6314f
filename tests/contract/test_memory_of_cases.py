"""What is kept of each case is little, and says the same as the documents that it was taken from."""

from __future__ import annotations

import json
import tracemalloc
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.synthetic import CONFIG, excluded_receipt, planned_case, receipt, sketch, stored
from vitalprep.contract.accounting import account
from vitalprep.contract.build_summary import BuildSummary, CaseCoverage, CaseOutcome
from vitalprep.contract.finished import FinishedCase
from vitalprep.contract.paths import receipt_path
from vitalprep.contract.plan import Plan, PlannedCase
from vitalprep.contract.receipt import CaseResult, UnitConflict, UnusedTrack, each_receipt, results_of
from vitalprep.report.duplicates import near_duplicates
from vitalprep.runtime.errors import RefusedError

CASES = 500


def _taken(make: Callable[[], object]) -> tuple[float, float]:
    """Bytes a case that are still taken when the result is there, and that were taken at the most."""
    tracemalloc.start()
    try:
        found = make()
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found is not None
    return now / CASES, most / CASES


def test_a_finished_case_says_what_its_receipt_says() -> None:
    case = planned_case(7, "train")
    conflicts = (UnitConflict(track="Orchestra/PPF20_RATE", unit="mL/min"),)
    full = receipt(case, unit_conflicts=conflicts)
    kept = FinishedCase.of(full)
    assert kept.features.keys() == full.features.keys()
    for name, quality in full.features.items():
        assert kept.features[name] == (quality.live_seconds, quality.implausible)
        assert list(kept.features[name].live_seconds) == list(quality.live_seconds), "in the same order"
    assert "nothing of the kind" not in kept.features
    assert (kept.status, kept.seconds, kept.timings) == ("ok", full.seconds, full.timings)
    assert (kept.values_digest, kept.unit_conflicts) == (full.values_sha256, conflicts)
    excluded = FinishedCase.of(excluded_receipt(case, "late"))
    assert (excluded.status, excluded.reason, excluded.detail) == ("excluded", "corrupt", "late")
    assert dict(excluded.features) == {}


def test_receipts_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [planned_case(number, "train") for number in range(1, 31)]
    data = stored(tmp_path, cases, {case.case_id: receipt(case) for case in cases})
    for case in cases:
        data.output.put(receipt_path(data.plan.stem(case.case_id)), receipt(case).to_bytes())
    read, get = [], data.output.get
    monkeypatch.setattr(data.output, "get", lambda path, **more: (read.append(path), get(path, **more))[1])
    monkeypatch.setattr("vitalprep.contract.receipt.READ_AHEAD", 4)
    found = each_receipt(data.plan, data.output, [case.case_id for case in cases])
    assert next(found)[0] == 1
    assert len(read) <= 4, "and not all 30"
    assert [(case, one.case_id) for case, one in found] == [(number, number) for number in range(2, 31)]
    assert len(read) == 30
    assert {one.seconds for one in results_of(data.plan, data.output, cases).values()} == {9900}


def test_of_unused_tracks_only_the_numbers_of_cases_with_a_known_one_are_kept(tmp_path: Path) -> None:
    """Only the names of tracks that a packaged profile lists, each once, and 8 bytes for each case that has one."""
    names = ("Bx50/HR", "Infinity/SOME", *(f"Mine/T{number}" for number in range(100)))
    unused = tuple(UnusedTrack(track=name, units=("1",), records=9) for name in names)
    cases = [planned_case(number, "train") for number in range(1, 41)]
    whole = {case.case_id: receipt(case, unused=unused[case.case_id % 2 :], unused_tracks=101) for case in cases}
    data = stored(tmp_path, cases, whole)
    for case in cases:
        data.output.put(receipt_path(data.plan.stem(case.case_id)), whole[case.case_id].to_bytes())
    found = account(data.plan, data.output).unnamed
    assert {track: list(those) for track, those in found.items()} == {"Bx50/HR": list(range(2, 41, 2))}
    assert all(isinstance(those, array) for those in found.values())


def test_results_of_cases_are_small() -> None:
    cases = [planned_case(number, "train") for number in range(1, CASES + 1)]
    kept, _ = _taken(lambda: [CaseResult.of(receipt(case)) for case in cases])
    assert kept < 600, "a receipt has 24 kB, and without its features 2.2 kB"


def test_finished_cases_are_small() -> None:
    cases = [planned_case(number, "train") for number in range(1, CASES + 1)]
    kept, _ = _taken(lambda: [FinishedCase.of(receipt(case)) for case in cases])
    assert kept < 2000, "a receipt has 28 kB"


def test_a_plan_is_small_and_drops_its_json() -> None:
    content: Any = [planned_case(number, "train").content() for number in range(1, CASES + 1)]
    kept, _ = _taken(lambda: [PlannedCase.model_validate(case) for case in content])
    assert kept < 1000
    plan = Plan(
        dataset_id="0" * 12, harmonize_digest="0" * 12, input="/in", config=CONFIG, excluded=(), shards=(),
        cases=tuple(PlannedCase.model_validate(case) for case in content),
    )  # fmt: skip

    def forgotten() -> str:
        path = plan.path
        plan.forget_json()
        return path

    kept, most = _taken(forgotten)
    assert kept < 100 < most
    assert Plan.from_bytes(plan.to_bytes(), uri="here") == plan


def test_unrelated_sketches_take_little_to_compare() -> None:
    sketches = {number: sketch(number) for number in range(1, CASES + 1)}
    _, most = _taken(lambda: near_duplicates(dict.fromkeys(sketches), sketches))
    assert most < 3000, "an index of all their hashes has 10 kB a case"


def _summary(coverage: Any) -> BuildSummary:
    outcome = CaseOutcome(case_id=3, seconds=340, windows=1)
    return BuildSummary(
        dataset_id="x", split="train", files=(), cases=(outcome,), statistics={}, coverage=coverage
    )  # fmt: skip


def test_coverage_is_kept_in_arrays_and_stored_as_before() -> None:
    coverage = {20: CaseCoverage(4, 5, 6, 7), 3: CaseCoverage(1, 2, 3, 4), 100: CaseCoverage(0, 9, 0, 0)}
    summary = _summary({"HR": coverage, "BIS": {}})
    assert json.loads(summary.to_bytes())["coverage"] == {
        "HR": {"3": [1, 2, 3, 4], "20": [4, 5, 6, 7], "100": [0, 9, 0, 0]},
        "BIS": {},
    }
    again = BuildSummary.from_bytes(summary.to_bytes(), uri="here")
    assert again == summary
    assert dict(again.coverage["HR"]) == dict(again.coverage["HR"].items()) == coverage
    assert again.coverage["HR"][3].before == 2
    assert [case in again.coverage["HR"] for case in (3, 4, 101)] == [True, False, False]
    many = {number: CaseCoverage(9000, number, 1000, 1000) for number in range(1, CASES + 1)}
    text = _summary({item.name: many for item in CONFIG.inputs}).to_bytes()
    kept, _ = _taken(lambda: BuildSummary.from_bytes(text, uri="here"))
    assert kept < 1000, "tuples have 4 kB"


@pytest.mark.parametrize(
    ("coverage", "said"),
    [
        ({"HR": {"3": [1, 2, 3]}}, "coverage.HR.3.3: Field required"),
        ({"HR": {"x": [1, 2, 3, 4]}}, "coverage.HR.x"),
        ({"HR": {"3": [1, 2, 3, 10**30]}}, "does not fit into 64 bits"),
        ({"HR": 3}, "coverage.HR"),
    ],
)
def test_damaged_coverage_is_refused(coverage: Any, said: str) -> None:
    content = json.loads(_summary({}).to_bytes()) | {"coverage": coverage}
    with pytest.raises(RefusedError, match=said):
        BuildSummary.from_bytes(json.dumps(content).encode(), uri="here")


def test_cases_share_the_names_of_their_fields_and_keep_their_own() -> None:
    one, two = CaseOutcome(case_id=1, windows=2), CaseOutcome(case_id=2, windows=3)
    assert one.model_fields_set == two.model_fields_set == {"case_id", "windows"}
    assert CaseOutcome(case_id=3).model_fields_set == {"case_id"}
    changed = one.model_copy(update={"reason": "too_short"})
    assert (changed.reason, one.reason) == ("too_short", None)
    assert one.model_fields_set == {"case_id", "windows"}
