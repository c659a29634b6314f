"""Simulated recordings for the whole-run tests, and the real ones where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from preprocessing.simulate.simulate import SimulationOptions, simulate_folder

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Other people's recordings, which are never part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real recordings (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen simulated cases of about twelve minutes."""
    folder = tmp_path_factory.mktemp("recordings")
    simulate_folder(folder, SimulationOptions(seed=11, cases=14, hours=0.2, spread=0.3))
    return folder
