"""Injected damage: the requested shares, the list of damages, and the pipeline's exclusions."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.pipeline import receipts, run_vitalprep
from vitalprep.contract.config_file import load_config
from vitalprep.contract.profiles import profile_names
from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.case import SimulatedCase, make_case
from vitalprep.simulate.damage import (
    DAMAGES,
    EXPECTED,
    Damage,
    DamageShares,
    damage_of,
    damaged,
    damaged_hours,
    parse_damage,
)
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder
from vitalprep.simulate.truth import MEASURED
from vitalprep.simulate.vital_writer import TrackOrder, encode_packet
from vitalprep.vital.recording import read_vital

CONFIG = load_config()
OF_TABLES = tuple(damage for damage in DAMAGES if EXPECTED[damage].outcomes == ("refused",))
EVERY: DamageShares = {damage: 0.075 for damage in DAMAGES if damage not in OF_TABLES}
OPTIONS = SimulationOptions(seed=6, cases=40, hours=0.12, spread=0.1, damage=EVERY)
LENIENT = ("--set", "validation.min_success_rate=0", "--set", "split.allow_empty=true")


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoilt")
    simulate_folder(folder, OPTIONS, workers=2)
    return folder


def listed(folder: Path) -> dict[int, dict[str, Any]]:
    return {case["case_id"]: case for case in json.loads((folder / "damage.json").read_text("utf-8"))["cases"]}


def case_of(case_id: int) -> SimulatedCase:
    return make_case(6, case_id, 0.12)


@pytest.mark.parametrize("salvage", [False, True], ids=["strict", "salvage"])
def test_the_pipeline_makes_of_every_damaged_case_what_is_said_and_excludes_no_other(
    salvage: bool, spoilt: Path, tmp_path: Path
) -> None:
    damages = listed(spoilt)
    assert {case["damage"] for case in damages.values()} == set(EVERY)
    options = (*LENIENT, "--set", "reading.salvage=true") if salvage else LENIENT
    answer = run_vitalprep("run", "--input", spoilt, "--output", tmp_path / "out", *options)
    assert answer.exit_code == 0
    dataset = Path(answer.result["dataset"])
    with (dataset / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["case_id"]): row for row in csv.DictReader(file)}
    written = receipts(tmp_path / "out")
    warnings = json.loads((dataset / "preprocessing_metadata.json").read_text("utf-8"))["warnings"]
    assert list(rows) == list(range(1, 41))
    for case_id, row in rows.items():
        case = damages.get(case_id, {"expected": ["written"]})
        expected = case["salvaged"] if salvage and "salvaged" in case else case["expected"]
        outcome = row["reason"] or row["outcome"]
        assert outcome in expected, (case, row)
        assert (int(row["windows"]) > 0) == (outcome == "written")
        assert case.get("receipt", {}).items() <= written.get(case_id, {}).items()
        warned = [warning for warning in warnings if case_id in warning["cases"]]
        assert ("two_devices" in {warning["code"] for warning in warned}) == (case.get("warning") == "two_devices")


def test_a_pause_of_days_has_no_windows_in_which_nothing_is_observed(tmp_path: Path) -> None:
    simulate_folder(tmp_path / "set", replace(OPTIONS, cases=1, truth=True, damage={"gap-of-days": 1}))
    answer = run_vitalprep("run", "--input", tmp_path / "set", "--output", tmp_path / "out", *LENIENT)
    assert answer.exit_code == 0
    (receipt,) = receipts(tmp_path / "out").values()
    days = receipt["seconds"] / 86_400
    assert 1 < days < 5.1
    truth = pq.read_table(tmp_path / "set" / "truth" / "0001.parquet")
    assert len(truth) == receipt["seconds"]
    measured = np.any([truth[name].to_numpy() == MEASURED for name in truth.column_names if "_origin" in name], axis=0)
    starts = range(0, len(truth) - 330, 30)
    assert answer.result["windows"]["train"] == sum(bool(measured[start : start + 300].any()) for start in starts)
    heart = truth["HR_patient"].to_numpy()
    assert np.isfinite(heart[:60]).all()
    assert np.isfinite(heart[-60:-1]).all()
    assert not np.isfinite(heart[len(heart) // 2])


def test_a_wrong_clock_is_days_or_years_from_the_records() -> None:
    errors = []
    for case_id in range(1, 30):
        case, data = damaged(case_of(case_id), "wrong-clock")
        recording = read_vital(data, reading=CONFIG.reading)
        assert recording.start_time == pytest.approx(case.form.start + case.form.clock_error)
        assert recording.set_by == "records"
        errors.append(case.form.clock_error / 86_400)
    assert 2 <= min(map(abs, errors)) < 30 < 365 < max(map(abs, errors)) <= 3650
    assert min(errors) < 0 < max(errors)


def test_an_unclosed_file_lacks_its_last_packet_alone() -> None:
    case, data = damaged(case_of(2), "unclosed-gzip")
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    content, whole = stream.decompress(data), gzip.decompress(case.encoded())
    assert not stream.eof
    last = len(whole) - len(encode_packet(TrackOrder(tuple(range(len(case.numerics) + 1)))))
    assert whole.startswith(content)
    assert last < len(content) < len(whole)
    salvaged = read_vital(data, reading=load_config(settings=["reading.salvage=true"]).reading)
    undamaged = read_vital(gzip.compress(whole)).numerics
    assert salvaged.salvaged
    assert salvaged.numerics.keys() == undamaged.keys()
    assert all(np.array_equal(salvaged.numerics[track].values, undamaged[track].values) for track in undamaged)


def test_other_devices_are_in_no_configuration() -> None:
    case, data = damaged(case_of(3), "other-devices")
    known = {
        source.track.split("/")[0] for item in load_config(profiles=profile_names()).inputs for source in item.sources
    }
    assert not {track.device for track in case.numerics} & known
    assert len(read_vital(data).numerics) == len(case_of(3).numerics)


@pytest.mark.parametrize("damage", OF_TABLES)
def test_a_fault_of_the_clinical_table_is_refused_with_its_place(damage: Damage, tmp_path: Path) -> None:
    simulate_folder(tmp_path / "set", replace(OPTIONS, cases=3, damage={damage: 1}))
    assert {tuple(case["expected"]) for case in listed(tmp_path / "set").values()} == {("refused",)}
    answer = run_vitalprep("run", "--input", tmp_path / "set", "--output", tmp_path / "out", *LENIENT)
    assert answer.exit_code == 65
    assert "clinical_data.csv" in answer.result["message"]
    fault = {"decimal-comma": "decimal comma", "semicolons": "semicolon", "cell-too-many": "18 cells"}[damage]
    assert fault in answer.result["message"]
    assert not receipts(tmp_path / "out")


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
