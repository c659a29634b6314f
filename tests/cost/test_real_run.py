"""The prediction against a real run: rates measured on three small sets foretell the CPU seconds of another one."""

from __future__ import annotations

import csv
import os
import resource
from pathlib import Path

import pytest
import yaml

from tests.pipeline import run_vitalprep
from vitalprep.cost.calibration import CalibrationSet, measure
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

WORKERS = 2


def _recordings(folder: Path, options: SimulationOptions, *, times: int) -> Path:
    """Simulated cases, each there `times` times under other numbers: making waves takes longer than preparing them."""
    originals = simulate_folder(folder, options, workers=WORKERS)
    table = folder / "clinical_data.csv"
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for index in range(1, times):
        for original in originals:
            os.link(original, original.with_name(f"{int(original.stem) + 1000 * index:04d}.vital"))
        numbers = ("caseid", "subjectid")
        with table.open("a", encoding="utf-8", newline="") as lines:
            csv.DictWriter(lines, rows[0]).writerows(
                row | {name: int(row[name]) + 1000 * index for name in numbers} for row in rows
            )
    return folder


def _calibration_sets(folder: Path) -> list[CalibrationSet]:
    many = SimulationOptions(seed=21, cases=20, hours=0.12, spread=0.1)
    numeric = SimulationOptions(seed=22, cases=4, hours=1.0, spread=0.3)
    waves = SimulationOptions(seed=23, cases=3, hours=0.6, spread=0.3, waves=True)
    return [
        CalibrationSet(recordings=_recordings(folder / "many", many, times=5)),
        CalibrationSet(recordings=_recordings(folder / "numeric", numeric, times=8), steps=(30, 300)),
        CalibrationSet(recordings=_recordings(folder / "waves", waves, times=8)),
    ]


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_a_run_takes_the_cpu_seconds_that_were_predicted(tmp_path: Path) -> None:
    """Within 25 %, with the machine's own rates: what is tested is the form of the model, not this machine."""
    machine = measure(_calibration_sets(tmp_path), tmp_path / "measured")
    prices = tmp_path / "machine.yaml"
    prices.write_text(yaml.safe_dump({"machine": machine.model_dump()}), "utf-8")
    other = SimulationOptions(seed=24, cases=7, hours=0.5, spread=0.5, waves=True)
    raw = _recordings(tmp_path / "raw", other, times=24)

    before = _seconds_of_children()
    run = run_vitalprep("run", "--input", raw, "--output", tmp_path / "out", "--workers", str(WORKERS))
    taken = _seconds_of_children() - before
    assert run.exit_code == 0

    result = run_vitalprep("cost", "--input", raw, "--prices", prices).result
    assert result["windows"] == pytest.approx(sum(run.result["windows"].values()), rel=0.25)
    predicted = result["local"]["cpu_seconds"]
    assert predicted["total"] == pytest.approx(taken, rel=0.25), (predicted, machine)
    assert predicted["total"] > 1.5 * predicted["start"]  # it is the work that was foretold
