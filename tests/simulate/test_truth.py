"""The simulator's truth: single rules against values worked out by hand, complete recordings against the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.features import conversion
from vitalprep.features.grid import harmonize
from vitalprep.features.impute import impute
from vitalprep.simulate.course import case_course
from vitalprep.simulate.monitors import attach
from vitalprep.simulate.patients import Patient, patient_of_case
from vitalprep.simulate.recording import encode_recording, file_form
from vitalprep.simulate.signals import NumericTrack, numeric_tracks
from vitalprep.simulate.truth import HELD, MEASURED, MISSING, Body, WrittenCase, body_of, case_truth, write_truth
from vitalprep.simulate.waves.forms import WAVE_FORMS
from vitalprep.simulate.waves.tracks import WaveTrack
from vitalprep.vital.recording import VitalFile, read_vital

CONFIG = load_config()
NOT_CAUSAL = load_config(settings=["imputation.causal=false"])
UNITS = {source.track: source.unit for item in CONFIG.inputs for source in item.sources}
START = 4102444800.123  # a start as simulated files have it, so that times are as coarse as theirs
CO2 = next(form for form in WAVE_FORMS if form.name == "CO2")
BODY = Body(weight=70, ideal_weight=60)


def track(path: str, *records: tuple[float, float], unit: str | None = None) -> NumericTrack:
    device, name = path.split("/")
    times, values = (np.array([record[part] for record in records], dtype=np.float64) for part in (0, 1))
    unit = UNITS.get(path, "") if unit is None else unit
    return NumericTrack(device=device, name=name, unit=unit, times=times, values=values)


def truth(*tracks: NumericTrack, end: float, config: Config = CONFIG, **options: Any) -> pa.Table:
    """The truth of some tracks and of one that no signal uses and whose only record is the recording's last."""
    written = WrittenCase(start=START, start_in_header=True, numerics=[*tracks, track("Solar8000/BT", (end, 36.5))])
    written = replace(written, **{key: options.pop(key) for key in ("start_in_header", "wave_span") if key in options})
    options = {"patient_values": {}, "remifentanil_ug_per_ml": None, "body": BODY} | options
    return case_truth(config, written=written, **options)


def shown(table: pa.Table, name: str) -> list[tuple[int, int, float]]:
    """A signal as runs of (seconds, origin, value rounded to 4 decimals)."""
    runs: list[tuple[int, int, float]] = []
    pairs = zip(table[f"{name}_origin"].to_pylist(), table[name].to_pylist(), strict=True)
    for origin, value in ((origin, round(value, 4)) for origin, value in pairs):
        count = runs.pop()[0] if runs and runs[-1][1:] == (origin, value) else 0
        runs.append((count + 1, origin, value))
    return runs


def test_the_columns_are_the_second_and_three_per_signal_in_record_order() -> None:
    table = truth(end=3.5)
    names = [f"{item.name}{end}" for item in CONFIG.inputs for end in ("", "_origin", "_patient")]
    assert table.column_names == ["second", *names]
    assert table["second"].to_pylist() == [0, 1, 2, 3]
    assert [str(kind) for kind in table.schema.types] == ["int32", *["float", "uint8", "float"] * 16]
    assert shown(table, "HR") == [(4, MISSING, 70)]
    assert np.isnan(table["HR_patient"].to_numpy()).all()


def test_a_value_is_measured_while_live_then_held_then_missing() -> None:
    table = truth(track("Solar8000/PLETH_SPO2", (5.2, 97), (8.7, 98), (40.1, 99)), end=400)
    assert shown(table, "SPO2") == [
        (5, MISSING, 96),  # nothing yet
        (3, MEASURED, 97),  # seconds 5 to 7
        (11, MEASURED, 98),  # 8, and live for 10 s more
        (21, HELD, 98),  # a gap inside
        (11, MEASURED, 99),
        (300, HELD, 99),  # after the last one, for the signal's hold
        (50, MISSING, 96),
    ]


@pytest.mark.parametrize(("causal", "inside"), [("false", (29, HELD, 5.0662)), ("true", (29, MISSING, 0.0))])
def test_a_gap_inside_is_held_without_limit_unless_causal(causal: str, inside: tuple[int, int, float]) -> None:
    config = load_config(settings=[f"imputation.causal={causal}", "inputs.ETCO2.hold=0"])
    table = truth(track("Solar8000/ETCO2", (0, 38), (40, 30)), end=60, config=config)
    assert shown(table, "ETCO2") == [(11, MEASURED, 5.0662), inside, (11, MEASURED, 3.9997), (10, MISSING, 0)]


