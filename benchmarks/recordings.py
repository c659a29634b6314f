"""The recordings that are measured: simulated cases of VitalDB's lengths with all waves, made once and kept."""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from vitalprep.simulate.recording import file_form
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

__all__ = ["Recordings", "repeated"]

SEED = 1


@dataclass(frozen=True)
class Recordings:
    """Folders of recordings below one folder, filled when they are first asked for.

    `hours` is the median length of a case; VitalDB's is 2.75.
    """

    folder: Path
    cases: int = 25
    hours: float = 2.75
    longest_hours: float = 20.0

    def true_size(self) -> Path:
        """Cases of VitalDB's lengths and sizes."""
        return _simulated(
            self.folder / f"true-size-{self.cases}-{self.hours:g}",
            SimulationOptions(seed=SEED, cases=self.cases, hours=self.hours, waves=True),
        )

    def longest(self) -> Path:
        """One case of about 112 MB, VitalDB's largest."""
        return _simulated(
            self.folder / f"longest-{self.longest_hours:g}",
            SimulationOptions(seed=SEED, cases=1, hours=self.longest_hours, spread=0, waves=True),
        )

    def of_layout(self, *, packed: bool, count: int = 4) -> list[Path]:
        """Return recordings of one layout, those nearest to the median size."""
        files = sorted((self.true_size() / "raw-data").glob("*.vital"))
        files = [path for path in files if file_form(SEED, int(path.stem)).packed is packed]
        sizes = sorted(path.stat().st_size for path in files)
        middle = sizes[len(sizes) // 2]
        return sorted(files, key=lambda path: abs(path.stat().st_size - middle))[:count]


def repeated(source: Path, target: Path, cases: int) -> Path:
    """Fill a folder with `cases` cases: those of `source` again and again under new case and subject numbers."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    files = sorted((source / "raw-data").glob("*.vital"))
    with (source / "clinical_data.csv").open(newline="") as table:
        rows = {int(row["caseid"]): row for row in csv.DictReader(table)}
    with (target / "clinical_data.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, list(next(iter(rows.values()))))
        writer.writeheader()
        for case_id in range(1, cases + 1):
            file = files[(case_id - 1) % len(files)]
            os.link(file, target / f"{case_id:04d}.vital")
            row = rows[int(file.stem)]
            lap = (case_id - 1) // len(files)
            writer.writerow(row | {"caseid": case_id, "subjectid": int(row["subjectid"]) + 1_000_000 * lap})
    return target


def _simulated(folder: Path, options: SimulationOptions) -> Path:
    simulate_folder(folder, options)
    return folder
