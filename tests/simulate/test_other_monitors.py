"""Recordings of other monitors: what their profile reads of them is what was written, and nothing is read without."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline import Answer, receipts, run_vitalprep
from vitalprep.contract.config_file import load_config
from vitalprep.contract.profiles import known_tracks, profile_names
from vitalprep.features import conversion
from vitalprep.features.grid import harmonize
from vitalprep.runtime.errors import UsageError
from vitalprep.simulate.case import SimulatedCase, case_truth_table, make_case
from vitalprep.simulate.damage import damaged
from vitalprep.simulate.other_monitors import on_other_monitors
from vitalprep.simulate.signals import NumericTrack
from vitalprep.simulate.simulate import SimulationOptions, case_hours, simulate_folder
from vitalprep.simulate.truth import MEASURED
from vitalprep.vital.recording import read_vital

OPTIONS = SimulationOptions(seed=4, cases=8, hours=0.15, spread=0.1)
LENIENT = ("--set", "split.allow_empty=true", "--workers", "2")
PROFILES = profile_names()


def made(folder: Path, profile: str | None) -> Path:
    simulate_folder(folder, SimulationOptions(**vars(OPTIONS) | {"profile": profile}))
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


def track_of(case: SimulatedCase, path: str) -> list[NumericTrack]:
    return [track for track in case.numerics if f"{track.device}/{track.name}" == path]


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
        features = receipt["features"]  # none of a case without any signal
        live = {name for name in vitals if name in features and sum(features[name]["live_seconds"].values())}
        assert live == ({"BP_MAP"} if has_device("EV1000", case) else set())
        unseen |= set() if live or receipt["reason"] else {case}
    dataset = Path(answer.result["dataset"])
    warnings = json.loads((dataset / "preprocessing_metadata.json").read_text("utf-8"))["warnings"]
    (warning,) = [warning for warning in warnings if warning["code"] == "case_without_vital"]
    assert unseen
    assert set(warning["cases"]) == unseen
    (warning,) = [warning for warning in warnings if warning["code"] == "known_track_unused"]
    inputs = {item.name for item in load_config().inputs}
    listed = {track for track, uses in known_tracks().items() if {(profile, item) for item in inputs} & {*uses}}
    recorded = {
        case: listed & read_vital((recordings / "raw-data" / f"{case:04d}.vital").read_bytes()).numerics.keys()
        for case in range(1, OPTIONS.cases + 1)
    }
    assert warning["item"] == profile
    assert warning["cases"] == [case for case, tracks in recorded.items() if tracks]
    assert unseen < set(warning["cases"]), "cases without a signal, too"
    named = {track for track in known_tracks() if re.search(rf"{re.escape(track)}\b", warning["message"])}
    assert named == set().union(*recorded.values())
    assert f"--profile {profile}" in warning["message"]
    assert any(line.get("code") == "known_track_unused" and line["item"] == profile for line in answer.log)
    assert 'data-code="case_without_vital"' in (dataset / "report.html").read_text("utf-8")


@pytest.mark.parametrize("profile", PROFILES)
def test_tracks_are_called_as_the_profile_says_and_are_in_its_units(profile: str) -> None:
    config = load_config(profiles=[profile])
    accepted = {source.track: config.accepted_units(source) for item in config.inputs for source in item.sources}
    own = case_of(3)
    other = on_other_monitors(own, profile)
    written = {f"{track.device}/{track.name}": track for track in other.numerics}
    assert len(written) == len(other.numerics)
    listed = [track for track in written if profile in dict(known_tracks().get(track, ()))]
    assert len(listed) >= 10
    assert all(written[track].unit in accepted[track] for track in listed)
    devices = {track.device for track in other.numerics}
    assert not devices & {"Solar8000", "Primus", "BIS"}
    assert "Orchestra" in devices
    assert sorted(read_vital(other.encoded()).numerics) == sorted(written)


@pytest.mark.parametrize(
    ("own", "other", "unit", "factor"),
    [
        ("Primus/PEEP_MBAR", "Intellivue/PEEP_CMH2O", "cmH2O", 1.01972),
        ("Primus/EXP_SEVO", "Intellivue/SEVO_ET_PERC", "vol%", 1 / 1.01325),
    ],
)
def test_values_are_in_the_unit_of_the_other_monitor(own: str, other: str, unit: str, factor: float) -> None:
    case = next(case for case_id in range(1, 20) if track_of(case := case_of(case_id), own))
    (before,), (after,) = track_of(case, own), track_of(on_other_monitors(case, "intellivue"), other)
    np.testing.assert_allclose(after.values, factor * before.values)
    np.testing.assert_array_equal(after.times, before.times)
    assert after.unit == unit


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case_id", [1, 2, 3])
def test_the_truth_of_a_recording_is_what_its_profile_reads(case_id: int, profile: str) -> None:
    config = load_config(profiles=[profile])
    case = on_other_monitors(case_of(case_id), profile)
    patient = case.patient
    body = conversion.Body(sex=1.0 if patient.sex == "M" else -1.0, height=patient.height, weight=patient.weight)
    series = harmonize(read_vital(case.encoded(), reading=config.reading), config, body)
    truth = case_truth_table(case, config)
    assert len(truth) == len(series.values)
    for item, column in zip(config.inputs, series.values.T, strict=True):
        measured = truth[f"{item.name}_origin"].to_numpy() == MEASURED
        np.testing.assert_array_equal(measured, np.isfinite(column), err_msg=item.name)
        np.testing.assert_allclose(truth[item.name].to_numpy()[measured], column[measured], rtol=1e-6, atol=0)


def test_waves_have_the_other_devices_name() -> None:
    own = make_case(OPTIONS.seed, 3, 0.05, waves=True)
    other = on_other_monitors(own, "draeger")
    devices = {"SNUADC": "SNUADC", "Primus": "Perseus", "BIS": "Infinity"}
    assert [wave.form.device for wave in other.waves] == [devices[wave.form.device] for wave in own.waves]


def test_a_set_continues_with_its_profile_and_other_sets_do_not_mention_one(tmp_path: Path) -> None:
    few = SimulationOptions(seed=4, cases=2, hours=0.05)
    simulate_folder(tmp_path / "own", few)
    assert "profile" not in json.loads((tmp_path / "own" / "simulation.json").read_text("utf-8"))
    command = ("simulate", "--output", tmp_path / "set", "--cases", "1", "--hours", "0.05")
    assert run_vitalprep(*command, "--profile", "intellivue").exit_code == 0
    assert run_vitalprep("simulate", "--output", tmp_path / "set", "--append", "--cases", "1").exit_code == 0
    for case in (1, 2):
        tracks = read_vital((tmp_path / "set" / "raw-data" / f"{case:04d}.vital").read_bytes()).numerics
        assert "Intellivue/HR" in tracks
    refused = run_vitalprep(*command, "--profile", "draeger")
    assert (refused.exit_code, "profile is intellivue" in refused.result["message"]) == (2, True)


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(UsageError, match="no profile 'dräger'"):
        SimulationOptions(profile="dräger")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_foreign_unit_is_foreign_to_the_other_monitors_too(profile: str) -> None:
    config = load_config(profiles=[profile])
    sources = {source.track: source for item in config.inputs for source in item.sources}
    for case_id in range(1, 6):
        case, _ = damaged(case_of(case_id), "unit", profile=profile)
        foreign = [
            path
            for track in case.numerics
            if (path := f"{track.device}/{track.name}") in sources
            and track.unit not in config.accepted_units(sources[path])
        ]
        assert len(foreign) == 1
