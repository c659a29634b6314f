"""A pressure that must show a pulse, and what is rejected of a source, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.features.test_grid import BODY, START, recording_of
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.features.grid import harmonize
from vitalprep.runtime.errors import CaseRefused

PULSE = "{high: Solar8000/ART_SBP, low: Solar8000/ART_DBP, at_least: 10}"
ART, NIBP = "Solar8000/ART_MBP", "Solar8000/NIBP_MBP"


def demanding() -> Config:
    return load_config(settings=[f"inputs.BP_MAP.sources.{ART}.pulse={PULSE}"])


def each_20_s(*values: float) -> list[tuple[float, float]]:
    return [(START + 20 * place, value) for place, value in enumerate(values)]


RECORDS = {
    ART: each_20_s(90, 95, 250, 91),
    "Solar8000/ART_SBP": each_20_s(120, 96, 290, 121),
    "Solar8000/ART_DBP": each_20_s(70, 94, 220, 119),
    NIBP: [(START, 85.0)],
}
"""A pulse of 50 mmHg, a damped line, a flush, and a pulse of 2 mmHg; every 20 s, each value stands for 10 s."""


def test_seconds_without_a_pulse_are_left_to_the_next_source() -> None:
    series = harmonize(recording_of(RECORDS), demanding(), BODY)
    column = series.values[:, 3]
    assert column[:11].tolist() == [90.0] * 11
    assert column[11:40].tolist() == [85.0] * 29
    assert column[40:51].tolist() == [250.0] * 11  # its tracks are 70 mmHg apart
    assert column[51:].tolist() == [85.0] * 10
    quality = series.quality["BP_MAP"]
    assert quality.rejected[ART].no_pulse == 11 + 1
    assert quality.live_seconds == {ART: 22, NIBP: 39}


def test_without_the_other_pressures_there_is_no_pulse() -> None:
    series = harmonize(recording_of({ART: RECORDS[ART], NIBP: RECORDS[NIBP]}), demanding(), BODY)
    assert set(series.values[:, 3].tolist()) == {85.0}
    assert series.quality["BP_MAP"].rejected[ART].no_pulse == 34


def test_a_pulse_is_not_demanded_by_default() -> None:
    series = harmonize(recording_of(RECORDS), load_config(), BODY)
    assert series.values[20, 3] == 95.0
    assert series.quality["BP_MAP"].rejected == {}


def test_what_is_rejected_is_counted_by_source_and_cause() -> None:
    records = {"Solar8000/HR": each_20_s(5, 70, 400, np.nan, 3), "Solar8000/PLETH_HR": each_20_s(70, 400)}
    quality = harmonize(recording_of(records), load_config(), BODY).quality["HR"]
    assert quality.rejected["Solar8000/HR"].content() == {"below": 2, "above": 1, "not_finite": 1}
    assert quality.rejected["Solar8000/PLETH_HR"].content() == {"above": 1}
    assert quality.implausible == 5


def test_a_recording_without_a_value_names_its_tracks() -> None:
    records = {f"Bx50/T{number}": each_20_s(1, 2) for number in range(12)}
    with pytest.raises(CaseRefused, match=r"names none of the recording's 12 numeric tracks Bx50/T0, .* and 2 more"):
        harmonize(recording_of(records), load_config(), BODY)
    records = {"Bx50/HR": each_20_s(70), "Solar8000/HR": each_20_s(-1)}
    with pytest.raises(CaseRefused, match=r"names Solar8000/HR, .* all implausible; it does not name Bx50/HR"):
        harmonize(recording_of(records), load_config(), BODY)
    records = {"Mine/HR": each_20_s(70)}
    with pytest.raises(CaseRefused, match=r"does not name the recording's only numeric track Mine/HR$"):
        harmonize(recording_of(records), load_config(), BODY)


def test_a_recording_without_a_value_names_the_profiles_that_list_its_tracks() -> None:
    records = {name: each_20_s(40) for name in ("Bx50/HR", "Bx50/FIO2", "Bx50/TEMP", "Infinity/BIS")}
    with pytest.raises(CaseRefused) as refusal:
        harmonize(recording_of(records), load_config(), BODY)
    assert refusal.value.detail.endswith(
        "; --profile carescape lists Bx50/FIO2, Bx50/HR; --profile draeger lists Infinity/BIS"
    )
    config = load_config()
    without = config.model_copy(update={"inputs": tuple(item for item in config.inputs if item.name == "SPO2")})
    with pytest.raises(CaseRefused) as refusal:
        harmonize(recording_of(records), without, BODY)
    assert "--profile" not in refusal.value.detail, "no input of the configuration"


def test_unused_tracks_are_listed_with_the_most_records_first() -> None:
    records = {"Solar8000/HR": each_20_s(70), "Bx50/A": each_20_s(1), "Bx50/B": each_20_s(1, 2)}
    series = harmonize(recording_of(records), load_config(), BODY)
    assert [(track.name, len(track.times)) for track in series.unused] == [("Bx50/B", 2), ("Bx50/A", 1)]
