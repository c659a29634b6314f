"""Conversions from track to column, against values worked out by hand (the original plan's T012-T017)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference import design4
from vitalprep.contract.config_file import load_config
from vitalprep.features.conversion import Body, ideal_body_weight
from vitalprep.features.grid import harmonize
from vitalprep.vital.recording import Numeric, VitalFile

CONFIG = load_config()
NAMES = [item.name for item in CONFIG.inputs]
MAN_80 = Body(sex=1, height=180, weight=80)
CHILD = Body(sex=-1, height=110, weight=20)
HEAVY = Body(sex=1, height=180, weight=200)


def converted(track: str, value: float, body: Body, feature: str) -> float:
    """One record of one track, as it stands in the harmonized table."""
    numeric = Numeric(track, ("",), np.array([100.0]), np.array([value]))
    series = harmonize(VitalFile(100.0, 100.0, 100.0, {track: numeric}, 0), CONFIG, body)
    others = [index for index, name in enumerate(NAMES) if name != feature]
    assert np.isnan(series.values[0, others]).all()
    return float(series.values[0, NAMES.index(feature)])


DOSES = [
    # mL/h x 20 mg/mL / kg
    ("Orchestra/PPF20_RATE", 28.0, MAN_80, "Propofol_INF", 7.0),
    ("Orchestra/PPF20_RATE", 10.0, CHILD, "Propofol_INF", 10.0),
    ("Orchestra/PPF20_RATE", 10.0, HEAVY, "Propofol_INF", 1.0),
    ("Orchestra/PPF20_RATE", 1200.0, MAN_80, "Propofol_INF", 300.0),  # a real bolus: kept, clipped only later
    # mL/h x 20 ug/mL / 60 min/h / kg
    ("Orchestra/RFTN20_RATE", 24.0, MAN_80, "Remifentanil_INF", 0.1),
    ("Orchestra/RFTN20_RATE", 30.0, CHILD, "Remifentanil_INF", 0.5),
    ("Orchestra/RFTN20_RATE", 30.0, HEAVY, "Remifentanil_INF", 0.05),
    # mL/h x 50 ug/mL / 60 min/h / kg
    ("Orchestra/RFTN50_RATE", 24.0, MAN_80, "Remifentanil_INF", 0.25),
    ("Orchestra/RFTN50_RATE", 6.0, CHILD, "Remifentanil_INF", 0.25),
    # mL/h x 20 ug/mL / 60 min/h / kg (ruling 4: not 100 ug/mL)
    ("Orchestra/NEPI_RATE", 12.0, MAN_80, "Noradrenalin_INF", 0.05),
    ("Orchestra/NEPI_RATE", 6.0, CHILD, "Noradrenalin_INF", 0.1),
    ("Orchestra/NEPI_RATE", 6.0, HEAVY, "Noradrenalin_INF", 0.01),
]
GASES_AND_PRESSURES = [
    ("Solar8000/ETCO2", 38.0, MAN_80, "ETCO2", 5.066236),
    ("Primus/ETCO2", 30.0, MAN_80, "ETCO2", 3.99966),
    ("Primus/PEEP_MBAR", 5.0, MAN_80, "PEEP", 5.0986),
    ("Solar8000/VENT_MEAS_PEEP", 10.0, MAN_80, "PEEP", 10.1972),
    ("Primus/EXP_SEVO", 2.1, MAN_80, "etSEV", 2.1),
    ("Primus/INSP_SEVO", 2.5, MAN_80, "inSev", 2.5),
]
VOLUMES = [
    # 50 + 0.9055 x 27.6 = 74.9918 kg, whatever the weight
    ("Solar8000/VENT_TV", 449.9508, MAN_80, "TV", 6.0),
    ("Primus/TV", 449.9508, HEAVY, "TV", 6.0),
    # a woman of 144 cm: 45.5 - 0.9055 x 8.4 = 37.8938; the floor is her weight up to 45.5 kg
    ("Primus/TV", 400.0, Body(sex=-1, height=144, weight=40), "TV", 10.0),
    ("Primus/TV", 455.0, Body(sex=-1, height=144, weight=200), "TV", 10.0),
    ("Primus/TV", 378.938, Body(sex=-1, height=144, weight=20), "TV", 10.0),
    # a child of 110 cm: 45.5 - 0.9055 x 42.4 = 7.1068; 20 kg is more
    ("Primus/TV", 120.0, CHILD, "TV", 6.0),
]


@pytest.mark.parametrize(("track", "value", "body", "feature", "wanted"), DOSES + GASES_AND_PRESSURES + VOLUMES)
def test_from_track_to_clinical_unit(track: str, value: float, body: Body, feature: str, wanted: float) -> None:
    assert converted(track, value, body, feature) == pytest.approx(wanted, rel=1e-6)


IDEAL_WEIGHTS = [
    (1, 180, 80, 74.9918),
    (-1, 165, 60, 56.9093),  # 45.5 + 0.9055 x 12.6
    (1, 152.4, 50, 50.0),
    (-1, 152.4, 200, 45.5),
    (1, 144, 200, 50.0),
    (1, 144, 45, 45.0),
    (1, 144, 20, 42.3938),  # 50 - 0.9055 x 8.4
    (-1, 144, 20, 37.8938),
    (-1, 100, 20, 20.0),  # unbounded: -1.9482
    (-1, 60, 4, 4.0),
]


@pytest.mark.parametrize(("sex", "height", "weight", "wanted"), IDEAL_WEIGHTS)
def test_ideal_body_weight(sex: float, height: float, weight: float, wanted: float) -> None:
    found = ideal_body_weight(Body(sex=sex, height=height, weight=weight), CONFIG.ideal_body_weight)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_ideal_body_weight_equals_the_reference_for_every_body() -> None:
    for sex, letter in ((-1.0, "F"), (-1.0, None), (1.0, "M")):
        for height in np.arange(50.0, 231.0, 1.7):
            for weight in (3.0, 20.0, 37.8938, 45.5, 50.0, 70.0, 200.0):
                found = ideal_body_weight(Body(sex, float(height), weight), CONFIG.ideal_body_weight)
                assert found == pytest.approx(design4.ideal_body_weight(letter, float(height), weight), rel=1e-12)
                assert found > 0


@pytest.mark.parametrize(
    ("weight", "height"), [(1.2e-38, 180.0), (1e-320, 180.0), (3.4e38, 180.0), (80.0, 3.4e38), (80.0, 1e308)]
)
def test_a_dose_or_volume_that_no_record_can_hold_is_missing(weight: float, height: float) -> None:
    """Never infinite, and never a false zero."""
    body = Body(sex=1, height=height, weight=weight)
    tracks = {
        name: Numeric(name, ("",), np.array([100.0]), np.array([30.0]))
        for name in ("Orchestra/PPF20_RATE", "Orchestra/RFTN20_RATE", "Orchestra/RFTN50_RATE", "Solar8000/VENT_TV")
    } | {"Solar8000/HR": Numeric("Solar8000/HR", ("",), np.array([100.0]), np.array([70.0]))}
    series = harmonize(VitalFile(100.0, 100.0, 100.0, tracks, 0), CONFIG, body)
    assert not np.isinf(series.values).any()
    assert series.values[0, NAMES.index("HR")] == 70
    assert series.values[0, NAMES.index("TV" if weight == 80 else "Propofol_INF")] != 0
    if weight in (1.2e-38, 1e-320):
        assert np.isnan(series.values[0, NAMES.index("Propofol_INF")])
    if height == 1e308:
        assert np.isnan(series.values[0, NAMES.index("TV")])
