"""What `make secrets` writes: once, for its owner alone, beside what is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.containers.conftest import REPOSITORY


def written(path: Path) -> dict[str, str]:
    subprocess.run([sys.executable, REPOSITORY / "docker" / "secrets_to_env.py", path], check=True, capture_output=True)
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_secrets_are_made_once_and_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("VITALPREP_ENV=.env\nPOSTGRES_PASSWORD=mine")
    first = written(path)
    assert first["VITALPREP_ENV"] == ".env"
    assert first["POSTGRES_PASSWORD"] == "mine"
    assert all(len(value) >= 24 for name, value in first.items() if name.startswith("AIRFLOW_"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert written(path) == first
    assert written(tmp_path / "another")["AIRFLOW_JWT_SECRET"] != first["AIRFLOW_JWT_SECRET"]
