"""What is said of a data set without windows: what left them out, and which key did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep


@pytest.mark.parametrize(
    ("setting", "words", "key"),
    [
        ("windowing.min_observed_inputs=16", "in which no input, or too few, were observed", "min_observed_inputs"),
        ("windowing.min_target_observed=1", "observed too little", "windowing.min_target_observed"),
    ],
)
def test_windowing_that_leaves_out_everything_is_named(
    recordings: Path, tmp_path: Path, setting: str, words: str, key: str
) -> None:
    arguments = ("--input", recordings, "--output", tmp_path, "--cases", "1-8", "--set", setting)
    answer = run_vitalprep("run", *arguments, "--set", "split.allow_empty=true")
    assert answer.exit_code == 65
    assert "has 0 windows; excluded: no_window 8. Windows left out: " in answer.result["message"]
    assert words in answer.result["message"]
    assert "less than the required" not in answer.result["message"]
    assert answer.result["fix"].startswith("lower windowing.")
    assert key in answer.result["fix"]
    assert len(list(tmp_path.glob("datasets/*/report.html"))) == 1, "the fix names it"
