"""A user's file removes and replaces entries of the registry, and adds tracks without a device and with an offset."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitalprep.contract.config_file import load_config
from vitalprep.contract.identity import harmonize_digest
from vitalprep.runtime.errors import UsageError

HEART_RATE = "{track: Own/PULSE, unit: /min, limits: [10, 300], stale_after: 5}"
WHOLE_INPUT = f"replace: true, unit: /min, range: [30, 220], default: 72, hold: 60, sources: [{HEART_RATE}]"


def _file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return str(path)


def test_entries_of_every_list_are_removed(tmp_path: Path) -> None:
    own = """
inputs:
  - {name: BIS, remove: true}
  - {name: HR, sources: [{track: Solar8000/PLETH_HR, remove: true}]}
statics: [{name: asa, remove: true}]
targets: [{name: RR, remove: true}]
"""
    config, defaults = load_config(_file(tmp_path, own)), load_config()
    assert [item.name for item in config.inputs] == [item.name for item in defaults.inputs if item.name != "BIS"]
    assert [source.track for source in config.inputs[0].sources] == ["Solar8000/HR"]
    assert "asa" not in [item.name for item in config.statics]
    assert "RR" not in [item.name for item in config.targets]


def test_nothing_of_a_replaced_entry_stays(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, f"inputs: [{{name: HR, {WHOLE_INPUT}}}]"))
    heart_rate = config.inputs[0]
    assert [source.track for source in heart_rate.sources] == ["Own/PULSE"]
    assert (heart_rate.hold, heart_rate.vital, heart_rate.description) == (60, False, "")


def test_a_replaced_source_keeps_its_place(tmp_path: Path) -> None:
    source = "{track: Solar8000/ETCO2, replace: true, unit: kPa, limits: [0, 20], stale_after: 10}"
    config = load_config(_file(tmp_path, f"inputs: [{{name: ETCO2, sources: [{source}]}}]"))
    carbon_dioxide = next(item for item in config.inputs if item.name == "ETCO2")
    assert [source.track for source in carbon_dioxide.sources] == ["Solar8000/ETCO2", "Primus/ETCO2"]
    assert carbon_dioxide.sources[0].conversion is None


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("inputs: [{name: BSI, remove: true}]", ("inputs.BSI", "did you mean BIS?")),
        ("inputs: [{name: HRT, replace: true}]", ("inputs.HRT", "did you mean HR?")),
        ("inputs: [{name: HR, sources: [{track: Solar8000/HRR, remove: true}]}]", ("Solar8000/HRR", "Solar8000/HR?")),
        ("inputs: [{name: BIS, remove: false}]", ("inputs.BIS.remove",)),
        ("inputs: [{name: BIS, remove: true, hold: 5}]", ("inputs.BIS", "other keys")),
        ("inputs: [{name: BIS, remove: true, replace: true}]", ("inputs.BIS", "both")),
        ("inputs: [{name: PEEP, remove: true}]", ("targets.PEEP.input", "no input 'PEEP'")),
        ("statics: [{name: weight, remove: true}]", ("body.weight",)),
        (
            "inputs: [{name: HR, sources: [{track: Solar8000/HR, remove: true}, "
            "{track: Solar8000/PLETH_HR, remove: true}]}]",
            ("inputs.HR.sources",),
        ),
        (
            "inputs: [{name: TV, sources: [{track: Primus/TV, conversion: {offset: 1, per_kg_ibw: true}}]}]",
            ("offset goes with a factor",),
        ),
    ],
)
def test_what_cannot_be_removed_or_replaced_is_named(tmp_path: Path, own: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(_file(tmp_path, own))
    assert all(word in caught.value.message for word in words), caught.value.message
    assert caught.value.fix


def test_the_target_of_a_removed_input_can_be_removed_with_it(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, "inputs: [{name: PEEP, remove: true}]\ntargets: [{name: PEEP, remove: true}]"))
    assert "PEEP" not in [target.input for target in config.targets]


def test_a_track_without_a_device_can_be_a_source(tmp_path: Path) -> None:
    source = "{track: /HR, unit: /min, limits: [10, 300], stale_after: 10}"
    config = load_config(_file(tmp_path, f"inputs: [{{name: HR, sources: [{source}]}}]"))
    assert config.inputs[0].sources[-1].track == "/HR"


def test_an_offset_counts_only_where_it_is_set(tmp_path: Path) -> None:
    def digest(conversion: str) -> str:
        source = f"{{track: Own/HR, unit: °F, conversion: {conversion}, limits: [10, 300], stale_after: 10}}"
        return harmonize_digest(load_config(_file(tmp_path, f"inputs: [{{name: HR, sources: [{source}]}}]")))

    assert digest("{factor: 2}") == digest("{factor: 2, offset: null}")
    assert digest("{factor: 2}") != digest("{factor: 2, offset: -17.8}")
