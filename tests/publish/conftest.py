"""Two published data sets: of simulated recordings, and of recordings said to be VitalDB's, in another form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline import Answer, run_vitalprep

OTHER = ("source=vitaldb", "output.layout=single", "output.compression=gzip")


@pytest.fixture(scope="package")
def simulated(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return run_vitalprep("run", "--input", recordings, "--output", tmp_path_factory.mktemp("card"), "--cases", "1-16")


@pytest.fixture(scope="package")
def attributed(recordings: Path, simulated: Answer) -> Answer:
    settings = [part for setting in OTHER for part in ("--set", setting)]
    output = Path(simulated.result["dataset"]).parents[1]
    return run_vitalprep("run", "--input", recordings, "--output", output, *settings)
