"""Recordings of devices that the configuration does not name: the run says which profile lists their tracks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline import receipts, run_vitalprep
from tests.run.hand_made import input_of, recording

SECONDS = range(0, 700, 5)
HEART_RATE = [(second, 75.0) for second in SECONDS]
VITALDB = recording({"Solar8000/HR": HEART_RATE, "Solar8000/RR": [(second, 12.0) for second in SECONDS]})
CARESCAPE = {
    "Orchestra/PPF20_RATE": [(second, 21.0) for second in SECONDS],
    "Bx50/HR": HEART_RATE,
    "Bx50/TEMP": [(second, 36.0) for second in SECONDS],
    "Bx50/NIBP_SBP": [(30, 120.0)],
}
DRAEGER = recording({"Infinity/HR": HEART_RATE})
OPTIONS = ("--workers", "1", "--set", "split.allow_empty=true")


def _warned(warnings: list[dict[str, object]]) -> dict[object, dict[str, object]]:
    return {one["item"]: one for one in warnings if one["code"] == "known_track_unused"}


def test_known_tracks_are_named_by_profile_with_inputs_and_cases(tmp_path: Path) -> None:
    two = {**CARESCAPE, "Bx50/PLETH_HR": HEART_RATE}
    source = input_of(tmp_path / "in", {1: VITALDB, 2: recording(CARESCAPE), 3: DRAEGER, 5: recording(two)})
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out", *OPTIONS)
    assert answer.exit_code == 0, answer.result
    assert answer.result["excluded"] == {"no_signal": 1}
    warned = _warned(answer.result["warnings"])
    assert warned.keys() == {"carescape", "draeger"}
    assert (warned["carescape"]["cases"], warned["draeger"]["cases"]) == ([2, 5], [3])
    assert warned["carescape"]["message"] == (
        "The configuration does not name 3 tracks of cases 2,5 that the packaged profile carescape lists: Bx50/HR, "
        "Bx50/PLETH_HR for HR; Bx50/NIBP_SBP for BP_SYS. Their values are not used. Add --profile carescape, or name "
        "them as sources in a configuration of your own."
    )
    assert "1 track of case 3 that the packaged profile draeger lists: Infinity/HR for HR. Its values" in str(
        warned["draeger"]
    )
    (excluded,) = [one for one in receipts(tmp_path / "out").values() if one["reason"]]
    assert excluded["unused"] == [{"track": "Infinity/HR", "units": [""], "records": len(SECONDS)}]
    (line,) = [line for line in answer.log if line.get("code") == "known_track_unused"]
    assert "2 warnings, the worst: " in line["message"]
    assert "--profile carescape" in line["message"]
    report = Path(answer.result["dataset"], "report.html").read_text("utf-8")
    assert report.count('data-code="known_track_unused"') == 2


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--profile", "carescape"), {"draeger"}),
        (("--profile", "carescape", "--profile", "draeger"), set()),
    ],
)
def test_a_track_that_the_configuration_names_is_not_warned_of(
    tmp_path: Path, options: tuple[str, ...], left: set[str]
) -> None:
    source = input_of(tmp_path / "in", {1: VITALDB, 2: recording(CARESCAPE), 3: DRAEGER})
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out", *OPTIONS, *options)
    assert answer.exit_code == 0, answer.result
    assert _warned(answer.result["warnings"]).keys() == left


@pytest.mark.parametrize(
    ("cases", "options"),
    [(1, OPTIONS), (1, (*OPTIONS, "--set", "validation.min_windows=5")), (8, ("--workers", "1"))],
)
def test_where_no_recording_has_a_signal_the_fix_names_the_profiles(
    tmp_path: Path, cases: int, options: tuple[str, ...]
) -> None:
    source = input_of(tmp_path / "in", dict.fromkeys(range(1, cases + 1), DRAEGER))
    answer = run_vitalprep("run", "--input", source, "--output", tmp_path / "out", *options)
    assert answer.exit_code == 65
    assert "`vitalprep inspect`" in answer.result["fix"]
    assert "--profile carescape|draeger|intellivue" in answer.result["fix"]
    assert answer.result["fix"] in answer.last_message
    (line,) = [line for line in answer.log if line.get("code") == "known_track_unused"]
    assert "Infinity/HR for HR" in line["message"]
    excluded = [line["message"] for line in answer.log if line.get("reason") == "no_signal"]
    assert len(excluded) == cases
    assert all(message.endswith("; --profile draeger lists Infinity/HR") for message in excluded)
