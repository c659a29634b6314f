"""Waves: a reader gets the generated samples, and they have the expected clinical features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from vitalprep.simulate.attached import Attached
from vitalprep.simulate.course import Course, Quantity, case_course
from vitalprep.simulate.patients import patient_of_case
from vitalprep.simulate.recording import encode_recording
from vitalprep.simulate.waves.forms import WAVE_FORMS
from vitalprep.simulate.waves.rhythms import wave_setting
from vitalprep.simulate.waves.tracks import WaveTrack, wave_tracks

vitaldb = pytest.importorskip("vitaldb", reason="the reference reader is a development dependency")

Floats = npt.NDArray[np.float64]
SEED, HOURS = 7, 0.4
RATES = {  # of VitalDB
    "SNUADC/ECG_II": (500.0, "mV"),
    "SNUADC/ECG_V5": (500.0, "mV"),
    "SNUADC/PLETH": (500.0, "unitless"),
    "SNUADC/ART": (500.0, "mmHg"),
    "Primus/CO2": (62.5, "mmHg"),
    "Primus/AWP": (62.5, "hPa"),
    "BIS/EEG1_WAV": (128.0, "uV"),
    "BIS/EEG2_WAV": (128.0, "uV"),
}


@dataclass(frozen=True)
class Wave:
    """Samples in their unit at seconds after the recording's start; gaps are absent."""

    seconds: Floats
    values: Floats

    @classmethod
    def of(cls, track: WaveTrack) -> Wave:
        form = track.form
        seconds = track.starts[:, np.newaxis] + np.arange(form.record_samples) / form.sample_rate
        values = track.samples.ravel() * form.gain + form.offset
        return cls(np.asarray(seconds.ravel(), dtype=np.float64), np.asarray(values, dtype=np.float64))

    def between(self, start: float, end: float) -> Wave:
        inside = (self.seconds >= start) & (self.seconds < end)
        return Wave(self.seconds[inside], self.values[inside])


def attached_to(course: Course, *names: str) -> Attached:
    phases = course.phases
    return Attached(
        feeds=frozenset(names or RATES),
        flush=phases.induction + 20,
        cannula=phases.induction + 30,
        sensor_on=max(phases.induction - 60, 0),
        sensor_off=phases.extubation,
    )


def course_of(case_id: int, hours: float = HOURS, **constants: float) -> Course:
    course = case_course(SEED, patient_of_case(SEED, case_id), hours)
    values: dict[Quantity, Floats] = dict(course.values)
    for name, value in constants.items():
        values[name] = np.full_like(values["hr"], value)  # type: ignore[index]
    return replace(course, values=values)


def draw(case_id: int, course: Course, *names: str) -> dict[str, Wave]:
    tracks = wave_tracks(SEED, case_id, course, attached_to(course, *names))
    return {track.form.track: Wave.of(track) for track in tracks}


@pytest.fixture(scope="module")
def cases() -> list[tuple[Course, dict[str, Wave]]]:
    """Some cases of 24 minutes with all waves."""
    courses = [(case_id, course_of(case_id)) for case_id in (1, 2, 3)]
    return [(course, draw(case_id, course)) for case_id, course in courses]


def r_waves(ecg: Wave) -> Floats:
    """Seconds of the highest point of each QRS complex, where no knife disturbs the lead."""
    slope = np.abs(ecg.values - np.convolve(ecg.values, np.full(101, 1 / 101), mode="same"))
    high = np.flatnonzero(slope > 0.45 * np.quantile(slope, 0.995))
    groups = np.split(high, np.flatnonzero(np.diff(high) > 100) + 1)
    return np.array([ecg.seconds[group[np.argmax(slope[group])]] for group in groups])


@pytest.mark.parametrize("case_id", [1, 2], ids=["packed", "interleaved"])
def test_the_reference_reader_returns_every_sample(tmp_path: Path, case_id: int) -> None:
    course = course_of(case_id, 0.1)
    tracks = {track.form.track: track for track in wave_tracks(SEED, case_id, course, attached_to(course))}
    path = tmp_path / "case.vital"
    path.write_bytes(encode_recording(SEED, case_id, course.phases, (), tracks.values()))
    found = vitaldb.VitalFile(str(path))
    assert found.packed == (case_id == 1)
    assert {name: (track.srate, track.unit) for name, track in found.trks.items() if name != "EVENT"} == RATES
    for name, track in tracks.items():
        samples = np.concatenate([record["val"] for record in found.trks[name].recs])
        np.testing.assert_array_equal(samples[samples != -32768], track.samples.ravel())
        assert (found.trks[name].gain, found.trks[name].offset) == pytest.approx((track.form.gain, track.form.offset))