def test_a_causal_gap_is_held_for_the_hold() -> None:
    config = load_config(settings=["imputation.causal=true", "inputs.HR.hold=7"])
    table = truth(track("Solar8000/HR", (0, 80), (40, 81)), end=52, config=config)
    held, last = (7, HELD, 80), [(11, MEASURED, 81), (2, HELD, 81)]
    assert shown(table, "HR") == [(11, MEASURED, 80), held, (22, MISSING, 70), *last]


def test_the_first_live_source_counts() -> None:
    cuff, line = track("Solar8000/NIBP_SBP", (1, 110)), track("Solar8000/ART_SBP", (3, 120), (9, 121))
    table = truth(cuff, line, end=700)  # stale after 600 and 10 s
    runs = [(1, MISSING, 140), (2, MEASURED, 110), (6, MEASURED, 120), (11, MEASURED, 121), (582, MEASURED, 110)]
    assert shown(table, "BP_SYS") == [*runs, (99, HELD, 110)]


def test_remifentanil_is_the_sum_of_the_live_strengths() -> None:
    table = truth(track("Orchestra/RFTN20_RATE", (0, 21)), track("Orchestra/RFTN50_RATE", (5, 4.2)), end=70)
    runs = [(5, MEASURED, 0.1), (56, MEASURED, 0.15), (5, MEASURED, 0.05), (5, HELD, 0.05)]
    assert shown(table, "Remifentanil_INF") == runs


def test_the_other_conversions() -> None:
    pumps = track("Orchestra/PPF20_RATE", (0, 21)), track("Orchestra/NEPI_RATE", (0, 21))
    machine = track("Primus/TV", (0, 480)), track("Primus/PEEP_MBAR", (0, 5))
    table = truth(*pumps, *machine, end=0)
    names = ("Propofol_INF", "Noradrenalin_INF", "TV", "PEEP")
    assert [shown(table, name) for name in names] == [[(1, MEASURED, value)] for value in (6, 0.1, 8, 5.0986)]


def test_implausible_records_do_not_count() -> None:
    bis = track("BIS/BIS", (0, 45), (2, 0), (3, np.nan), (4, np.inf), (5, 50), (5.5, 101))
    pressure = track("Solar8000/ART_SBP", (0, 290), (1, 291), (2, 20 - 1e-9), (3, -1))  # 20 as float32
    table = truth(bis, pressure, end=20)
    assert shown(table, "BIS") == [(5, MEASURED, 45), (11, MEASURED, 50), (5, HELD, 50)]
    assert shown(table, "BP_SYS") == [(2, MEASURED, 290), (11, MEASURED, 20), (8, HELD, 20)]


def test_the_last_record_of_a_second_wins_by_time_then_by_the_order_of_the_file() -> None:
    first = track("Solar8000/HR", (0.5, 60), (0.5, 61), (1.9, 70), (1.2, 71), (2.5, 80))
    again = track("Solar8000/HR", (2.5, 81), (2.1, 82))
    assert shown(truth(first, again, end=2.9), "HR") == [(1, MEASURED, 61), (1, MEASURED, 70), (1, MEASURED, 81)]
    assert shown(truth(again, first, end=2.9), "HR")[2] == (1, MEASURED, 80)


@pytest.mark.parametrize(("unit", "value"), [(" MMHG ", 120), ("", 120), ("kPa", 110)])
def test_a_source_of_a_foreign_unit_is_not_used(unit: str, value: float) -> None:
    tracks = track("Solar8000/ART_SBP", (0, 120), unit=unit), track("Solar8000/NIBP_SBP", (0, 110))
    assert shown(truth(*tracks, end=1), "BP_SYS") == [(2, MEASURED, value)]
    assert shown(truth(track("BIS/BIS", (0, 45), unit="%"), end=1), "BIS") == [(2, MISSING, 0)]


def test_time_stamps_around_a_second_belong_to_it_within_a_millisecond() -> None:
    records = [(-0.5, 59), (-0.0005, 60), (1.9985, 61), (2.9995, 62), (4.0005, 63)]
    table = truth(track("Solar8000/HR", *records), end=4.9995)
    assert [value for _, _, value in shown(table, "HR")] == [60, 61, 62, 63]
    assert [count for count, _, _ in shown(table, "HR")] == [1, 2, 1, 2]  # second 5 begins with the last record


