"""Resampling to 1 Hz against the slow reference, for the complete registry, any patient and any recording."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import design4
from vitalprep.contract.config_file import load_config
from vitalprep.features.conversion import Body
from vitalprep.features.grid import Series, harmonize
from vitalprep.runtime.errors import CaseRefused
from vitalprep.simulate.vital_writer import (
    DeviceHeader,
    FileHeader,
    NumericRecord,
    Track,
    TrackHeader,
    WaveRecord,
    encode_interleaved,
    encode_packed,
    gzip_bytes,
)
from vitalprep.vital.recording import Numeric, VitalFile, read_vital

CONFIG = load_config()
NAMES = [item.name for item in CONFIG.inputs]
TRACKS = [source.track for item in CONFIG.inputs for source in item.sources]
LIMITS = {source.track: source.limits for item in CONFIG.inputs for source in item.sources}
BODY = Body(sex=1, height=180, weight=80)
START = 4102444800.0

# The sources of each input in order, copied from docs/design.md, 3.
SOURCES = {
    "HR": "Solar8000/HR; Solar8000/PLETH_HR",
    "BP_SYS": "Solar8000/ART_SBP; Solar8000/NIBP_SBP",
    "BP_DIA": "Solar8000/ART_DBP; Solar8000/NIBP_DBP",
    "BP_MAP": "Solar8000/ART_MBP; Solar8000/NIBP_MBP; EV1000/ART_MBP",
    "SPO2": "Solar8000/PLETH_SPO2",
    "ETCO2": "Solar8000/ETCO2; Primus/ETCO2",
    "BIS": "BIS/BIS",
    "Propofol_INF": "Orchestra/PPF20_RATE",
    "Remifentanil_INF": "Orchestra/RFTN20_RATE; Orchestra/RFTN50_RATE",
    "Noradrenalin_INF": "Orchestra/NEPI_RATE",
    "TV": "Solar8000/VENT_TV; Primus/TV",
    "PEEP": "Primus/PEEP_MBAR; Solar8000/VENT_MEAS_PEEP",
    "FIO2": "Solar8000/FIO2; Primus/FIO2",
    "RR": "Primus/RR_CO2; Solar8000/RR_CO2; Solar8000/VENT_RR; Solar8000/RR",
    "etSEV": "Primus/EXP_SEVO",
    "inSev": "Primus/INSP_SEVO",
}
STALE_AFTER = {"Solar8000": 10, "BIS": 10, "EV1000": 10, "Primus": 30, "Orchestra": 60}
Records = dict[str, list[tuple[float, float]]]


def reference_source(track: str, body: Body) -> design4.Source:
    """A source with multiplier and staleness from docs/design.md, 3 and 4, and plausible limits from the registry."""
    device, name = track.split("/")
    sex = "M" if body.sex > 0 else "F"
    multiplier = {
        "PPF20_RATE": design4.per_hour_multiplier(20, body.weight),
        "RFTN20_RATE": design4.per_minute_multiplier(20, body.weight),
        "RFTN50_RATE": design4.per_minute_multiplier(50, body.weight),
        "NEPI_RATE": design4.per_minute_multiplier(20, body.weight),
        "VENT_TV": design4.per_ibw_multiplier(design4.ideal_body_weight(sex, body.height, body.weight)),
        "TV": design4.per_ibw_multiplier(design4.ideal_body_weight(sex, body.height, body.weight)),
        "ETCO2": 0.133322,
        "PEEP_MBAR": 1.01972,
        "VENT_MEAS_PEEP": 1.01972,
    }.get(name, 1.0)
    stale_after = 600 if name.startswith("NIBP_") else STALE_AFTER[device]
    return design4.Source(track=track, limits=LIMITS[track], stale_after=stale_after, multiplier=multiplier)


def reference_table(records: Records, body: Body, t0: float, n: int) -> np.ndarray:
    columns = [
        design4.harmonize_feature(
            [reference_source(track, body) for track in sources.split("; ")],
            records,
            t0,
            n,
            combine="sum" if name == "Remifentanil_INF" else "first",
        )
        for name, sources in SOURCES.items()
    ]
    return np.array(columns).T


def recording_of(
    records: Records, *, start: float | None = START, tail: float | None = None, units: dict[str, str] | None = None
) -> VitalFile:
    """A recording as the reader gives it; `tail` is the last sample of a wave, in Unix s."""
    numerics = {}
    for track, rows in records.items():
        rows = sorted(rows, key=lambda row: row[0])
        times, values = np.array([time for time, _ in rows]), np.array([value for _, value in rows])
        numerics[track] = Numeric(track, ((units or {}).get(track, ""),), times, values)
    times = [time for rows in records.values() for time, _ in rows]
    ends = times if tail is None else [*times, tail]
    return VitalFile(start, min(ends, default=None), max(ends, default=None), numerics, 0)


def values_of(track: str) -> st.SearchStrategy[float]:
    """Values at, within and beyond a track's limits, and none at all."""
    low, high = LIMITS[track]
    edges = [low, high, np.nextafter(low, -math.inf), np.nextafter(high, math.inf), -1.0, 0.0, math.nan, math.inf]
    return st.floats(low, high) | st.sampled_from([float(edge) for edge in edges])


