"""What the jobs of SageMaker are held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep


@pytest.fixture(scope="session")
def undisturbed(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set that `vitalprep run` makes of the same recordings."""
    answer = run_vitalprep("run", "--input", recordings, "--output", tmp_path_factory.mktemp("undisturbed"))
    assert answer.exit_code == 0, answer.result
    return Path(answer.result["dataset"])
