"""The pharmacological models against published values. Each test names its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import yaml

from vitalprep.simulate.anaesthesia.anaesthetist import noradrenaline_ug_per_ml
from vitalprep.simulate.anaesthesia.target_control import STEP, TargetPump
from vitalprep.simulate.patients import Patient
from vitalprep.simulate.physiology.breathing import Lungs, own_drive, saturation
from vitalprep.simulate.physiology.effects import (
    Sensitivity,
    bispectral_index,
    blunting,
    hypnosis,
    minimum_alveolar_concentration,
    sigmoid,
)
from vitalprep.simulate.physiology.models import parameters
from vitalprep.simulate.physiology.pharmacokinetics import (
    Kinetics,
    Pool,
    beloeil,
    eleveld,
    lean_body_mass,
    minto,
    schnider,
)
from vitalprep.simulate.physiology.vapour import Vapour

AVERAGE = Sensitivity()
MAN = Patient(
    case_id=1, subject_id=1, age=40, sex="M", height=177, weight=77, asa=1, emergency=False, department="Urology"
)
WOMAN = replace(MAN, sex="F", height=162, weight=60)
CHILD = replace(MAN, age=5, height=110, weight=19)


def peak_minutes(kinetics: Kinetics) -> float:
    """When the effect site is highest after a bolus."""
    pool = Pool(kinetics)
    pool.inject(100.0)
    effects = []
    for _ in range(900):
        pool.pass_second(0.0)
        effects.append(pool.effect)
    return (int(np.argmax(effects)) + 1) / 60


def plasma_during(kinetics: Kinetics, bolus: float, rates: list[tuple[int, float]]) -> list[float]:
    """Plasma concentration per second; `rates` are (seconds, amount per minute)."""
    pool = Pool(kinetics)
    pool.inject(bolus)
    course = []
    for seconds, rate in rates:
        for _ in range(seconds):
            pool.pass_second(rate)
            course.append(pool.plasma)
    return course


def test_the_covariates_meet_the_papers_reference_patients() -> None:
    # Schnider 1998: 53 years, 77 kg, 177 cm, lean body mass 59 kg. Minto 1997: 40 years, 55 kg lean.
    reference = replace(MAN, age=53)
    assert lean_body_mass(reference) == pytest.approx(60.5, abs=0.3)  # James's formula for this body
    found = schnider(reference)
    assert (found.v1, found.v2, found.v3, found.cl2, found.cl3) == (4.27, 18.9, 238, 1.29, 0.836)
    assert found.cl1 == pytest.approx(1.89 - 0.0681 * (lean_body_mass(reference) - 59))
    lean = lean_body_mass(MAN) - 55
    assert minto(MAN).v1 == pytest.approx(5.1 + 0.072 * lean)
    assert minto(MAN).cl1 == pytest.approx(2.6 + 0.0191 * lean)
    # Eleveld 2018: 35 years, 70 kg, 170 cm, man; ageing terms of the opioid apply at 35 too.
    found = eleveld(replace(MAN, age=35, weight=70, height=170))
    assert found.v1 == pytest.approx(6.28)
    assert found.v2 == pytest.approx(25.5)
    assert found.v3 == pytest.approx(273 * np.exp(-0.0138 * 35), rel=1e-3)
    assert found.cl1 == pytest.approx(1.79 * np.exp(-0.00286 * 35))
    assert found.cl3 == pytest.approx(1.11 * np.exp(-0.0138 * 35) ** 0.75, rel=1e-3)


@pytest.mark.parametrize(
    ("model", "low", "high"),
    [
        (schnider, 1.3, 1.9),  # Schnider 1999: 1.6 to 1.7 min
        (minto, 1.2, 1.8),  # Minto 1997: 1.4 to 1.6 min
        (eleveld, 2.3, 4.0),  # Eleveld 2018: slower than Schnider's, by its ke0 of 0.146 / min
    ],
)
def test_time_to_peak_effect(model: Callable[[Patient], Kinetics], low: float, high: float) -> None:
    for patient in (MAN, WOMAN, replace(MAN, age=60)):
        assert low <= peak_minutes(model(patient)) <= high


@pytest.mark.parametrize("model", [schnider, eleveld])
def test_the_manual_scheme_of_roberts_gives_three_to_four(model: Callable[[Patient], Kinetics]) -> None:
    # Roberts et al., Anaesthesia 1988;43 Suppl:14-17: 1 mg/kg, then 10, 8, 6 mg/kg/h: about 3.7 ug/mL after minutes.
    hourly = MAN.weight / 60
    course = plasma_during(model(MAN), MAN.weight, [(600, 10 * hourly), (600, 8 * hourly), (2400, 6 * hourly)])
    assert 2.7 <= np.mean(course[600:]) <= 4.7
    assert min(course[300:]) > 2.2


@pytest.mark.parametrize("model", [schnider, eleveld, minto, beloeil])
@pytest.mark.parametrize("patient", [MAN, WOMAN, CHILD], ids=["man", "woman", "child"])
def test_at_steady_state_clearance_takes_what_the_pump_gives(
    model: Callable[[Patient], Kinetics], patient: Patient
) -> None:
    kinetics = model(patient)
    # Smaller tissues fill sooner, and do not enter the steady state.
    small = replace(kinetics, v2=kinetics.v2 / 50, v3=kinetics.v3 / 500)
    assert plasma_during(small, 0.0, [(6000, 2.0)])[-1] == pytest.approx(2.0 / kinetics.cl1, rel=0.03)


def test_one_second_is_exact() -> None:
    # A bolus in one compartment decays as exp(-k t); sixty steps of a second are one minute of the analytic solution.
    kinetics = Kinetics(v1=10, v2=1, v3=1, cl1=2, cl2=0, cl3=0, ke0=1)
    assert plasma_during(kinetics, 100.0, [(60, 0.0)])[-1] == pytest.approx(10 * np.exp(-0.2), rel=1e-12)
    infusion = plasma_during(kinetics, 0.0, [(120, 4.0)])[-1]
    assert infusion == pytest.approx(2 * (1 - np.exp(-0.4)), rel=1e-12)


def halving_minutes(kinetics: Kinetics, hours: int) -> float:
    """Context-sensitive half-time after a target kept for hours."""
    pump = TargetPump(kinetics, fastest=1e9)
    pump.target = 3.0
    for second in range(hours * 3600):
        if second % STEP == 0:
            pump.decide()
        pump.pass_second()
    pump.rate, start, seconds = 0.0, pump.pool.plasma, 0
    while pump.pool.plasma > start / 2:
        pump.pass_second()
        seconds += 1
    return seconds / 60


def test_context_sensitive_half_times() -> None:
    # Kapila et al., Anesthesiology 1995;83:968-75: remifentanil 3.2 min after three hours, whatever the duration.
    assert 2.0 <= halving_minutes(minto(MAN), 3) <= 5.0
    assert halving_minutes(minto(MAN), 6) == pytest.approx(halving_minutes(minto(MAN), 3), rel=0.15)
    # Hughes et al., Anesthesiology 1992;76:334-41: propofol below 25 min after infusions of up to three hours.
    for model in (schnider, eleveld):
        assert 2 < halving_minutes(model(MAN), 3) < 25
        assert halving_minutes(model(MAN), 1) < halving_minutes(model(MAN), 3)


@pytest.mark.parametrize("patient", [MAN, WOMAN, replace(MAN, age=85, weight=50)], ids=["man", "woman", "old"])
def test_the_pump_reaches_its_target_soon_and_does_not_pass_it(patient: Patient) -> None:
    # The purpose of effect-site targeting (Shafer & Gregg 1992): near the time to peak effect, without overshoot.
    pump = TargetPump(schnider(patient), fastest=400)
    pump.target, effects = 4.0, []
    for second in range(1800):
        if second % STEP == 0:
            pump.decide()
        pump.pass_second()
        effects.append(pump.pool.effect)
        if second == 1200:
            pump.target = 3.0
    reached = next(second for second, effect in enumerate(effects) if effect > 0.95 * 4.0)
    assert reached < 150
    assert max(effects) < 4.0 * 1.03
    assert min(effects[240:1200]) > 4.0 * 0.97
    assert effects[-1] == pytest.approx(3.0, rel=0.04)


def test_bispectral_index_alone_and_with_remifentanil() -> None:
    # Bouillon 2004: 97.4 awake; remifentanil adds little: 19.3 ng/mL alone for half. Eleveld 2018: half at 3.08 ug/mL.
    assert bispectral_index(hypnosis(0, 0, 0, AVERAGE)) == pytest.approx(97.4)
    assert bispectral_index(hypnosis(3.08, 0, 0, AVERAGE)) == pytest.approx(48.7)
    assert bispectral_index(hypnosis(0, 19.3, 0, AVERAGE)) == pytest.approx(48.7)
    alone, together = (bispectral_index(hypnosis(2.5, opioid, 0, AVERAGE)) for opioid in (0, 4.0))
    assert 52 < alone < 60
    assert 4 < alone - together < 10
    levels = [bispectral_index(hypnosis(dose, 0, 0, AVERAGE)) for dose in np.arange(0, 12, 0.5)]
    assert (np.diff(levels) < 0).all()
    # Olofsen & Dahan 1999: sevoflurane of 1.14 % halves it.
    assert bispectral_index(hypnosis(0, 0, 1.14, AVERAGE)) == pytest.approx(48.7)


def test_waking_up_is_at_a_third_of_a_mac() -> None:
    # Eger, Anesth Analg 2001;93:947-53: MAC-awake of sevoflurane is 0.34 MAC. Nickalls & Mapleson 2003: MAC by age.
    assert minimum_alveolar_concentration(40) == pytest.approx(1.80)
    assert minimum_alveolar_concentration(80) == pytest.approx(1.40, abs=0.02)
    assert minimum_alveolar_concentration(1) == pytest.approx(2.29, abs=0.02)
    threshold = parameters("hypnosis")["asleep"] * parameters("hypnosis")["c50_sevoflurane"]
    assert 0.28 < threshold / minimum_alveolar_concentration(40) < 0.40
    # Schnider 1999: half of the volunteers lose consciousness at 2.35 ug/mL of propofol at 25 years, 1.8 at 50.
    assert 1.4 < parameters("hypnosis")["asleep"] * parameters("hypnosis")["c50_propofol"] < 2.5


def test_the_opioid_takes_most_of_a_painful_stimulus() -> None:
    # Bouillon 2004: half at 1.07 ng/mL; at the 4 to 6 of surgery about four fifths.
    assert blunting(0) == 0
    assert blunting(1.07) == pytest.approx(0.5)
    assert 0.75 < blunting(4) < blunting(6) < 0.9


def washed_in(minutes: int) -> Vapour:
    vapour = Vapour(70)
    for _ in range(60 * minutes):  # a constant inspired concentration, as the study gave it
        vapour.pass_second(dial=1.0, fresh_flow=300, ventilation=4.5, output=5.5)
    return vapour


def test_sevoflurane_washes_in_and_out_as_measured() -> None:
    # Yasuda et al., Anesth Analg 1991;72:316-24: FA/FI 0.85 after 30 min (SD 0.02); 5 min later 0.157 of it (0.020).
    vapour = washed_in(30)
    assert vapour.alveolar / vapour.inspired == pytest.approx(0.85, abs=0.05)
    assert 0.65 < washed_in(5).alveolar < vapour.alveolar
    start = vapour.alveolar
    for _ in range(300):
        vapour.pass_second(dial=0.0, fresh_flow=300, ventilation=4.5, output=5.5)
    assert vapour.alveolar / start == pytest.approx(0.157, abs=0.04)


def test_vapour_reaches_the_brain_with_its_half_time() -> None:
    # Olofsen & Dahan 1999: half-time of 3.5 min between the lung and the effect.
    vapour = Vapour(70)
    vapour.alveolar = vapour.inspired = 1.0
    for _ in range(210):
        vapour.alveolar = 1.0
        vapour.pass_second(dial=1.0, fresh_flow=300, ventilation=100, output=0.01)
    assert vapour.effect == pytest.approx(0.5, abs=0.02)


def test_haemoglobin_and_apnoea() -> None:
    # Severinghaus 1979: half saturated at 26.9 mmHg, about 0.90 at 60 and 0.975 at 100.
    assert saturation(26.86) == pytest.approx(0.5, abs=0.003)
    assert saturation(60) == pytest.approx(0.90, abs=0.01)
    assert saturation(100) == pytest.approx(0.977, abs=0.003)
    # Stock 1989: 3.4 mmHg a minute. Benumof et al., Anesthesiology 1997;87:979-82: 8 min to 90 % after preoxygenation.
    lungs = Lungs(70)
    for _ in range(300):
        lungs.pass_second(ventilation=4.2, inspired_oxygen=1.0)
    before, seconds = lungs.paco2, 0
    while lungs.arterial_saturation(shunt=0.05, output=5.0) > 90:
        lungs.pass_second(ventilation=0.0, inspired_oxygen=1.0)
        seconds += 1
    assert (lungs.paco2 - before) / seconds * 60 == pytest.approx(3.4, abs=0.2)
    assert 6 < seconds / 60 < 10


def test_rest_is_a_balance() -> None:
    lungs = Lungs(70)
    for _ in range(1800):
        lungs.pass_second(ventilation=4.1, inspired_oxygen=0.21)
    assert lungs.paco2 == pytest.approx(40, abs=1)
    assert 96 < lungs.arterial_saturation(shunt=0.02, output=5.5) < 98.5
    assert own_drive(40, propofol=0, remifentanil=0, sevoflurane=0) == pytest.approx(1.0)
    # Bouillon 2003: 0.92 ng/mL of remifentanil halve ventilation.
    assert own_drive(40, propofol=0, remifentanil=0.92, sevoflurane=0) == pytest.approx(0.5)


def test_noradrenaline_raises_the_pressure_within_minutes() -> None:
    # Beloeil 2005: a half-life of some minutes. 0.1 ug/kg/min under anaesthesia: some 10 to 30 mmHg (assumed C50).
    kinetics, p = beloeil(MAN), parameters("beloeil")
    pool, pressures = Pool(kinetics), []
    for _ in range(1200):
        pool.pass_second(0.1 * MAN.weight)
        pressures.append(p["emax"] * sigmoid(pool.effect, p["c50"], p["gamma"]))
    assert 10 < pressures[-1] < 30
    assert pressures[600] > 0.7 * pressures[-1]


def test_the_noradrenaline_pump_holds_what_the_registry_converts_it_by() -> None:
    registry = yaml.safe_load((files("vitalprep") / "master_poc.yaml").read_text())
    sources = {source["track"]: source for item in registry["inputs"] for source in item["sources"]}
    stated = sources["Orchestra/NEPI_RATE"]["conversion"]["per_kg_min"]["concentration"]
    assert noradrenaline_ug_per_ml() == stated == 20
