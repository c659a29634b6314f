"""The registry holds the numbers of the specification, typed here once more by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config

# name, unit, range, default, hold, sources in order
INPUTS = [
    ("HR", "/min", (20, 200), 70, 600, ["Solar8000/HR", "Solar8000/PLETH_HR"]),
    ("BP_SYS", "mmHg", (60, 250), 140, 600, ["Solar8000/ART_SBP", "Solar8000/NIBP_SBP"]),
    ("BP_DIA", "mmHg", (30, 150), 80, 600, ["Solar8000/ART_DBP", "Solar8000/NIBP_DBP"]),
    ("BP_MAP", "mmHg", (40, 180), 93, 600, ["Solar8000/ART_MBP", "Solar8000/NIBP_MBP", "EV1000/ART_MBP"]),
    ("SPO2", "%", (70, 100), 96, 300, ["Solar8000/PLETH_SPO2"]),
    ("ETCO2", "kPa", (2, 8), 0, 60, ["Solar8000/ETCO2", "Primus/ETCO2"]),
    ("BIS", "1", (0, 100), 0, 60, ["BIS/BIS"]),
    ("Propofol_INF", "mg/kg/h", (0, 12), 0, 600, ["Orchestra/PPF20_RATE"]),
    ("Remifentanil_INF", "ug/kg/min", (0, 0.8), 0, 600, ["Orchestra/RFTN20_RATE", "Orchestra/RFTN50_RATE"]),
    ("Noradrenalin_INF", "ug/kg/min", (0, 0.5), 0, 600, ["Orchestra/NEPI_RATE"]),
    ("TV", "mL/kg IBW", (0, 12), 0, 60, ["Solar8000/VENT_TV", "Primus/TV"]),
    ("PEEP", "cmH2O", (0, 30), 0, 60, ["Primus/PEEP_MBAR", "Solar8000/VENT_MEAS_PEEP"]),
    ("FIO2", "%", (21, 100), 0, 60, ["Solar8000/FIO2", "Primus/FIO2"]),
    ("RR", "/min", (6, 30), 0, 60, ["Primus/RR_CO2", "Solar8000/RR_CO2", "Solar8000/VENT_RR", "Solar8000/RR"]),
    ("etSEV", "kPa", (0, 6), 0, 60, ["Primus/EXP_SEVO"]),
    ("inSev", "kPa", (0, 8), 0, 60, ["Primus/INSP_SEVO"]),
]
STATICS = [
    ("age", (0, 120), 50),
    ("sex", (-1, 1), -1),
    ("height", (100, 230), 170),
    ("weight", (20, 200), 70),
    ("bmi", (10, 50), 24.2),
    ("asa", (1, 6), 2),
]
TARGETS = [
    ("Propofol", 7),
    ("Remifentanil", 8),
    ("Noradrenalin", 9),
    ("TV", 10),
    ("PEEP", 11),
    ("FIO2", 12),
    ("RR", 13),
    ("etSEV", 14),
]
STALE_AFTER = {"Solar8000": 10, "BIS": 10, "EV1000": 10, "Primus": 30, "Orchestra": 60}


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config()


def test_the_sixteen_inputs(config: Config) -> None:
    found = [
        (item.name, item.unit, item.range, item.default, item.hold, [source.track for source in item.sources])
        for item in config.inputs
    ]
    assert found == INPUTS


def test_the_six_statics_and_eight_targets(config: Config) -> None:
    assert [(item.name, item.range, item.default) for item in config.statics] == STATICS
    assert [(target.name, [item.name for item in config.inputs].index(target.input)) for target in config.targets] == (
        TARGETS
    )


def test_conversions(config: Config) -> None:
    found = {
        source.track: source.conversion.model_dump(exclude_none=True)
        for item in config.inputs
        for source in item.sources
        if source.conversion
    }
    assert found == {
        "Solar8000/ETCO2": {"factor": 0.133322},
        "Primus/ETCO2": {"factor": 0.133322},
        "Orchestra/PPF20_RATE": {"per_kg_h": {"concentration": 20}},
        "Orchestra/RFTN20_RATE": {"per_kg_min": {"concentration": 20}},
        "Orchestra/RFTN50_RATE": {"per_kg_min": {"concentration": 50}},
        "Orchestra/NEPI_RATE": {"per_kg_min": {"concentration": 20}},
        "Solar8000/VENT_TV": {"per_kg_ibw": True},
        "Primus/TV": {"per_kg_ibw": True},
        "Primus/PEEP_MBAR": {"factor": 1.01972},
        "Solar8000/VENT_MEAS_PEEP": {"factor": 1.01972},
    }
    assert [item.name for item in config.inputs if item.combine == "sum"] == ["Remifentanil_INF"]


def test_stale_after(config: Config) -> None:
    for item in config.inputs:
        for source in item.sources:
            expected = 600 if "/NIBP_" in source.track else STALE_AFTER[source.track.split("/")[0]]
            assert source.stale_after == expected, source.track


def test_limits_drop_artefacts_and_keep_patients(config: Config) -> None:
    limits = {source.track: source.limits for item in config.inputs for source in item.sources}

    def kept(track: str, value: float) -> bool:
        return limits[track][0] <= value <= limits[track][1]

    for track in ("Solar8000/ART_SBP", "Solar8000/ART_DBP", "Solar8000/ART_MBP"):
        assert not kept(track, 0)
        assert not kept(track, -12)
        assert not kept(track, 300)
    assert kept("Solar8000/ART_SBP", 45)
    assert kept("Solar8000/ART_SBP", 260)
    assert not kept("BIS/BIS", 0)
    assert kept("BIS/BIS", 1)
    for track in ("Orchestra/PPF20_RATE", "Orchestra/RFTN20_RATE", "Orchestra/NEPI_RATE"):
        assert not kept(track, -1)
        assert kept(track, 0)
        assert kept(track, 1200)
        assert kept(track, 1500)
    for item in config.inputs:
        for source in item.sources:
            if source.conversion is None:
                assert source.limits[1] >= item.range[1], "a limit must not cut the normalization range"


def test_the_options_of_the_specification(config: Config) -> None:
    assert (config.windowing.window, config.windowing.step, config.windowing.target_horizon) == (300, 30, 30)
    assert config.windowing.min_observed_fraction == 0
    assert (config.split.train, config.split.validation) == (0.70, 0.15)
    assert (config.output.layout, config.output.shard_mb, config.output.compression) == ("sharded", 150, "none")
    assert config.validation.min_success_rate == 0.95
    assert config.reading.max_decompressed_bytes == 2**30
    assert config.imputation.causal
    assert sum(item.vital for item in config.inputs) == 7


def test_vitaldb_s_own_units_are_accepted(config: Config, shared_data: Path) -> None:
    with (shared_data / "vitaldb_open" / "track_names.csv").open(encoding="utf-8-sig") as file:
        units = {row["Parameter"]: row["Unit"] for row in csv.DictReader(file)}
    for item in config.inputs:
        for source in item.sources:
            accepted = {unit.casefold() for unit in config.accepted_units(source)}
            assert units[source.track].strip().casefold() in accepted, source.track