def test_a_long_enough_case_has_the_size_of_a_real_one() -> None:
    """VitalDB's files have 0.045 to 0.116 MB a minute (5 to 95 %), 0.09 in the middle; these have all waves."""
    for case_id in (1, 2):
        course = course_of(case_id)
        waves = wave_tracks(SEED, case_id, course, attached_to(course))
        size = len(encode_recording(SEED, case_id, course.phases, (), waves))
        assert 0.06 < size / 1e6 / (HOURS * 60) < 0.14


def test_the_same_case_has_the_same_bytes_and_no_wave_depends_on_another() -> None:
    course = course_of(2, 0.1)

    def stored(*names: str) -> dict[str, bytes]:
        tracks: Iterator[WaveTrack] = wave_tracks(SEED, 2, course, attached_to(course, *names))
        return {track.form.track: track.starts.tobytes() + track.samples.tobytes() for track in tracks}

    every = stored()
    assert stored() == every
    assert set(every) == set(RATES)
    for name in ("SNUADC/ART", "BIS/EEG2_WAV", "Primus/CO2"):
        assert stored(name) == {name: every[name]}
    assert every["SNUADC/ECG_II"] != every["SNUADC/ECG_V5"]
    assert every["BIS/EEG1_WAV"] != every["BIS/EEG2_WAV"]


@pytest.mark.parametrize("hours", [1 / 3600, 3 / 3600, 0.02])
def test_shortest_cases_have_what_fits(hours: float) -> None:
    for case_id in (1, 2):
        waves = draw(case_id, course_of(case_id, hours))
        assert set(waves) == {
            form.track for form in WAVE_FORMS if hours * 3600 >= form.record_samples / form.sample_rate
        }


def test_heart_beats_as_often_as_the_course_says(cases: list[tuple[Course, dict[str, Wave]]]) -> None:
    for course, waves in cases:
        for name in ("SNUADC/ECG_II", "SNUADC/ECG_V5"):
            ecg = waves[name].between(0, course.phases.incision)
            recorded = np.unique(ecg.seconds.astype(int))
            expected = course.values["hr"][recorded].sum() / 60
            assert len(r_waves(ecg)) == pytest.approx(expected, rel=0.02)


def test_pulses_follow_the_r_wave(cases: list[tuple[Course, dict[str, Wave]]]) -> None:
    for course, waves in cases:
        beats = r_waves(waves["SNUADC/ECG_II"].between(course.phases.induction + 40, course.phases.incision))
        for name, earliest, latest in (("SNUADC/ART", 0.12, 0.30), ("SNUADC/PLETH", 0.2, 0.45)):
            wave = waves[name]
            delays = []
            for beat in beats:
                piece = wave.between(beat, beat + 0.55)
                smooth = np.convolve(piece.values, np.full(15, 1 / 15), mode="valid")
                if len(smooth) > 200:
                    delays.append(piece.seconds[np.argmax(np.diff(smooth)) + 7] - beat)
            assert len(delays) > 50
            assert earliest < np.quantile(delays, 0.05) < np.quantile(delays, 0.95) < latest
            assert np.std(delays) < 0.05


def test_arterial_pressure_is_the_patients(cases: list[tuple[Course, dict[str, Wave]]]) -> None:
    for course, waves in cases:
        start = course.phases.induction + 40
        beats = r_waves(waves["SNUADC/ECG_II"].between(start, course.phases.incision))
        pressure = waves["SNUADC/ART"]
        high, low, mean = [], [], []
        for beat, following in pairwise(beats):
            pulse = pressure.between(beat + 0.1, following + 0.1).values
            if len(pulse) > 100 and pulse.max() < 280 and following - beat < 2:
                second = int(beat)
                high.append(pulse.max() - course.values["sbp"][second])
                low.append(pulse.min() - course.values["dbp"][second])
                mean.append(pulse.mean() - course.values["mbp"][second])
        assert len(high) > 50
        assert abs(np.median(high)) < 2
        assert abs(np.median(low)) < 2
        assert abs(np.median(mean)) < 4
        assert np.quantile(np.abs(high), 0.9) < 7  # breathing varies it
        assert np.quantile(np.abs(low), 0.9) < 4


