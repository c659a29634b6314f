"""The recordings that are measured: simulated cases of VitalDB's lengths with all waves, made once and kept.

Besides them thousands of tiny ones, where only the number of cases counts.
"""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.simulate.recording import file_form
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder
from vitalprep.simulate.vital_writer import (
    DeviceHeader,
    FileHeader,
    NumericSeries,
    Track,
    TrackHeader,
    encode_packed,
    gzip_bytes,
)

__all__ = ["Recordings", "repeated"]

SEED = 1
TINY_SECONDS = 340  # one window and its target
TINY_START = 1.6e9  # s
FAST = ("Solar8000/HR", "Solar8000/ETCO2", "BIS/BIS")  # tracks with a value every 2 s: enough for a sketch


@dataclass(frozen=True)
class Recordings:
    """Folders of recordings below one folder, filled when they are first asked for.

    `hours` is the median length of a case; VitalDB's is 2.75. `many` is the number of tiny recordings.
    """

    folder: Path
    cases: int = 25
    hours: float = 2.75
    longest_hours: float = 20.0
    many: int = 20_000

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

    def tiny(self) -> Path:
        """Recordings of one window each with all tracks that are read, no two of them alike."""
        folder = self.folder / f"tiny-{self.many}"
        table = folder / "clinical_data.csv"
        if not table.exists():
            folder.mkdir(parents=True, exist_ok=True)
            config = load_config()
            for case_id in range(1, self.many + 1):
                (folder / f"{case_id:05d}.vital").write_bytes(_tiny_recording(case_id, config))
            rows = (
                f"{case},{case * 10 // 11},{20 + case % 60},{'MF'[case % 2]},{150 + case % 45},{50 + case % 50},,2"
                for case in range(1, self.many + 1)
            )
            table.write_text("\n".join(["caseid,subjectid,age,sex,height,weight,bmi,asa", *rows, ""]))
        return folder

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


def _tiny_recording(case_id: int, config: Config) -> bytes:
    random = np.random.default_rng(case_id)
    devices: dict[str, int] = {}
    tracks: dict[str, Track] = {}
    for item in config.inputs:
        for source in item.sources:
            device, name = source.track.split("/")
            times = TINY_START + np.arange(0, TINY_SECONDS, 2 if source.track in FAST else 60, dtype=np.float64)
            header = TrackHeader(
                track_id=len(tracks) + 1,
                kind="numeric",
                name=name,
                unit=min(config.accepted_units(source)),
                device_id=devices.setdefault(device, len(devices) + 1),
            )
            values = random.uniform(*item.range, len(times)).round(2).astype(np.float32)
            series = NumericSeries(track_id=header.track_id, times=times, values=values)
            tracks.setdefault(source.track, Track(header, (series,)))
    head = FileHeader(start=TINY_START, end=TINY_START + TINY_SECONDS, packed=True)
    used = [DeviceHeader(device_id=number, name=name, typename=name) for name, number in devices.items()]
    return gzip_bytes(encode_packed(head, used, list(tracks.values())), level=1)


def _simulated(folder: Path, options: SimulationOptions) -> Path:
    simulate_folder(folder, options)
    return folder
