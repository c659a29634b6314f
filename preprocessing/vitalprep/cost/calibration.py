"""Calibrates a machine: CPU seconds of every stage on simulated sets, and the rates that fit them.

``python -m vitalprep.cost.calibration > machine.yaml`` takes about two minutes. It prints what stands in
``machine.yaml`` of this package, or a file for ``vitalprep cost --prices``.
"""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vitalprep.build.stage import build_split
from vitalprep.contract.build_summary import BuildSummary
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.paths import SPLITS
from vitalprep.cost.figures import Machine, Rates, Stage
from vitalprep.cost.volume import Load
from vitalprep.harmonize.stage import harmonize_shards
from vitalprep.plan.make_plan import PlanRequest
from vitalprep.run.plan_run import plan_run
from vitalprep.run.publication import account_and_publish
from vitalprep.runtime.workers import StopRequest, WorkerPool, default_workers
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder
from vitalprep.validate.stage import validate_dataset

__all__ = ["CalibrationSet", "measure", "simulated_sets"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_COMMAND = (sys.executable, "-c", "from vitalprep.cli.main import main; main()")
_DRIVERS = {"per_case": "cases", "per_mb_in": "mb_in", "per_hour": "hours", "per_gb_out": "gb_out"}
_RATES_OF: dict[Stage, tuple[str, ...]] = {  # what each stage's seconds can depend on
    "plan": ("per_case",),
    "harmonize": ("per_case", "per_mb_in", "per_hour"),
    "build": ("per_case", "per_hour", "per_gb_out"),
    "publish": ("per_case",),
    "validate": ("per_case", "per_gb_out"),
}


@dataclass(frozen=True, kw_only=True)
class CalibrationSet:
    """Recordings with their clinical table, and the window steps (s) to build with, which separate GB from hours."""

    recordings: Path
    steps: tuple[int, ...] = (30,)


def simulated_sets(folder: Path, *, workers: int) -> tuple[CalibrationSet, ...]:
    """Make the sets for the measurement. They differ in cases, hours and MB."""
    options = {
        "many": SimulationOptions(seed=1, cases=400, hours=0.12, spread=0.1),
        "numeric": SimulationOptions(seed=2, cases=40),
        "waves": SimulationOptions(seed=3, cases=40, waves=True),
    }
    for name, each in options.items():
        simulate_folder(folder / name, each, workers=workers)
    return (
        CalibrationSet(recordings=folder / "many"),
        CalibrationSet(recordings=folder / "numeric", steps=(30, 300)),
        CalibrationSet(recordings=folder / "waves"),
    )


def measure(sets: Sequence[CalibrationSet], output: Path) -> Machine:
    """Run all stages on some sets, in this process, and fit the rates.

    CPU seconds are counted, of this process with all its threads, so that other work on the machine disturbs little.

    Parameters
    ----------
    output : Path
        Folder for what the stages write.
    """
    seen: dict[Stage, list[tuple[Load, float]]] = defaultdict(list)
    for _ in _observed(sets[0].recordings, output / "first", sets[0].steps[0]):
        pass  # what only the first use in a process takes is part of starting one
    for index, each in enumerate(sets):
        for step in each.steps:
            for stage, load, seconds in _observed(each.recordings, output / str(index), step):
                seen[stage].append((load, seconds))
    return Machine(
        cpu=f"{_processor()}, Python {platform.python_version()}",
        measured=datetime.now(UTC).date(),
        how="python -m vitalprep.cost.calibration",
        process_seconds=_process_seconds(sets[0].recordings, output / "first"),
        stages={stage: _fitted(seen[stage], rates) for stage, rates in _RATES_OF.items()},
    )


class _ThisProcess(WorkerPool):
    """A pool that runs tasks in this process, so that one clock counts all of them."""

    def __init__(self) -> None:
        super().__init__(1, StopRequest())

    def results(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], *, name: Callable[[Task], str]
    ) -> Iterator[tuple[Task, Result]]:
        for task in tasks:
            yield task, function(task)


def _observed(recordings: Path, output: Path, step: int) -> Iterator[tuple[Stage, Load, float]]:
    """Run the stages on one set; yield stage, load and CPU seconds. Harmonize only where nothing was done yet."""
    pool, config = _ThisProcess(), _config(step)
    request = PlanRequest(input=str(recordings), config=config)
    planned, planning = _timed(lambda: plan_run(request, str(output), force=False))
    plan, store = planned.plan, planned.output
    new, harmonizing = _timed(lambda: harmonize_shards(plan, store, range(len(plan.shards)), pool=pool))
    built, building = _timed(lambda: [build_split(plan, store, split, pool=pool) for split in SPLITS])
    _, publishing = _timed(lambda: account_and_publish(plan, store))
    _, validating = _timed(lambda: validate_dataset(planned.dataset_uri, pool=pool))
    load = Load(
        cases=len(plan.cases),
        mb_in=sum(case.total_size for case in plan.cases) / 1e6,
        hours=sum(case.seconds or 0 for split in built for case in split.cases) / 3600,
        gb_out=_gigabytes(built),
    )
    yield "plan", load, planning
    if new.harmonized == len(plan.cases):
        yield "harmonize", load, harmonizing
    yield "build", load, building
    yield "publish", load, publishing
    yield "validate", load, validating


def _config(step: int) -> Config:
    return load_config(settings=[f"windowing.step={step}", "split.allow_empty=true"])


def _gigabytes(built: Sequence[BuildSummary]) -> float:
    return sum(file.bytes for split in built for file in split.files) / 1e9


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def _fitted(seen: Sequence[tuple[Load, float]], rates: tuple[str, ...]) -> Rates:
    """Return the non-negative rates with the least squares of relative errors."""
    loads = np.array([[getattr(load, _DRIVERS[rate]) for rate in rates] for load, _ in seen])
    seconds = np.array([seconds for _, seconds in seen])
    kept = list(range(len(rates)))
    while True:
        fit = _least_squares(loads[:, kept], seconds)
        if (fit >= 0).all():
            return Rates(**{rates[index]: float(f"{rate:.3g}") for index, rate in zip(kept, fit, strict=True)})
        kept.pop(int(fit.argmin()))


def _least_squares(loads: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    fit = np.linalg.lstsq(loads / seconds[:, None], np.ones(len(seconds)), rcond=None)[0]
    return np.asarray(fit, dtype=np.float64)


def _process_seconds(recordings: Path, output: Path, times: int = 3) -> float:
    """Return the CPU seconds of a minimal command: planning one case."""
    one_case = ["--input", str(recordings), "--output", str(output), "--cases", "1", "--set", "split.allow_empty=true"]
    seconds = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*_COMMAND, "plan", *one_case], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return round(median(seconds), 3)


def _processor() -> str:
    """Return the processor's name as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields: dict[str, Any] = dict(line.split(":", 1) for line in lines if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    return (
        f"{found.get('model name', platform.machine())} (family {found.get('cpu family')}, model {found.get('model')})"
    )


def main() -> None:
    """Measure this machine and print it as YAML."""
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        sets = simulated_sets(Path(folder), workers=default_workers())
        machine = measure(sets, Path(folder) / "out")
    content = machine.model_dump(exclude_defaults=True)
    sys.stdout.write(yaml.safe_dump({"machine": content}, sort_keys=False, width=120))


if __name__ == "__main__":
    main()