def test_arterial_line_shows_air_then_the_pressure_bag_then_the_patient(
    cases: list[tuple[Course, dict[str, Wave]]],
) -> None:
    for course, waves in cases:
        line, pressure = attached_to(course), waves["SNUADC/ART"]
        assert np.abs(pressure.between(0, line.flush).values).max() < 4
        flushed = pressure.between(line.flush, line.cannula).values
        assert flushed.min() >= 300
        assert flushed.max() < 320
        patient = pressure.between(line.cannula + 1, line.cannula + 20).values
        assert patient.max() < course.values["sbp"].max() + 25


def test_breathing_moves_pulse_pressure_and_pleth() -> None:
    course = course_of(2, hr=72, sbp=120, dbp=70, mbp=88, rr=12, peep=5, pip=20, etco2=35)
    wave = draw(2, course, "SNUADC/ART")["SNUADC/ART"].between(course.phases.incision, course.phases.closure)
    tops = wave.values[: len(wave.values) // 500 * 500].reshape(-1, 500).max(axis=1)
    tops = tops[(tops < 200) & (tops > 100)]
    spectrum = np.abs(np.fft.rfft(tops - tops.mean()))
    frequency = np.fft.rfftfreq(len(tops), 1.0)
    breathing = spectrum[np.abs(frequency - 0.2) < 0.01].max()
    assert breathing > 4 * np.median(spectrum)


def test_premature_beats_are_weak_and_followed_by_a_full_pause() -> None:
    early = 0
    for case_id in range(1, 13):
        course = course_of(case_id)
        beats = wave_setting(SEED, case_id, course, attached_to(course)).beats
        for index in np.flatnonzero(beats.premature[2:-2]) + 2:
            usual = 60 / beats.rates[index]
            before, after = np.diff(beats.times[index - 1 : index + 2])
            early += 1
            assert before < 0.8 * usual < 1.2 * usual < after
            assert before + after == pytest.approx(2 * usual, rel=0.12)
    assert early > 5


def edge_frequency(wave: Wave) -> float:
    """The frequency in Hz below which 95 % of the power above 0.5 Hz lies."""
    pieces = wave.values[: len(wave.values) // 512 * 512].reshape(-1, 512)
    frequency = np.fft.rfftfreq(512, 1 / 128)
    power = (np.abs(np.fft.rfft(pieces * np.hanning(512), axis=1)) ** 2).mean(axis=0) * (frequency >= 0.5)
    return float(frequency[np.searchsorted(np.cumsum(power), 0.95 * power.sum())])


def eeg_at(bis: float) -> Wave:
    course = course_of(2, 0.3, bis=bis)
    course = replace(course, phases=replace(course.phases, incision=course.phases.closure))  # nobody cuts
    wave = draw(2, course, "BIS/EEG1_WAV")["BIS/EEG1_WAV"]
    return wave.between(course.phases.induction, course.phases.emergence)


def test_eeg_slows_down_as_bis_falls() -> None:
    edges = {bis: edge_frequency(eeg_at(bis)) for bis in (95, 75, 60, 45, 35)}
    assert sorted(edges.values(), reverse=True) == list(edges.values())
    assert edges[95] > 30  # awake: beta and muscle
    assert 12 < edges[45] < 20  # textbook: 10 to 15 Hz under general anaesthesia
    asleep = eeg_at(45)
    alpha = np.abs(np.fft.rfft(asleep.values))
    frequency = np.fft.rfftfreq(len(asleep.values), 1 / 128)
    assert alpha[np.abs(frequency - 10) < 1].mean() > 2 * alpha[np.abs(frequency - 22) < 1].mean()
    assert 8 < np.std(asleep.values) < 60


@pytest.mark.parametrize(("bis", "low", "high"), [(60, 0, 0.03), (21.6, 0.35, 0.65), (5, 0.75, 1)])
def test_deep_eeg_is_suppressed_as_much_as_bis_says(bis: float, low: float, high: float) -> None:
    """Bruhn 2000: BIS 21.6 stands for half of the EEG suppressed; flat is below 5 uV for half a second or more."""
    wave = eeg_at(bis)
    silent = np.abs(wave.values[: len(wave.values) // 64 * 64].reshape(-1, 64)).max(axis=1) < 6
    assert low <= silent.mean() <= high


def test_both_eeg_channels_see_one_brain_and_noise_without_the_sensor(
    cases: list[tuple[Course, dict[str, Wave]]],
) -> None:
    for course, waves in cases:
        on, off = attached_to(course).sensor_on, attached_to(course).sensor_off
        quiet = [waves[f"BIS/EEG{channel}_WAV"].between(on + 60, course.phases.incision) for channel in (1, 2)]
        np.testing.assert_array_equal(quiet[0].seconds, quiet[1].seconds)
        assert 0.5 < np.corrcoef(quiet[0].values, quiet[1].values)[0, 1] < 0.98
        open_lead = waves["BIS/EEG1_WAV"].between(off + 1, course.phases.end)
        assert np.std(open_lead.values) > 25


def test_capnogram_has_the_plateaus_and_the_number_of_breaths(cases: list[tuple[Course, dict[str, Wave]]]) -> None:
    for course, waves in cases:
        wave = waves["Primus/CO2"].between(course.phases.intubation + 20, course.phases.emergence)
        rising = np.flatnonzero((wave.values[1:] > 15) & (wave.values[:-1] <= 15))
        recorded = np.unique(wave.seconds.astype(int))
        assert len(rising) == pytest.approx(course.values["rr"][recorded].sum() / 60, rel=0.03, abs=1.5)
        errors = []
        for start, end in pairwise(wave.seconds[rising]):
            breath = wave.between(start, end)
            if len(breath.values) == pytest.approx(62.5 * (end - start), abs=2):  # nothing missing within it
                top = int(breath.seconds[np.argmax(breath.values)])
                errors.append(breath.values.max() - course.values["etco2"][top])
                assert breath.values.min() < 1
        assert np.quantile(np.abs(errors), 0.9) < 2
        assert abs(np.median(errors)) < 1


def test_airway_pressure_runs_from_peep_to_peak(cases: list[tuple[Course, dict[str, Wave]]]) -> None:
    for course, waves in cases:
        wave = waves["Primus/AWP"].between(course.phases.intubation + 20, course.phases.emergence)
        for start in np.arange(course.phases.intubation + 20, course.phases.emergence - 20, 20):
            piece = wave.between(start, start + 20)
            if len(piece.values) == 1250:
                seconds = piece.seconds.astype(int)
                assert piece.values.max() == pytest.approx(course.values["pip"][seconds].max(), abs=1)
                assert piece.values.min() == pytest.approx(course.values["peep"][seconds].min(), abs=0.6)


def test_nothing_in_the_circuit_is_nothing_in_its_waves(cases: list[tuple[Course, dict[str, Wave]]]) -> None:
    for course, waves in cases:
        absent = np.isnan(course.values["rr"])
        inside = np.convolve(absent, np.ones(21), mode="same") == 21  # ten seconds from any circuit
        assert inside.sum() > 20
        for name in ("Primus/CO2", "Primus/AWP"):
            wave = waves[name]
            assert np.abs(wave.values[inside[wave.seconds.astype(int)]]).max() < 0.5


def test_own_breaths_are_small_swings() -> None:
    course = course_of(2, rr=15, peep=0, pip=2, etco2=40)
    pressure = draw(2, course, "Primus/AWP")["Primus/AWP"].values
    assert -3 < pressure.min() < -1
    assert 1 < pressure.max() < 3


def test_cautery_disturbs_electrodes_only_while_there_is_a_wound(cases: list[tuple[Course, dict[str, Wave]]]) -> None:
    for course, waves in cases:
        ecg = waves["SNUADC/ECG_II"]

        def roughness(start: float, end: float, ecg: Wave = ecg) -> Floats:
            jumps = np.abs(np.diff(ecg.between(start, end).values))
            return np.median(jumps[: len(jumps) // 250 * 250].reshape(-1, 250), axis=1)

        assert roughness(0, course.phases.incision).max() < 0.06
        assert roughness(course.phases.incision, course.phases.closure).max() > 0.1


def test_minutes_are_missing_in_all_waves_of_a_device_together() -> None:
    course = course_of(2, 2.0)
    names = ("Primus/CO2", "Primus/AWP", "BIS/EEG1_WAV", "BIS/EEG2_WAV")
    co2, awp, first, second = draw(2, course, *names).values()
    np.testing.assert_array_equal(co2.seconds, awp.seconds)
    np.testing.assert_array_equal(first.seconds, second.seconds)
    gaps = [np.diff(wave.seconds)[np.diff(wave.seconds) > 1] for wave in (co2, first)]
    assert any(len(found) for found in gaps)
    assert all(58 < gap < 900 for found in gaps for gap in found)