@st.composite
def record_lists(draw: st.DrawFn) -> Records:
    """Up to 8 tracks, most of one or two inputs, so that sources meet; seconds crowded together and far apart."""
    crowded = draw(st.sampled_from(sorted(SOURCES)))
    tracks = {*SOURCES[crowded].split("; "), *draw(st.lists(st.sampled_from(TRACKS), max_size=5))}
    seconds = st.integers(-3, 40) | st.integers(0, 700)
    fractions = st.sampled_from([0.0, 0.25, 0.5, 0.998, 0.9985, 0.9995, -0.0005, -0.002])
    times = st.builds(lambda second, fraction: START + second + fraction, seconds, fractions)
    return {
        track: draw(st.lists(st.tuples(times, values_of(track)), min_size=1, max_size=12)) for track in sorted(tracks)
    }


bodies = st.builds(
    Body, st.sampled_from([-1.0, 1.0]), st.floats(50, 230) | st.just(144.0), st.floats(2, 300) | st.just(20.0)
)
starts = st.sampled_from([None, START, START + 0.5, START + 7.2, START - 20])
tails = st.none() | st.floats(START, START + 800)


def settled(found: Series, name: str) -> np.ndarray:
    return found.values[:, NAMES.index(name)]


def test_the_inputs_and_their_sources_stand_in_the_order_of_the_specification() -> None:
    found = {item.name: "; ".join(source.track for source in item.sources) for item in CONFIG.inputs}
    assert list(found.items()) == list(SOURCES.items())


@settings(max_examples=150, deadline=None)
@given(records=record_lists(), body=bodies, start=starts, tail=tails)
def test_any_recording_equals_the_reference(
    records: Records, body: Body, start: float | None, tail: float | None
) -> None:
    rows = [("numeric", time, 1, 0.0) for of_track in records.values() for time, _ in of_track]
    t0, t_last = design4.clock(start, [*rows, *([("wave", tail, 1, 500.0)] if tail is not None else [])])
    n = design4.seconds_of_recording(t0, t_last)
    wanted = reference_table(records, body, t0, max(n, 0))
    recording = recording_of(records, start=start, tail=tail)
    if np.isnan(wanted).all():
        with pytest.raises(CaseRefused) as caught:
            harmonize(recording, CONFIG, body)
        assert caught.value.reason == "no_signal"
        return
    found = harmonize(recording, CONFIG, body)
    assert found.values.dtype == np.float32
    assert found.values.shape == (n, 16)
    assert found.unit_conflicts == ()
    np.testing.assert_allclose(found.values, wanted, rtol=1e-6, atol=0, equal_nan=True)
    for name, column in zip(SOURCES, found.values.T, strict=True):
        assert_quality(found, name, records, t0, column)


def assert_quality(found: Series, name: str, records: Records, t0: float, column: np.ndarray) -> None:
    quality = found.quality[name]
    rows = [
        (design4.second_of(time, t0), design4.is_plausible(value, LIMITS[track]))
        for track in SOURCES[name].split("; ")
        for time, value in records.get(track, [])
    ]
    assert quality.before_start == sum(second < 0 for second, _ in rows)
    assert quality.implausible == sum(not plausible for second, plausible in rows if second >= 0)
    longest = current = 0
    for value in column:
        current = current + 1 if math.isnan(value) else 0
        longest = max(longest, current)
    assert quality.longest_gap == longest
    observed = [float(value) for value in column if not math.isnan(value)]
    assert quality.minimum == (min(observed) if observed else None)
    assert quality.maximum == (max(observed) if observed else None)
    if observed:
        assert quality.mean == pytest.approx(math.fsum(observed) / len(observed), rel=1e-9)
    if name != "Remifentanil_INF":
        assert sum(quality.live_seconds.values()) == len(observed)
    assert set(quality.live_seconds) <= set(records)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), body=bodies)
