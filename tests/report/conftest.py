"""One data set of simulated cases, some spoiled, with its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep
from tests.report.html_page import Element, parsed
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder


@dataclass(frozen=True)
class Reported:
    """A published data set, what it was made of, and its report as a tree."""

    recordings: Path
    dataset: Path
    page: Element

    @property
    def output(self) -> Path:
        return self.dataset.parents[1]


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    recordings = tmp_path_factory.mktemp("recordings-to-report")
    damage = dict.fromkeys(("truncated", "short", "unit", "no-clinical-row"), 0.08)
    simulate_folder(recordings, SimulationOptions(seed=32, cases=24, hours=0.35, spread=0.5, damage=damage))
    output = tmp_path_factory.mktemp("reported")
    command = ("run", "--input", recordings, "--output", output, "--cases", "1-26")
    answer = run_vitalprep(*command, "--set", "validation.min_success_rate=0.5")
    assert answer.exit_code == 0, answer.result
    dataset = Path(answer.result["dataset"])
    return Reported(recordings, dataset, parsed(dataset / "report.html"))
