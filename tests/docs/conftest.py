"""One simulated set and two data sets of it, for all pages."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.world import DATA_SET, OTHER_DATA_SET, World, write_commands
from tests.pipeline import BUCKET, run_vitalprep, s3_client

EARLIER, LATER = 10, 101  # cases 1-10 are there at first, the others are called 101, 102, ... to be appended
HOSPITAL = range(1, 9)


def renumbered(case: int) -> int:
    return case if case <= EARLIER else case - EARLIER - 1 + LATER


def lay_out(recordings: Path, data: Path) -> None:
    """Lay recordings where the pages say that they lie, as links: then copies of the folder are the same input."""
    for name in ("vitaldb", "hospital"):
        (data / name / "raw-data").mkdir(parents=True)
    with (recordings / "clinical_data.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        case = int(row["caseid"])
        recording = recordings / "raw-data" / f"{case:04d}.vital"
        row["caseid"] = str(renumbered(case))
        row["preop_hb"] = f"{10 + case / 4:g}"
        (data / "vitaldb" / "raw-data" / f"{renumbered(case):04d}.vital").symlink_to(recording)
        if case in HOSPITAL:
            (data / "hospital" / f"{case:04d}.vital").symlink_to(recording)
    (data / "vitaldb" / "simulation.json").symlink_to(recordings / "simulation.json")
    with (data / "vitaldb" / "clinical_data.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def world(
    recordings: Path, tmp_path_factory: pytest.TempPathFactory, s3_environment: dict[str, str]
) -> Iterator[World]:
    root = tmp_path_factory.mktemp("docs")
    data = root / "data"
    lay_out(recordings, data)
    command = ["run", "--input", data / "vitaldb", "--output", data / "out", "--cases", "1-100"]
    other = run_vitalprep(*command, "--set", "windowing.step=60")
    one = run_vitalprep(*command)  # the later one, which latest.json names
    assert (one.exit_code, other.exit_code) == (0, 0), (one.result, other.result)
    client = s3_client(s3_environment)
    for prefix, folder in (("raw", data / "vitaldb"), ("out", data / "out")):
        for path in folder.rglob("*"):
            if path.is_file():
                client.upload_file(str(path), BUCKET, f"docs/{prefix}/{path.relative_to(folder)}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment.items():
            patch.setenv(name, value)
        for name in [name for name in os.environ if name.startswith("VITALPREP_")]:
            patch.delenv(name)
        yield World(
            data=data,
            data_sets={DATA_SET: one.result["dataset_id"], OTHER_DATA_SET: other.result["dataset_id"]},
            environment=s3_environment,
            commands=write_commands(root / "bin"),
        )
