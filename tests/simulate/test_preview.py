"""The preview picture of a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.pipeline import run_vitalprep

image = pytest.importorskip("matplotlib.image", reason="pictures need matplotlib (the extra `preview`)")


@pytest.mark.parametrize("case_id", [1, 2])
def test_a_picture_shows_sixteen_signals_in_colour(tmp_path: Path, case_id: int) -> None:
    path = tmp_path / "case.png"
    answer = run_vitalprep("simulate", "--preview", path, "--case", str(case_id), "--hours", "1")
    assert answer.exit_code == 0
    assert answer.result["case"] == case_id
    pixels = image.imread(path)
    assert pixels.shape[0] > 800
    assert pixels.shape[1] > 1000
    colours, counts = np.unique((pixels[..., :3] * 16).astype(int).reshape(-1, 3), axis=0, return_counts=True)
    assert len(colours[counts > 200]) > 12  # phases, signals and what is held have colours of their own
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_case_is_drawn_alike_and_others_are_not(tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        run_vitalprep("simulate", "--preview", tmp_path / name, "--seed", str(seed), "--hours", "0.2")
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_case_is_drawn_as_the_monitors_of_a_profile_record_it(tmp_path: Path) -> None:
    drawn = []
    for options in ((), ("--profile", "draeger"), ("--profile", "carescape")):  # the last has no BIS
        path = tmp_path / f"{len(drawn)}.png"
        assert run_vitalprep("simulate", "--preview", path, "--seed", "1", "--hours", "0.2", *options).exit_code == 0
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_drawings_scale(tmp_path: Path) -> None:
    path = tmp_path / "case.svg"
    assert run_vitalprep("simulate", "--preview", path, "--hours", "0.3").exit_code == 0
    assert path.read_text("utf-8").count("<path") > 50


@pytest.mark.parametrize(
    ("name", "exit_code", "message"),
    [("case.jpeg2000", 2, "has no picture extension"), ("case", 2, "has no picture extension"),
     ("missing/case.png", 1, "Could not write")],
)  # fmt: skip
def test_invalid_picture_paths_are_one_clear_message(tmp_path: Path, name: str, exit_code: int, message: str) -> None:
    answer = run_vitalprep("simulate", "--preview", tmp_path / name, "--hours", "0.1")
    assert answer.exit_code == exit_code
    assert message in answer.result["message"]
    assert not list(tmp_path.iterdir())


def test_bad_cases_are_refused(tmp_path: Path) -> None:
    answer = run_vitalprep("simulate", "--preview", tmp_path / "case.png", "--case", "0")
    assert (answer.exit_code, "case number is 0" in answer.result["message"]) == (2, True)
