"""Writes one TFRecord file: reads the harmonized tables of its cases, streams framed records to storage."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.build.frames import CaseFrames
from vitalprep.build.output_files import OutputFile, windows_in_order
from vitalprep.contract.build_summary import CaseCoverage, FeatureStatistics, FileSummary, OriginCounts
from vitalprep.contract.config import Config
from vitalprep.contract.table import read_table
from vitalprep.features.samples import Samples, samples_of
from vitalprep.features.sketch import sketch_of
from vitalprep.features.statistics import added, coverage_of, statistics_of, target_origins_of
from vitalprep.storage import Storage, Writer

__all__ = ["BuildCase", "FileTask", "WrittenFile", "load_samples", "write_file"]

BLOCK = 4 * 1024 * 1024  # bytes of frames hashed and written together
GZIP_WINDOW_BITS = 31  # zlib's code for a gzip wrapper; its header has no time and no name, so bytes are reproducible


@dataclass(frozen=True)
class BuildCase:
    """One case to cut into windows: its table (path, and SHA-256 from the receipt), statics and recorded subject id."""

    case_id: int
    subject_id: int
    parquet: str
    parquet_sha256: str
    static: tuple[float, ...]
    static_origin: tuple[int, ...]


@dataclass(frozen=True)
class FileTask:
    """Everything that a worker process needs for one file. `path` is the file's path below `output`."""

    file: OutputFile
    path: str
    cases: dict[int, BuildCase]
    config: Config
    output: str


@dataclass(frozen=True)
class WrittenFile:
    """A file's summary, the statistics and target origins of its cases, and each case's coverage and sketch."""

    summary: FileSummary
    statistics: dict[str, FeatureStatistics]
    targets: dict[str, OriginCounts]
    coverage: dict[int, dict[str, CaseCoverage]]
    sketches: dict[int, str]


def write_file(task: FileTask) -> WrittenFile:
    """Write one file, part by part. The write is atomic."""
    output = Storage(task.output)
    statistics: dict[str, FeatureStatistics] = {}
    targets = {target.name: OriginCounts() for target in task.config.targets}
    coverage: dict[int, dict[str, CaseCoverage]] = {}
    sketches: dict[int, str] = {}
    with output.writer(task.path) as writer:
        target = _Target(writer, compress=task.config.output.compression == "gzip")
        for part in task.file.parts:
            samples = {case: load_samples(output, task.cases[case], task.config) for case in part}
            for case in part:
                coverage[case] = coverage_of(samples[case], task.config)
                statistics = added(statistics, statistics_of(samples[case], task.config))
                for name, counts in target_origins_of(samples[case], task.config).items():
                    targets[name] += counts
                sketches[case] = sketch_of(samples[case].measured, task.config)
            frames = {
                case: CaseFrames(
                    samples[case], case_id=case, subject_id=task.cases[case].subject_id, config=task.config
                )
                for case in part
            }
            order = windows_in_order(
                {case: item.starts.tolist() for case, item in samples.items()}, seed=task.config.split.seed
            )
            for case, start in order:
                frames[case].put(start, target.room(frames[case].size(start)))
            target.end_part()
    return WrittenFile(target.summary(task.file.name), statistics, targets, coverage, sketches)


def load_samples(output: Storage, case: BuildCase, config: Config) -> Samples:
    """Read a case's harmonized table, check it against its receipt, and impute and normalize it.

    Raises
    ------
    RefusedError
        If the table is missing or does not match its receipt.
    """
    table = read_table(output, case.parquet, case.parquet_sha256, case.case_id, [item.name for item in config.inputs])
    return samples_of(table, case.static, case.static_origin, config)


class _Target:
    """Counts, hashes and writes the bytes of a file. With `compress`, every part is a separate gzip member."""

    def __init__(self, writer: Writer, *, compress: bool) -> None:
        self._writer = writer
        self._compress = compress
        self._member = self._new_member()
        self._hash = hashlib.sha256()
        self._block = np.empty(BLOCK, dtype=np.uint8)
        self._filled = 0
        self.windows = self.bytes = self.window_bytes = 0

    def room(self, size: int) -> NDArray[np.uint8]:
        """Return a writable uint8 array of shape (size,) for the next frame."""
        if self._filled + size > len(self._block):
            self._flush(at_least=size)
        self.windows += 1
        self.window_bytes += size
        start, self._filled = self._filled, self._filled + size
        return self._block[start : self._filled]

    def end_part(self) -> None:
        self._flush()
        if self._member:
            self._append(self._member.flush())
            self._member = self._new_member()

    def summary(self, name: str) -> FileSummary:
        return FileSummary(
            name=name,
            windows=self.windows,
            bytes=self.bytes,
            window_bytes=self.window_bytes,
            sha256=self._hash.hexdigest(),
        )

    def _new_member(self) -> zlib._Compress | None:
        return zlib.compressobj(6, zlib.DEFLATED, GZIP_WINDOW_BITS) if self._compress else None

    def _flush(self, *, at_least: int = 0) -> None:
        data = self._block[: self._filled].tobytes()
        self._filled = 0
        self._append(self._member.compress(data) if self._member else data)
        if at_least > len(self._block):
            self._block = np.empty(at_least, dtype=np.uint8)

    def _append(self, data: bytes) -> None:
        self._hash.update(data)
        self.bytes += len(data)
        self._writer.write(data)
