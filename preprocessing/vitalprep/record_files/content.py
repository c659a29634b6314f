"""What one TFRecord file holds: the frames of its cases' windows, in order, and what the build summary says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import FeatureStatistics, OriginCounts
from vitalprep.contract.config import Config
from vitalprep.contract.receipt import StoredTable
from vitalprep.contract.table import read_table
from vitalprep.features.samples import Samples, samples_of
from vitalprep.features.sketch import sketch_of
from vitalprep.features.statistics import (
    added,
    coverage_of,
    statistics_of,
    target_origins_of,
    windows_without_vital,
)
from vitalprep.record_files.frames import HEAD, CaseFrames
from vitalprep.record_files.output_files import OutputFile, windows_in_order
from vitalprep.storage import Storage

__all__ = ["BuildCase", "FileFacts", "FileTask", "Part", "load_samples", "parts_of"]


@dataclass(frozen=True)
class BuildCase:
    """One case to cut into windows: its table, statics and recorded subject id."""

    case_id: int
    subject_id: int
    table: StoredTable
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


@dataclass
class FileFacts:
    """What a file holds: statistics and target origins over its cases, and each case's coverage and sketch.

    A case's coverage has a row for each input, with the fields of `CaseCoverage`: int64 of shape (inputs, 4).
    `without_vital` counts windows without an observed second of a vital sign.
    """

    statistics: dict[str, FeatureStatistics] = field(default_factory=dict)
    targets: dict[str, OriginCounts] = field(default_factory=dict)
    coverage: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    sketches: dict[int, str] = field(default_factory=dict)
    without_vital: int = 0

    def add(self, case_id: int, samples: Samples, config: Config) -> None:
        """Add a case. The order of cases matters, because floating-point sums depend on it."""
        self.statistics = added(self.statistics, statistics_of(samples, config))
        for name, counts in target_origins_of(samples, config).items():
            self.targets[name] = self.targets.get(name, OriginCounts()) + counts
        self.coverage[case_id] = np.array(list(coverage_of(samples, config).values()), dtype=np.int64)
        self.sketches[case_id] = sketch_of(samples.measured, config)
        self.without_vital += windows_without_vital(samples, config)


@dataclass(frozen=True)
class Part:
    """A shard's worth of a file: its windows in order, as (case, start second), samples and frames of each case."""

    order: Sequence[tuple[int, int]]
    samples: dict[int, Samples]
    frames: dict[int, CaseFrames]

    def size(self, window: tuple[int, int]) -> int:
        """Return the size in bytes of a window's frame."""
        case, start = window
        return self.frames[case].size(start)

    def record(self, window: tuple[int, int], space: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write a window's record into an array of shape (at least size,), and return it: a view of shape (bytes,)."""
        case, start = window
        end = self.frames[case].put_record(start, space[: self.size(window)])
        return space[HEAD:end]

    def put(self, window: tuple[int, int], frame: NDArray[np.uint8]) -> None:
        """Write a window's frame into an array of shape (size,)."""
        case, start = window
        self.frames[case].put(start, frame)


def parts_of(task: FileTask, output: Storage, facts: FileFacts) -> Iterator[Part]:
    """Yield a file's parts in order, and add their cases to `facts`. One part's tables are in memory at a time.

    Raises
    ------
    RefusedError, RetryableError
        See `read_table`.
    """
    for cases in task.file.parts:
        samples = {case: load_samples(output, task.cases[case], task.config) for case in cases}
        for case in cases:
            facts.add(case, samples[case], task.config)
        yield Part(
            order=windows_in_order(
                {case: item.starts.tolist() for case, item in samples.items()}, seed=task.config.split.seed
            ),
            samples=samples,
            frames={
                case: CaseFrames(item, case_id=case, subject_id=task.cases[case].subject_id, config=task.config)
                for case, item in samples.items()
            },
        )


def load_samples(output: Storage, case: BuildCase, config: Config) -> Samples:
    """Read a case's harmonized table, hold it against its receipt, and impute and normalize it."""
    table = read_table(output, case.table, [item.name for item in config.inputs])
    return samples_of(table, case.static, case.static_origin, config)