def test_both_layouts_of_one_recording_give_the_same_table(data: st.DataObject, body: Body) -> None:
    """Numerics, and a wave whose pieces one layout joins; the start time in the header or not."""
    records = data.draw(record_lists())
    devices = sorted({track.split("/")[0] for track in records})
    heads = [DeviceHeader(device_id=index + 1, name=name) for index, name in enumerate(devices)]
    tracks = []
    for track_id, (track, rows) in enumerate(records.items(), start=1):
        device, name = track.split("/")
        header = TrackHeader(
            track_id=track_id, kind="numeric", sample_format=2, name=name, device_id=devices.index(device) + 1
        )
        tracks.append(
            Track(header, tuple(NumericRecord(track_id=track_id, time=t, value=v, sample_format=2) for t, v in rows))
        )
    pieces = data.draw(st.lists(st.integers(0, 700).map(lambda second: START + second), min_size=1, max_size=4))
    wave = TrackHeader(track_id=999, kind="wave", name="PLETH", sample_format=5, sample_rate=4.0)
    samples = np.arange(data.draw(st.integers(1, 40)))
    waves = [WaveRecord(track_id=999, time=time, samples=samples, sample_format=5) for time in pieces]
    tracks.append(Track(wave, tuple(waves)))
    header = FileHeader(start=data.draw(st.sampled_from([0.0, START, START - 5])))
    outcomes = []
    for encoded in (
        encode_interleaved(header, heads, tracks),
        encode_packed(replace(header, packed=True), heads, tracks),
    ):
        try:
            outcomes.append(harmonize(read_vital(gzip_bytes(encoded)), CONFIG, body))
        except CaseRefused as refused:
            outcomes.append(refused.reason)
    if isinstance(outcomes[0], str):
        assert outcomes[0] == outcomes[1] == "no_signal"
    else:
        np.testing.assert_array_equal(outcomes[0].values, outcomes[1].values)
        assert outcomes[0].quality == outcomes[1].quality


# The clock


def test_clock_from_the_header() -> None:
    found = harmonize(recording_of({"Solar8000/HR": [(START + 3.0, 70.0)]}, start=START + 0.5), CONFIG, BODY)
    np.testing.assert_array_equal(settled(found, "HR"), [np.nan, np.nan, 70])


def test_clock_from_the_earliest_record_even_of_a_track_that_is_not_used() -> None:
    records = {"Other/X": [(START, 1.0)], "Solar8000/HR": [(START + 2.5, 70.0)]}
    found = harmonize(recording_of(records, start=None), CONFIG, BODY)
    np.testing.assert_array_equal(settled(found, "HR"), [np.nan, np.nan, 70])


def test_a_wave_alone_at_the_end_makes_the_recording_longer() -> None:
    found = harmonize(recording_of({"Solar8000/HR": [(START, 70.0)]}, tail=START + 14.9995), CONFIG, BODY)
    np.testing.assert_array_equal(settled(found, "HR"), [70] * 11 + [np.nan] * 5)


def test_a_header_that_starts_after_everything_is_no_signal() -> None:
    with pytest.raises(CaseRefused) as caught:
        harmonize(recording_of({"Solar8000/HR": [(START, 70.0)]}, start=START + 9), CONFIG, BODY)
    assert caught.value.reason == "no_signal"


@pytest.mark.parametrize("records", [{}, {"Other/X": [(START, 1.0)]}, {"BIS/BIS": [(START, 0.0), (START + 9, 0.0)]}])
def test_nothing_measured_is_no_signal(records: Records) -> None:
    with pytest.raises(CaseRefused) as caught:
        harmonize(recording_of(records), CONFIG, BODY)
    assert caught.value.reason == "no_signal"


# Single rules of docs/design.md, 4


def test_a_live_fallback_gives_way_to_the_first_source_and_returns() -> None:
    records = {
        "Solar8000/ART_MBP": [(START + 2, 80.0), (START + 3, -5.0)],
        "Solar8000/NIBP_MBP": [(START, 60.0)],
        "EV1000/ART_MBP": [(START, 99.0), (START + 605, 98.0)],
    }
    found = harmonize(recording_of(records), CONFIG, BODY)
    wanted = [60] * 2 + [80] * 11 + [60] * 588 + [np.nan] * 4 + [98]
    np.testing.assert_array_equal(settled(found, "BP_MAP"), wanted)
    assert found.quality["BP_MAP"].live_seconds == {
        "Solar8000/ART_MBP": 11,
        "Solar8000/NIBP_MBP": 590,
        "EV1000/ART_MBP": 1,
    }


def test_remifentanil_is_the_sum_over_live_syringes() -> None:
    records = {"Orchestra/RFTN20_RATE": [(START, 24.0)], "Orchestra/RFTN50_RATE": [(START + 2, 24.0)]}
    found = harmonize(recording_of(records, tail=START + 63), CONFIG, BODY)
    wanted = [0.1] * 2 + [0.35] * 59 + [0.25] * 2 + [np.nan]
    np.testing.assert_allclose(settled(found, "Remifentanil_INF"), wanted, rtol=1e-6)


