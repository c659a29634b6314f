"""Recordings of other monitors: what their profile reads of them is what was written, and nothing is read without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.pipeline import Answer, receipts, run_vitalprep
from vitalprep.contract.config_file import load_config
from vitalprep.contract.profiles import known_tracks, profile_names
from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.case import SimulatedCase, make_case
from vitalprep.simulate.damage import damaged
from vitalprep.simulate.other_monitors import feeds_in_own_unit, on_other_monitors, other_tracks
from vitalprep.simulate.simulate import SimulationOptions, case_hours, simulate_folder
from vitalprep.vital.recording import read_vital

OPTIONS = SimulationOptions(seed=4, cases=9, hours=0.15, spread=0.1, waves=False)
LENIENT = ("--set", "split.allow_empty=true", "--workers", "2")
PROFILES = profile_names()


def made(folder: Path, profile: str | None) -> Path:
    simulate_folder(folder, SimulationOptions(**vars(OPTIONS) | {"profile": profile, "truth": True}))
    return folder


def run(recordings: Path, output: Path, *options: str) -> Answer:
    answer = run_vitalprep("run", "--input", recordings, "--output", output, *LENIENT, *options)
    assert answer.exit_code == 0, answer.result
    return answer


def tables(output: Path) -> dict[int, str]:
    """Return what identifies the values of each case's harmonized table."""
    return {case: receipt["values_sha256"] for case, receipt in receipts(output).items()}


def case_of(case_id: int) -> SimulatedCase:
    return make_case(OPTIONS.seed, case_id, case_hours(OPTIONS, case_id))


def has_device(name: str, case_id: int) -> bool:
    return any(track.device == name for track in case_of(case_id).numerics)


@pytest.fixture(scope="module")
def draeger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("draeger") / "set", "draeger")


def test_a_profile_reads_of_its_monitors_what_the_registry_reads_of_vitaldbs(draeger: Path, tmp_path: Path) -> None:
    run(draeger, tmp_path / "theirs", "--profile", "draeger")
    run(made(tmp_path / "vitaldbs", None), tmp_path / "out")
    theirs, vitaldbs = tables(tmp_path / "theirs"), tables(tmp_path / "out")
    assert len(vitaldbs) == OPTIONS.cases
    # EV1000's pressure is the registry's last source, but comes before those of a profile.
    same = {case for case in vitaldbs if not has_device("EV1000", case)}
    assert len(same) >= OPTIONS.cases - 2
    assert {case: theirs[case] for case in same} == {case: vitaldbs[case] for case in same}


@pytest.mark.parametrize("profile", PROFILES)
def test_without_its_profile_no_vital_sign_is_observed_and_the_run_warns(profile: str, tmp_path: Path) -> None:
    recordings = made(tmp_path / "set", profile)
    answer = run(recordings, tmp_path / "out")
    vitals = [item.name for item in load_config().inputs if item.vital]
    unseen = set()
    for case, receipt in receipts(tmp_path / "out").items():
        live = {name for name in vitals if sum(receipt["features"][name]["live_seconds"].values())}
        assert live == ({"BP_MAP"} if has_device("EV1000", case) else set())
        unseen |= set() if live or receipt["reason"] else {case}
    warned = [line for line in answer.log if line.get("code") == "case_without_vital"]
    assert unseen
    assert [set(line["cases"]) for line in warned] == [unseen]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_tracks_of_a_profile_have_its_units_and_carry_the_same_truth(profile: str) -> None:
    config = load_config(profiles=[profile])
    accepted = {source.track: config.accepted_units(source) for item in config.inputs for source in item.sources}
    own, other = case_of(3), on_other_monitors(case_of(3), profile)
    written = read_vital(other.encoded())
    found = [track for track in written.numerics if profile in dict(known_tracks().get(track, ()))]
    assert len(found) >= 10
    for track in found:
        assert set(written.numerics[track].units) <= set(accepted[track])
    assert not any(track.device in ("Solar8000", "Primus", "BIS") for track in (*other.numerics,))
    assert [t for t in other.numerics if t.device == "Orchestra"] == [t for t in own.numerics if t.device == "Orchestra"]