def test_without_a_start_in_the_header_time_begins_with_the_first_record() -> None:
    tracks = track("Solar8000/HR", (3.5, 60), (4.7, 61)), track("Unknown/TRACK", (2.6, 0))
    values = {"hr": np.arange(100.0, 106.0)}
    table = truth(*tracks, end=6.7, start_in_header=False, patient_values=values)
    assert shown(table, "HR") == [(2, MEASURED, 60), (3, MEASURED, 61)]
    assert table["HR_patient"].to_pylist()[:4] == [102, 103, 104, 105]  # second 0 begins 2.6 s after the patient's
    assert np.isnan(table["HR_patient"].to_pylist()[4:]).all()


def test_waves_count_for_the_clock() -> None:
    span = (START + 0.4, START + 8.2)
    heart = track("Solar8000/HR", (1.5, 60))
    assert len(truth(heart, end=2, wave_span=span)) == 9
    table = truth(heart, end=2, wave_span=span, start_in_header=False)
    assert len(table) == 8
    assert shown(table, "HR") == [(1, MISSING, 70), (7, MEASURED, 60)]


def test_a_file_without_records_has_no_seconds() -> None:
    for in_header in (True, False):
        written = WrittenCase(start=START, start_in_header=in_header, numerics=[])
        assert len(case_truth(CONFIG, body=BODY, written=written, patient_values={}, remifentanil_ug_per_ml=None)) == 0


@pytest.mark.parametrize(("strength", "rate"), [(20, 0.1), (50, 0.25), (None, np.nan)])
def test_the_patients_true_values_are_in_the_unit_of_the_signal(strength: int | None, rate: float) -> None:
    values = {"remifentanil": [21.0], "propofol": [21.0], "etco2": [38.0], "tv": [480.0], "bis": [np.nan]}
    given = {name: np.array(value) for name, value in values.items()}
    table = truth(end=0, patient_values=given, remifentanil_ug_per_ml=strength)
    names = ("Remifentanil_INF", "Propofol_INF", "ETCO2", "TV", "BIS", "SPO2")
    real = [table[f"{name}_patient"][0].as_py() for name in names]
    np.testing.assert_allclose(real, [rate, 6, 5.066236, 8, np.nan, np.nan], rtol=1e-6)


@pytest.mark.parametrize(
    ("sex", "height", "weight", "expected"),
    [
        ("M", 180, 80, (80, 74.9918)),  # 50 + 0.9055 x 27.6
        ("F", 160, 55, (55, 52.3818)),  # 45.5 + 0.9055 x 7.6
        ("M", 150, 45, (45, 47.8268)),  # below 152.4 cm Devine's weight stands while it is above the patient's own,
        ("M", 150, 60, (60, 50)),  # but no more than Devine's at 152.4 cm does
        ("F", 60, 6, (6, 6)),
        (None, 160, 55, (55, 52.3818)),
        ("M", None, 80, (80, 65.9368)),  # at 170 cm
        ("F", 140, None, (70, 45.5)),
        ("F", 0, -1, (70, 61.4368)),
        (None, np.nan, np.nan, (70, 61.4368)),
    ],
)
def test_the_weights_that_doses_and_volumes_are_divided_by(
    sex: str | None, height: float | None, weight: float | None, expected: tuple[float, float]
) -> None:
    body = body_of(CONFIG, sex=sex, height=height, weight=weight)
    assert (body.weight, body.ideal_weight) == pytest.approx(expected)


def test_the_same_table_gives_the_same_bytes_and_only_whole_files(tmp_path: Path) -> None:
    table = truth(track("Solar8000/HR", (0, 60)), end=30)
    for name in ("a.parquet", "b.parquet"):
        write_truth(tmp_path / name, table)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pq.read_table(tmp_path / "a.parquet").drop_columns(["BIS_patient"]).num_rows == 31
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_truth(tmp_path / "folder", table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "folder"]


@dataclass(frozen=True)
class Simulated:
    """A case as its file has it, the truth of it, and the patient."""

    patient: Patient
    recording: VitalFile
    truth: pa.Table