def test_names_match_in_full_only() -> None:
    records = {"Solar8000/XHR": [(START, 50.0)], "HR": [(START, 51.0)], "Solar8000/SPO2": [(START, 90.0)]}
    with pytest.raises(CaseRefused, match="no_signal"):
        harmonize(recording_of(records), CONFIG, BODY)


# Units

SPELLINGS = [
    ("Solar8000/HR", "/min"),
    ("Solar8000/HR", "bpm"),
    ("Solar8000/ART_MBP", "mmHg"),
    ("Solar8000/PLETH_SPO2", "%"),
    ("Solar8000/ETCO2", "mmHg"),
    ("BIS/BIS", "unitless"),
    ("Orchestra/PPF20_RATE", "mL/hr"),
    ("Orchestra/PPF20_RATE", "mL/h"),
    ("Primus/TV", "mL"),
    ("Primus/PEEP_MBAR", "mbar"),
    ("Solar8000/VENT_MEAS_PEEP", "hPa"),
    ("Primus/EXP_SEVO", "kPa"),
]


@pytest.mark.parametrize(("track", "unit"), SPELLINGS)
def test_accepted_spellings_and_no_unit_at_all(track: str, unit: str) -> None:
    records = {track: [(START, 40.0 if LIMITS[track][1] > 40 else 4.0)]}
    plain = harmonize(recording_of(records), CONFIG, BODY).values
    for written in (unit, f"  {unit}\t", unit.upper(), unit.lower(), "", "  "):
        found = harmonize(recording_of(records, units={track: written}), CONFIG, BODY)
        assert found.unit_conflicts == ()
        np.testing.assert_array_equal(found.values, plain)


@pytest.mark.parametrize(
    ("track", "unit"),
    [("Orchestra/PPF20_RATE", "mg/kg/h"), ("Primus/EXP_SEVO", "%"), ("Solar8000/ART_SBP", "kPa"), ("Primus/TV", "L")],
)
def test_an_input_that_loses_its_only_recorded_source_excludes_the_case(track: str, unit: str) -> None:
    records = {track: [(START, 40.0)], "Solar8000/HR": [(START, 70.0)]}
    with pytest.raises(CaseRefused) as caught:
        harmonize(recording_of(records, units={track: unit}), CONFIG, BODY)
    assert caught.value.reason == "unit_mismatch"
    assert track in caught.value.detail
    assert repr(unit) in caught.value.detail


def test_a_source_of_another_unit_is_not_used_and_is_counted() -> None:
    records = {"Solar8000/ETCO2": [(START, 5.0)], "Primus/ETCO2": [(START, 30.0)]}
    found = harmonize(recording_of(records, units={"Solar8000/ETCO2": "kPa"}), CONFIG, BODY)
    assert found.unit_conflicts == (("Solar8000/ETCO2", "kPa"),)
    assert settled(found, "ETCO2")[0] == pytest.approx(30 * 0.133322, rel=1e-6)
    with pytest.raises(CaseRefused, match="unit_mismatch"):
        harmonize(recording_of(records, units=dict.fromkeys(records, "kPa")), CONFIG, BODY)


def test_one_unknown_unit_among_the_headers_of_a_merged_track_refuses_it() -> None:
    recording = recording_of({"Primus/TV": [(START, 400.0), (START + 1, 0.4)]})
    recording.numerics["Primus/TV"] = replace(recording.numerics["Primus/TV"], units=("mL", "L"))
    with pytest.raises(CaseRefused, match="unit_mismatch"):
        harmonize(recording, CONFIG, BODY)


@pytest.mark.parametrize("case", [19, 34, 35, 37, 44, 77, 124, 132, 134, 149, 221])
def test_real_case_equals_the_reference(shared_data: Path, case: int) -> None:
    """Every track of a real case; its units are all known."""
    recording = read_vital((shared_data / f"vitaldb_open/raw-data/{case:04}.vital").read_bytes())
    found = harmonize(recording, CONFIG, BODY)
    records = {
        name: list(zip(track.times.tolist(), track.values.tolist(), strict=True))
        for name, track in recording.numerics.items()
    }
    rows = [("numeric", time, 1, 0.0) for of_track in records.values() for time, _ in of_track]
    t0, t_last = design4.clock(recording.start_time, rows)
    wanted = reference_table(records, BODY, t0, design4.seconds_of_recording(t0, t_last))
    np.testing.assert_allclose(found.values, wanted, rtol=1e-6, atol=0, equal_nan=True)
    assert found.unit_conflicts == ()
