"""Injected damage: the requested shares, the list of damages, and the pipeline's exclusions."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep
from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.damage import DAMAGES, damage_of, damaged_hours, parse_damage
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

EVERY = dict.fromkeys(DAMAGES, 0.1)
OPTIONS = SimulationOptions(seed=6, cases=40, hours=0.12, spread=0.1, damage=EVERY)


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoilt")
    simulate_folder(folder, OPTIONS, workers=2)
    return folder


def listed(folder: Path) -> dict[int, dict[str, object]]:
    return {case["case_id"]: case for case in json.loads((folder / "damage.json").read_text("utf-8"))["cases"]}


def test_the_pipeline_excludes_every_damaged_case_for_its_reason_and_no_other(spoilt: Path, tmp_path: Path) -> None:
    damages = listed(spoilt)
    assert {case["damage"] for case in damages.values()} == set(DAMAGES)
    lenient = ("--set", "validation.min_success_rate=0", "--set", "split.allow_empty=true")
    answer = run_vitalprep("run", "--input", spoilt, "--output", tmp_path / "out", *lenient)
    assert answer.exit_code == 0
    with Path(answer.result["dataset"], "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["case_id"]): row for row in csv.DictReader(file)}
    assert list(rows) == list(range(1, 41))
    for case_id, row in rows.items():
        if case_id in damages:
            assert row["reason"] in damages[case_id]["expected"], (case_id, damages[case_id], row)  # type: ignore[operator]
        else:
            assert row["reason"] == "", row
            assert int(row["windows"]) > 0


def test_a_damage_that_no_case_gets_is_counted_and_said(tmp_path: Path) -> None:
    damage = ("--damage", "truncated=0.0001,unit=0.9999")
    answer = run_vitalprep("simulate", "--output", tmp_path / "set", "--cases", "2", "--hours", "0.1", *damage)
    assert answer.exit_code == 0
    assert answer.result["damaged"] == {"truncated": 0, "unit": 2}
    assert [line["damage"] for line in answer.log if "no case is damaged" in line["message"]] == ["truncated"]


def test_shares_are_those_asked_for_and_no_case_is_damaged_twice() -> None:
    shares = parse_damage("truncated=0.01, bitflip=0.005,unit=0.2")
    assert shares == {"truncated": 0.01, "bitflip": 0.005, "unit": 0.2}
    counts = Counter(damage_of(1, case_id, shares) for case_id in range(1, 10_001))
    for damage, share in shares.items():
        assert abs(counts[damage] - 10_000 * share) <= 4 * (10_000 * share * (1 - share)) ** 0.5
    assert counts[None] == 10_000 - sum(counts[damage] for damage in shares)
    assert {damage_of(1, case_id, {"short": 1.0}) for case_id in range(1, 50)} == {"short"}
    assert {damage_of(1, case_id, {}) for case_id in range(1, 50)} == {None}


def test_a_short_case_has_no_room_for_a_window() -> None:
    lengths = [damaged_hours(1, case_id, 2.0, "short") * 3600 for case_id in range(1, 101)]
    assert 30 <= min(lengths) < max(lengths) < 331
    assert damaged_hours(1, 1, 2.0, "unit") == 2.0


def test_damaged_cases_stay_the_same_when_the_set_grows(spoilt: Path, tmp_path: Path) -> None:
    simulate_folder(tmp_path, replace(OPTIONS, cases=5))
    simulate_folder(tmp_path, replace(OPTIONS, cases=5), append=True)
    assert listed(tmp_path) == {case_id: case for case_id, case in listed(spoilt).items() if case_id <= 10}
    for case_id in range(1, 11):
        name = f"raw-data/{case_id:04d}.vital"
        assert (tmp_path / name).read_bytes() == (spoilt / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scratched=0.1", "Unknown damage 'scratched'"),
        ("truncated", "chance of truncated is ''"),
        ("truncated=some", "chance of truncated is 'some'"),
        ("truncated=2", "chance of truncated is 2"),
        ("truncated=-0.1", "chance of truncated is -0.1"),
        ("truncated=nan", "chance of truncated is nan"),
        ("truncated=0.1,truncated=0.1", "given twice"),
        ("truncated=0.6,unit=0.6", "add up to 1.2"),
        ("=0.5", "Unknown damage ''"),
    ],
)
def test_impossible_damage_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_damage(text)