def simulated(case_id: int, *, hours: float, disturb: bool, config: Config) -> Simulated:
    """A case, written and read again. Everything of the simulator that these tests build on stands here."""
    seed = 5
    patient = patient_of_case(seed, case_id)
    course = case_course(seed, patient, hours)
    numerics = numeric_tracks(seed, patient, course, attach(seed, case_id, course))
    waves: tuple[WaveTrack, ...] = ()
    if disturb:
        numerics = disturbed(numerics, np.random.default_rng(case_id), course.phases.end)
        starts = course.phases.end + np.array([-60.0, 2.0, 4.0])
        waves = (WaveTrack(form=CO2, starts=starts, samples=np.zeros((3, CO2.record_samples), dtype=np.int16)),)
    recording = read_vital(encode_recording(seed, case_id, course.phases, numerics, waves))
    form = file_form(seed, case_id)
    start, in_header = form.start, form.has_start
    assert recording.start_time == (start if in_header else None)
    last = (CO2.record_samples - 1) / CO2.sample_rate
    spans = [(start + wave.starts[0], start + wave.starts[-1] + last) for wave in waves]
    written = WrittenCase(
        start=start, start_in_header=in_header, numerics=numerics, wave_span=spans[0] if spans else None
    )
    body = body_of(config, sex=patient.sex, height=patient.height, weight=patient.weight)
    strength = course.remifentanil_ug_per_ml
    table = case_truth(
        config, body=body, written=written, patient_values=course.values, remifentanil_ug_per_ml=strength
    )
    return Simulated(patient, recording, table)


def disturbed(numerics: tuple[NumericTrack, ...], rng: np.random.Generator, end: float) -> tuple[NumericTrack, ...]:
    """What is rare, in every case: pumps of all strengths, arterial zero, foreign units, odd values and times."""

    def added(path: str, *, interval: float, values: list[float], unit: str | None = None) -> NumericTrack:
        times = np.arange(rng.uniform(-2, 0.3) * interval, rng.uniform(0.5, 1) * end, interval)
        times = times[rng.random(len(times)) < 0.8]
        return track(path, *zip(times, rng.choice(values, len(times)), strict=True), unit=unit)

    grid = np.repeat(np.arange(0, end - 100, 7), 2)
    edges = grid + rng.choice([-0.0015, -0.001, -0.0005, 0, 0.0005], len(grid))
    heart = rng.uniform(50, 90, len(grid))
    own = {f"{kept.device}/{kept.name}": kept for kept in numerics}
    replaced = {*(f"Solar8000/{name}" for name in ("HR", "PLETH_HR", "ART_SBP")), "BIS/BIS"}
    replaced |= {"Orchestra/RFTN50_RATE", "Orchestra/NEPI_RATE"}
    return (
        *(kept for path, kept in own.items() if path not in replaced),
        *(track("Solar8000/HR", *zip(edges[half::2], heart[half::2], strict=True)) for half in (0, 1)),
        added("Solar8000/PLETH_HR", interval=2, values=[70, 71], unit="Hz"),
        added("Solar8000/ART_SBP", interval=2, values=[-2, 0, 19.9, 20, 120.3, 290, 300, np.nan]),
        added("Orchestra/RFTN50_RATE", interval=45, values=[0, 3.3, 8.7, -1]),
        added("Orchestra/NEPI_RATE", interval=45, values=[0, 2, 7.1, 2000, 2001], unit=" ML/HR"),
        added("BIS/BIS", interval=9, values=[0, 0.1, 44.4, 100, np.inf], unit=""),
    )


@pytest.mark.parametrize("config", [CONFIG, NOT_CAUSAL], ids=["causal", "not causal"])
@pytest.mark.parametrize("disturb", [False, True], ids=["as it is", "disturbed"])
@pytest.mark.parametrize("case_id", [1, 2, 3, 4, 6, 9, 12, 18])  # odd ones packed; 6, 12 and 18 with the short header
def test_the_pipeline_agrees_with_the_truth(case_id: int, disturb: bool, config: Config) -> None:
    case = simulated(case_id, hours=0.2 + 0.015 * case_id, disturb=disturb, config=config)
    patient = case.patient
    assert (case.recording.start_time is None) == (case_id % 6 == 0)
    sex = 1.0 if patient.sex == "M" else -1.0
    series = harmonize(case.recording, config, conversion.Body(sex=sex, height=patient.height, weight=patient.weight))
    assert case.truth["second"].to_pylist() == list(range(len(series.values)))
    origins = set()
    for item, column in zip(config.inputs, series.values.T, strict=True):
        values, origin = impute(column, default=item.default, hold=item.hold, causal=config.imputation.causal)
        np.testing.assert_array_equal(case.truth[f"{item.name}_origin"].to_numpy(), origin, err_msg=item.name)
        np.testing.assert_allclose(case.truth[item.name].to_numpy(), values, rtol=1e-6, atol=0, err_msg=item.name)
        origins |= set(origin.tolist())
    if disturb:
        assert origins == {MEASURED, HELD, MISSING}
        assert series.unit_conflicts == (("Solar8000/PLETH_HR", "Hz"),)
        assert (case.truth["Noradrenalin_INF_origin"].to_numpy() == MEASURED).any()
