"""Which files a split has, with which cases and windows, and the summary of what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import (
    BuildSummary,
    CaseCoverage,
    CaseOutcome,
    Coverage,
    FeatureStatistics,
    FileSummary,
    OriginCounts,
)
from vitalprep.contract.config import Config, Windowing
from vitalprep.contract.identity import recorded_subject
from vitalprep.contract.paths import SplitName, dataset_path
from vitalprep.contract.plan import Plan, PlannedCase
from vitalprep.contract.receipt import CaseResult, StoredTable
from vitalprep.contract.record import RecordShape, record_shape
from vitalprep.features.statistics import added
from vitalprep.features.windows import depends_on_runs_alone, in_runs, window_starts
from vitalprep.record_files.content import BuildCase, FileFacts, FileTask, load_samples
from vitalprep.record_files.output_files import output_files
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage
from vitalprep.tfrecord.example import encoded_size
from vitalprep.tfrecord.framing import FRAME_BYTES

__all__ = ["SplitFiles", "split_files"]


@dataclass(frozen=True)
class SplitFiles:
    """The files of a split, and what becomes of each of its cases."""

    dataset_id: str
    split: SplitName
    config: Config
    outcomes: tuple[CaseOutcome, ...]
    tasks: tuple[FileTask, ...]

    def summary(self, files: Sequence[FileSummary], facts: Sequence[FileFacts]) -> BuildSummary:
        """Return the build summary, from the summary and the facts of each file in order."""
        statistics: dict[str, FeatureStatistics] = {}
        targets = {target.name: OriginCounts() for target in self.config.targets}
        for one in facts:  # in file order, because floating-point sums depend on it
            if one.statistics:
                statistics = added(statistics, one.statistics)
            targets = {name: counts + one.targets.get(name, OriginCounts()) for name, counts in targets.items()}
        return BuildSummary(
            dataset_id=self.dataset_id,
            split=self.split,
            files=tuple(files),
            cases=self.outcomes,
            statistics=statistics,
            targets=targets,
            coverage={item.name: _coverage(facts, place) for place, item in enumerate(self.config.inputs)},
            sketches=dict(sorted(item for one in facts for item in one.sketches.items())),
            without_vital=sum(one.without_vital for one in facts),
        )


def _coverage(facts: Sequence[FileFacts], place: int) -> Coverage:
    """Return one input's coverage of all cases."""
    found = (item for one in facts for item in one.coverage.items())
    return Coverage({case: CaseCoverage._make(rows[place].tolist()) for case, rows in found})


def split_files(
    plan: Plan,
    output: Storage,
    split: SplitName,
    results: Mapping[int, CaseResult],
    *,
    salt: str | None,
    pool: WorkerPool,
) -> SplitFiles:
    """Find a split's files, the windows of its cases and their bytes: file names contain the number of files.

    Parameters
    ----------
    results : mapping of int to CaseResult
        What the receipts of the split's cases say.
    salt : str or None
        Salt of the recorded subject ids.
    """
    config = plan.config
    cases = {
        case.case_id: _build_case(plan, case, results[case.case_id], salt)
        for case in plan.cases_of(split)
        if results[case.case_id].reason is None
    }
    windows = _windows(config, output, cases, pool)
    shape = record_shape(config)
    outcomes = tuple(_outcome(results[case.case_id], windows) for case in plan.cases_of(split))
    files = output_files(
        {case: _framed_bytes(shape, cases[case], found.starts) for case, found in windows.items()},
        split=split,
        seed=config.split.seed,
        shard_bytes=config.output.shard_mb * 1e6,
        layout=config.output.layout,
    )
    tasks = tuple(
        FileTask(
            file=file,
            path=dataset_path(plan.dataset_id, file.name),
            cases={case: cases[case] for part in file.parts for case in part},
            config=config,
            output=output.uri,
        )
        for file in files
    )
    return SplitFiles(plan.dataset_id, split, config, outcomes, tasks)


def _build_case(plan: Plan, case: PlannedCase, result: CaseResult, salt: str | None) -> BuildCase:
    return BuildCase(
        case_id=case.case_id,
        subject_id=recorded_subject(case.subject_id, salt),
        table=result.table(plan.stem(case.case_id)),
        static=case.static,
        static_origin=case.static_origin,
    )


@dataclass(frozen=True)
class _Windows:
    starts: NDArray[np.int64]
    unobserved: int
    dropped: int


@dataclass(frozen=True)
class _SurveyTask:
    case: BuildCase
    config: Config
    output: str


def _windows(config: Config, output: Storage, cases: Mapping[int, BuildCase], pool: WorkerPool) -> dict[int, _Windows]:
    """Return the windows of each harmonized case. Tables are only read where windows depend on their values."""
    found = {case_id: _windows_in_runs(case.table, config.windowing) for case_id, case in cases.items()}
    tasks = [_SurveyTask(cases[case_id], config, output.uri) for case_id, windows in found.items() if windows is None]
    read = {task.case.case_id: windows for task, windows in pool.results(_surveyed, tasks, name=_named)}
    return {case_id: windows or read[case_id] for case_id, windows in found.items()}


def _windows_in_runs(table: StoredTable, windowing: Windowing) -> _Windows | None:
    """Return a case's windows from what its receipt says of its table; None if that does not decide them."""
    if not depends_on_runs_alone(windowing) or (table.observed is None and windowing.min_observed_inputs):
        return None
    possible = window_starts(table.seconds, windowing)
    starts = possible[in_runs(possible, table.observed or (), windowing)]
    return _Windows(starts, unobserved=len(possible) - len(starts), dropped=0)


def _surveyed(task: _SurveyTask) -> _Windows:
    samples = load_samples(Storage(task.output), task.case, task.config)
    return _Windows(samples.starts, samples.unobserved, samples.dropped)


def _named(task: _SurveyTask) -> str:
    return f"case {task.case.case_id}"


def _outcome(result: CaseResult, windows: Mapping[int, _Windows]) -> CaseOutcome:
    if result.reason is not None:
        return CaseOutcome(case_id=result.case_id, reason=result.reason)
    found = windows[result.case_id]
    return CaseOutcome(
        case_id=result.case_id,
        seconds=result.seconds,
        windows=len(found.starts),
        unobserved=found.unobserved,
        dropped=found.dropped,
        reason=None if len(found.starts) else "no_window" if found.unobserved or found.dropped else "too_short",
    )


def _framed_bytes(shape: RecordShape, case: BuildCase, starts: NDArray[np.int64]) -> int:
    """Return the size of a case's framed records. A record's size depends only on its integers' varint lengths."""
    size_of_width: dict[int, int] = {}
    total = 0
    for start in starts.tolist():
        width = max(start.bit_length() - 1, 0) // 7
        if width not in size_of_width:
            size_of_width[width] = FRAME_BYTES + encoded_size(
                shape, case_id=case.case_id, subject_id=case.subject_id, start_second=start
            )
        total += size_of_width[width]
    return total
