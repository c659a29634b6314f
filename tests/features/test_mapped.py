"""Numbered pumps give what the case's cells say, by hand: 80 kg, 24 mL/h of 20 mg/mL are 6 mg/kg/h."""

from __future__ import annotations

import numpy as np
import pytest

from tests.features.test_grid import BODY, START, recording_of
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.features.grid import Series, harmonize
from vitalprep.runtime.errors import CaseRefused

FIRST, SECOND = "Pump/PUMP1_RATE", "Pump/PUMP2_RATE"
PROPOFOL, REMIFENTANIL = 7, 8
OWN = """
inputs:
  - name: Propofol_INF
    combine: sum
    sources:
      - {track: Pump/PUMP1_RATE, unit: mL/h, conversion: {per_kg_h: {concentration: 20}}, limits: [0, 2000],
         stale_after: 60, where: {column: pump1, value: propofol 2%}}
      - {track: Pump/PUMP1_RATE, unit: mL/h, conversion: {per_kg_h: {concentration: 10}}, limits: [0, 20],
         stale_after: 60, where: {column: pump1, value: propofol 1%}}
      - {track: Pump/PUMP2_RATE, unit: mL/h, conversion: {per_kg_h: {concentration: 20}}, limits: [0, 2000],
         stale_after: 60, where: {column: pump2, value: propofol 2%}}
  - name: Remifentanil_INF
    sources:
      - {track: Pump/PUMP2_RATE, unit: mL/h, conversion: {per_kg_min: {concentration: 20}}, limits: [0, 2000],
         stale_after: 60, where: {column: pump2, value: remifentanil}}
"""
RECORDS = {"Solar8000/HR": [(START, 70.0)], FIRST: [(START, 24.0)], SECOND: [(START, 12.0)]}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    path = tmp_path_factory.mktemp("mapped") / "own.yaml"
    path.write_text(OWN)
    return load_config(str(path))


def _first_second(series: Series) -> tuple[float, float]:
    return float(series.values[0, PROPOFOL]), float(series.values[0, REMIFENTANIL])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"pump1": "propofol 2%", "pump2": "remifentanil"}, (24 * 20 / 80, 12 * 20 / 60 / 80)),  # 6 and 0.05
        ({"pump1": "propofol 2%", "pump2": "propofol 2%"}, (6 + 3, np.nan)),
        ({"pump2": "propofol 2%"}, (3, np.nan)),
        ({"pump2": "remifentanil"}, (np.nan, 0.05)),
        ({}, (np.nan, np.nan)),
    ],
)
def test_the_cells_say_which_drug_a_pump_gives(
    config: Config, cells: dict[str, str], expected: tuple[float, float]
) -> None:
    series = harmonize(recording_of(RECORDS), config, BODY, cells)
    assert _first_second(series) == pytest.approx(expected, rel=1e-6, nan_ok=True)
    unused = {track.name for track in series.unused}
    assert unused == {name for name, column in ((FIRST, "pump1"), (SECOND, "pump2")) if column not in cells}


def test_each_text_has_its_concentration_and_limits(config: Config) -> None:
    records = {"Solar8000/HR": [(START, 70.0)], FIRST: [(START, 16.0), (START + 1, 24.0)]}
    series = harmonize(recording_of(records), config, BODY, {"pump1": "propofol 1%"})
    assert series.values[:, PROPOFOL].tolist() == [2.0, 2.0]  # 16 x 10 / 80, then 24 is above 20 and drops
    quality = series.quality["Propofol_INF"]
    assert quality.live_seconds == {"Pump/PUMP1_RATE where pump1 is propofol 1%": 2}
    assert quality.rejected["Pump/PUMP1_RATE where pump1 is propofol 1%"].above == 1


def test_a_unit_that_no_source_of_the_case_reads_is_no_conflict(config: Config) -> None:
    recording = recording_of(RECORDS, units={FIRST: "mg/h"})
    assert harmonize(recording, config, BODY, {}).unit_conflicts == ()
    with pytest.raises(CaseRefused, match=r"Propofol_INF: Pump/PUMP1_RATE is in 'mg/h'"):
        harmonize(recording, config, BODY, {"pump1": "propofol 2%"})


def test_pumps_that_the_table_does_not_map_are_no_signal(config: Config) -> None:
    pumps = {name: RECORDS[name] for name in (FIRST, SECOND)} | {"Other/T": [(START, 1.0)]}
    words = (
        r"the clinical table maps Pump/PUMP1_RATE, Pump/PUMP2_RATE to no input in this case; "
        r".* only other numeric track Other/T$"
    )
    with pytest.raises(CaseRefused, match=words):
        harmonize(recording_of(pumps), config, BODY)
