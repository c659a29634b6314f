"""A user's own configuration: laid over the defaults, and refused with the key's name where it is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.pipeline import run_vitalprep
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.identity import harmonize_digest
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


HB = {"unit": "g/dL", "limits": [2, 25], "range": [5, 20], "default": 13}


def test_a_static_is_added_by_a_file_and_by_a_single_value(tmp_path: Path) -> None:
    text = yaml.safe_dump({"statics": [{"name": "preop_hb", **HB}]})
    by_file = load_config(_file(tmp_path, text))
    by_value = load_config(None, [f"statics.preop_hb={HB}"])
    assert by_file == by_value
    assert [item.name for item in by_file.statics] == ["age", "sex", "height", "weight", "bmi", "asa", "preop_hb"]
    assert by_file.statics[-1].content() == {"name": "preop_hb", **HB}
    changed = load_config(_file(tmp_path, text), ["statics.preop_hb.default=12", "statics.preop_hb.column=hb"])
    assert (changed.statics[-1].default, changed.statics[-1].table_column) == (12, "hb")


def test_a_column_that_repeats_the_name_is_no_other_configuration() -> None:
    named = load_config(None, [f"statics.preop_hb={HB | {'column': 'Preop_HB'}}"])
    assert named == load_config(None, [f"statics.preop_hb={HB}"])


def test_optional_keys_are_left_out_while_they_are_not_set() -> None:
    content = load_config().content()
    assert "body" not in content
    unlimited = [item for item in content["statics"] if item["name"] in ("sex", "asa")]
    assert [item.keys() for item in unlimited] == [{"name", "unit", "range", "default"}] * 2


@pytest.mark.parametrize(
    ("statics", "message", "fix"),
    [
        ([{"name": "hb", **HB, "gone": True}], "statics.hb.gone: this key is unknown; known here: "
         "name, column, unit, limits, range, default", "to leave one out, write {name: ..., remove: true}"),
        ([{"name": "hb", **HB, "remove": True}], "statics.hb is to be removed, and has other keys", "replace: true"),
        ([{"name": "hb", "unit": "g/dL", "default": 13}], "statics.hb.range: field required", "master_poc.yaml"),
        ([{"name": "hb", **HB, "limits": [25, 2]}], "statics.hb.limits: the range [25, 2] is upside down", "adds"),
        ([{"name": "hb", **HB, "default": ".nan"}], "statics.hb.default", "adds"),
        ([{"name": "hb", **HB, "column": ""}], "statics.hb.column", "adds"),
        ([{"name": "emergency", "column": "emop", "levels": [0, 1]}],
         "statics.emergency: levels (one-hot) cannot be built yet", "a column of numbers with unit, range and default"),
        ([{"name": "who", "column": "SubjectID", "unit": "1", "range": [0, 1], "default": 0}],
         "statics.who: the column subjectid says who the patient is", "give another column"),
        ([], "statics: tuple should have at least 1 item", "to leave one out"),
    ],
)  # fmt: skip
def test_a_static_that_cannot_be_is_named(tmp_path: Path, statics: list[object], message: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(_file(tmp_path, yaml.safe_dump({"statics": statics})))
    assert message in caught.value.message
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("own", "keys"),
    [
        ("windowing: {stp: 60}", "window, step, target_horizon, min_observed_inputs, min_observed_fraction"),
        ("windowng: {}", "schema_version, units, ideal_body_weight, inputs, statics, body, targets"),
        ("inputs: [{name: HR, sources: [{track: Solar8000/HR, limit: [1, 2]}]}]", "track, unit, conversion, limits"),
        ("body: {hight: 170}", "height, weight, sex"),
    ],
)
def test_an_unknown_key_is_told_which_keys_there_are(tmp_path: Path, own: str, keys: str) -> None:
    with pytest.raises(UsageError, match=f"this key is unknown(; did you mean \\w+?\\? Known|; known) here: {keys}"):
        load_config(_file(tmp_path, own))


def _whole(tmp_path: Path, **changed: object) -> Config:
    return load_config(_file(tmp_path, yaml.safe_dump(load_config().content() | changed)))


def _statics(*left_out: str) -> list[dict[str, object]]:
    return [item for item in load_config().content()["statics"] if item["name"] not in left_out]


def test_a_whole_configuration_has_no_static_but_its_own(tmp_path: Path) -> None:
    own = _whole(tmp_path, statics=_statics("asa", "bmi"))
    assert [item.name for item in own.statics] == ["age", "sex", "height", "weight"]
    assert own.inputs == load_config().inputs
    part = yaml.safe_dump({"statics": _statics("asa", "bmi")})
    assert load_config(_file(tmp_path, part)) == load_config(), "laid over the defaults"


def test_what_config_prints_is_a_whole_configuration(tmp_path: Path) -> None:
    printed = run_vitalprep("config", "--set", "windowing.step=60").result
    content = {key: value for key, value in printed.items() if key not in ("ok", "features")}
    content["statics"] = content["statics"][:4]
    own = load_config(_file(tmp_path, yaml.safe_dump(content)))
    assert (own.windowing.step, len(own.statics)) == (60, 4)


def test_the_defaults_of_a_body_stand_in_one_place(tmp_path: Path) -> None:
    own = _whole(tmp_path, statics=_statics("height", "weight"), body={"height": 165, "weight": 66})
    assert [own.body_default(name) for name in ("height", "weight", "sex")] == [165, 66, -1]
    by_statics = load_config(None, ["statics.height.default=165", "statics.weight.default=66"])
    assert harmonize_digest(own) == harmonize_digest(by_statics), "the same doses"


@pytest.mark.parametrize(
    ("left_out", "body", "message", "fix"),
    [
        (("weight",), None, "body.weight: it has no default", "set body.weight (kg), or add a static weight"),
        (("height", "sex"), {"height": 170}, "body.sex: it has no default", "set body.sex (-1 female, 1 male)"),
        ((), {"height": 170}, "body.height: statics.height.default gives this default", "leave body.height out"),
        (("sex",), {"sex": 0}, "body.sex: 0 is not a sex", "-1 for female or 1 for male"),
        (("height",), {"height": 0}, "body.height", "vitalprep config"),
    ],
)
def test_a_body_without_a_default_is_refused(
    tmp_path: Path, left_out: tuple[str, ...], body: dict[str, float] | None, message: str, fix: str
) -> None:
    with pytest.raises(UsageError) as caught:
        _whole(tmp_path, statics=_statics(*left_out), **({"body": body} if body else {}))
    assert f"Configuration key {message}" in caught.value.message
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    "bounds", ["[0, 5e-324]", "[70, 70.0000001]", "[-1e308, 1e308]", "[-3e38, 3e38]", "[0, 1e-38]", "[1e38, 1e39]"]
)
@pytest.mark.parametrize("key", ["inputs.HR.range", "statics.age.range"])
def test_a_range_that_float32_cannot_normalize_is_refused(key: str, bounds: str) -> None:
    with pytest.raises(UsageError, match=r"too narrow or too wide to normalize in float32") as caught:
        load_config(None, [f"{key}={bounds}"])
    assert key in caught.value.message
    assert load_config(None, [f"{key}=[1e-6, 1.1e-6]"])


def test_limits_may_be_as_wide_as_numbers_are() -> None:
    assert load_config(None, ["inputs.HR.sources.Solar8000/HR.limits=[-1e308, 1e308]"])


def test_a_configuration_that_is_no_small_regular_file_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(UsageError, match=r"large\.yaml has 100\.0 MB; at most 1 MB"):
        load_config(str(large))
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match=r"pipe\.yaml is a pipe \(FIFO\), not a regular file"):
        load_config(str(pipe))


@pytest.mark.parametrize("key", ["windowing.window", "windowing.step", "windowing.target_horizon", "split.seed"])
def test_a_whole_number_of_thousands_of_digits_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match=f"Configuration key {key}: input should be less than"):
        load_config(None, [f"{key}={'9' * 4000}"])
