"""A user's own configuration: laid over the defaults, and refused with the key's name where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.pipeline import run_vitalprep
from vitalprep.contract.config_file import load_config
from vitalprep.runtime.errors import UsageError

DEFAULTS = Path(__file__).parents[2] / "preprocessing" / "vitalprep" / "master_poc.yaml"


def _file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return str(path)


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    own = """
windowing: {step: 60}
inputs:
  - name: HR
    default: 75
    sources:
      - {track: Solar8000/HR, limits: [20, 250]}
      - {track: Intellivue/HR, unit: /min, limits: [15, 300], stale_after: 10}
"""
    config, defaults = load_config(_file(tmp_path, own)), load_config()
    assert config.windowing.step == 60
    assert config.windowing.window == 300
    heart_rate = config.inputs[0]
    assert heart_rate.default == 75
    assert [source.track for source in heart_rate.sources] == ["Solar8000/HR", "Solar8000/PLETH_HR", "Intellivue/HR"]
    assert heart_rate.sources[0].limits == (20, 250)
    assert heart_rate.sources[0].stale_after == 10
    assert config.inputs[1:] == defaults.inputs[1:]


def test_the_whole_default_file_laid_over_itself_is_the_default() -> None:
    assert load_config(str(DEFAULTS)) == load_config()


@pytest.mark.parametrize(
    ("own", "key"),
    [
        ("windowng: {step: 60}", "windowng"),
        ("windowing: {stp: 60}", "windowing.stp"),
        ("windowing: {step: fast}", "windowing.step"),
        ("windowing: {step: 0}", "windowing.step"),
        ("split: {train: 0.9, validation: 0.3}", "split"),
        ("output: {layout: sharp}", "output.layout"),
        ("inputs: [{name: HR, range: [200, 20]}]", "inputs.HR.range"),
        ("inputs: [{name: HR, rnage: [20, 200]}]", "inputs.HR.rnage"),
        ("inputs: [{name: HR, sources: [{track: Solar8000/HR, limits: [9, 9]}]}]", "inputs.HR.sources.Solar8000/HR"),
        ("inputs: [{name: HR, sources: [{track: Solar8000/HR, unit: mmHg}]}]", "sources.Solar8000/HR"),
        ("inputs: [{name: HR, sources: [{track: Solar8000/HR, unit: furlong, conversion: {factor: 2}}]}]", "furlong"),
        ("inputs: [{name: TV, sources: [{track: Primus/TV, conversion: {factor: 2, per_kg_ibw: true}}]}]", "Primus/TV"),
        ("inputs: [{name: HR, sources: [{track: A/B}, {track: A/B}]}]", "A/B"),
        (
            "inputs: [{name: SPO2, sources: [{track: Solar8000/HR, unit: '%', limits: [1, 100], stale_after: 1}]}]",
            "Solar8000/HR",
        ),
        ("inputs: [{name: HR}, {name: HR}]", "HR"),
        ("targets: [{name: Propofol, input: Ketamine}]", "targets.Propofol.input"),
        ("windowing: {step: 60}\nwindowing: {step: 30}", "windowing"),
        ("inputs: [{name: HR, hold: 600, hold: 60}]", "hold"),
        ("- a list", "own.yaml"),
        ("windowing: {step: [", "own.yaml"),
        ("schema_version: 2", "schema_version"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, own: str, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(_file(tmp_path, own))
    assert key in caught.value.message
    assert caught.value.fix


def test_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("split:\n  ? [a, b]\n  : 1\n")
    with pytest.raises(UsageError, match="line 2"):
        load_config(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    answer = run_vitalprep("config", "--config", tmp_path / "absent.yaml")
    assert answer.exit_code == 2
    assert "absent.yaml" in answer.result["message"]


def test_single_values_win_over_the_file(tmp_path: Path) -> None:
    config = load_config(
        _file(tmp_path, "windowing: {step: 60}"),
        [
            "windowing.step=90",
            "inputs.HR.sources.Solar8000/HR.limits=[20, 250]",
            "inputs.HR.combine=sum",
            "privacy.hash_subjects=true",
        ],
    )
    assert config.windowing.step == 90
    assert config.inputs[0].sources[0].limits == (20, 250)
    assert config.inputs[0].combine == "sum"
    assert config.privacy.hash_subjects is True


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("windowing.stp=60", "windowing.stp"),
        ("window.step=60", "window"),
        ("inputs.HRR.default=1", "HRR"),
        ("windowing.step.more=1", "windowing.step.more"),
        ("windowing.step", "KEY=VALUE"),
        ("=60", "KEY=VALUE"),
        ("windowing.step=[", "YAML"),
    ],
)
def test_a_wrong_single_value_is_named(setting: str, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(None, [setting])
    assert word in caught.value.message


@pytest.mark.parametrize(
    ("own", "setting", "meant"),
    [
        ("windowing: {length: 60}", "windowing.length=60", "did you mean window? Known here: window, step,"),
        ("windowing: {stepp: 60}", "windowing.stepp=60", "did you mean step?"),
        ("windowing: {horizon: 60}", "windowing.horizon=60", "did you mean target_horizon?"),
        ("windowng: {step: 60}", "windowng.step=60", "did you mean windowing?"),
        (
            "inputs: [{name: HR, sources: [{track: Solar8000/HR, limit: [1, 2]}]}]",
            "inputs.HR.sources.Solar8000/HR.limit=[1, 2]",
            "did you mean limits? Known here: track, unit, conversion, limits, stale_after",
        ),
        ("split: {xyzzy: 1}", "split.xyzzy=1", "known here: seed, train, validation, allow_empty"),
    ],
)
def test_an_unknown_key_names_its_neighbours(tmp_path: Path, own: str, setting: str, meant: str) -> None:
    for arguments in ((_file(tmp_path, own), ()), (None, [setting])):
        with pytest.raises(UsageError) as caught:
            load_config(*arguments)
        assert meant in caught.value.message


def test_config_prints_the_fixed_interface() -> None:
    answer = run_vitalprep("config", "--set", "inputs.BIS.default=50")
    features = answer.result["features"]
    assert len(features) == 16
    for feature in features:
        assert {"name", "unit", "range", "default", "hold", "sources"} <= feature.keys()
        for source in feature["sources"]:
            assert {"track", "units", "limits", "stale_after"} <= source.keys()
            assert isinstance(source["units"], list)
    assert features[6]["default"] == 50
    assert yaml.safe_load(DEFAULTS.read_text())["inputs"][6]["default"] == 0
