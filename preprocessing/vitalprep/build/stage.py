"""The build stage: writes the TFRecord files of one split from its harmonized cases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from vitalprep.build.output_files import output_files
from vitalprep.build.write_file import BuildCase, FileTask, WrittenFile, load_samples, write_file
from vitalprep.contract.build_summary import (
    BuildSummary,
    CaseCoverage,
    CaseOutcome,
    FeatureStatistics,
    OriginCounts,
    is_built,
    read_build_summary,
)
from vitalprep.contract.config import Config
from vitalprep.contract.identity import recorded_subject, salt_of
from vitalprep.contract.paths import SPLITS, build_summary_path, dataset_path, table_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.receipt import Receipt, receipts_of
from vitalprep.contract.record import RecordShape, record_shape
from vitalprep.features.statistics import added
from vitalprep.features.windows import window_starts
from vitalprep.runtime.console import log, progress
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage
from vitalprep.tfrecord.example import encoded_size
from vitalprep.tfrecord.framing import FRAME_BYTES

__all__ = [
    "build_split",
]


def build_split(plan: Plan, output: Storage, split: str, *, pool: WorkerPool, again: bool = False) -> BuildSummary:
    """Write a split's files and its summary.

    Parameters
    ----------
    again : bool
        Rebuild even if the split is already built, because its data set was refused. If false, an already built split
        is skipped.

    Raises
    ------
    UsageError
        If there is no such split.
    RefusedError
        If cases of the split are not harmonized yet, or a table does not match its receipt.
    Stopped, RetryableError
        See `WorkerPool.results`. An interrupted build leaves no summary, so the next run repeats it.
    """
    if split not in SPLITS:
        raise UsageError(f"There is no split {split!r}.", fix=f"use one of {', '.join(SPLITS)}.")
    salt = salt_of(plan)
    known = read_build_summary(output, plan.dataset_id, split)
    if known is not None and not again and is_built(known, plan, output):
        log(f"{split} is already built", split=split, windows=known.windows)
        return known
    began = time.monotonic()
    receipts = receipts_of(plan, output, plan.cases_of(split), quality=False)
    cases = {
        case.case_id: BuildCase(
            case_id=case.case_id,
            subject_id=recorded_subject(case.subject_id, salt),
            parquet=table_path(plan.stem(case.case_id)),
            parquet_sha256=receipts[case.case_id].parquet_sha256 or "",
            static=case.static,
            static_origin=case.static_origin,
        )
        for case in plan.cases_of(split)
    }
    surveyed = list(_survey(plan.config, output, receipts, cases, pool))
    files = output_files(
        {item.outcome.case_id: item.bytes for item in surveyed},
        split=split,
        seed=plan.config.split.seed,
        shard_bytes=plan.config.output.shard_mb * 1e6,
        layout=plan.config.output.layout,
    )
    tasks = [
        FileTask(
            file=file,
            path=dataset_path(plan.dataset_id, file.name),
            cases={case: cases[case] for part in file.parts for case in part},
            config=plan.config,
            output=output.uri,
        )
        for file in files
    ]
    written: dict[str, WrittenFile] = {}
    with progress(f"build {split}", len(tasks)) as advance:
        for task, result in pool.results(write_file, tasks, name=lambda task: task.file.name):
            written[task.file.name] = result
            advance()
    statistics: dict[str, FeatureStatistics] = {}
    targets = {target.name: OriginCounts() for target in plan.config.targets}
    coverage: dict[str, dict[int, CaseCoverage]] = {item.name: {} for item in plan.config.inputs}
    for file in files:  # in file order, because floating-point sums depend on it
        if written[file.name].statistics:
            statistics = added(statistics, written[file.name].statistics)
        targets = {name: counts + written[file.name].targets[name] for name, counts in targets.items()}
        for case, own in written[file.name].coverage.items():
            for name, found in own.items():
                coverage[name][case] = found
    summary = BuildSummary(
        dataset_id=plan.dataset_id,
        split=split,
        files=tuple(written[file.name].summary for file in files),
        cases=tuple(item.outcome for item in surveyed),
        statistics=statistics,
        targets=targets,
        coverage=coverage,
        sketches=dict(sorted(item for result in written.values() for item in result.sketches.items())),
    )
    output.put(build_summary_path(plan.dataset_id, split), summary.to_bytes())
    log(f"{split} built", split=split, windows=summary.windows, files=len(files), seconds=time.monotonic() - began)
    return summary


@dataclass(frozen=True)
class _Surveyed:
    outcome: CaseOutcome
    bytes: int


@dataclass(frozen=True)
class _SurveyTask:
    case: BuildCase
    config: Config
    output: str


def _survey(
    config: Config,
    output: Storage,
    receipts: dict[int, Receipt],
    cases: dict[int, BuildCase],
    pool: WorkerPool,
) -> Iterator[_Surveyed]:
    """Find every case's windows and their bytes before writing, because file names contain the number of files."""
    harmonized = [case for case, receipt in receipts.items() if receipt.status == "ok"]
    starts: dict[int, list[int]] = {}
    dropped: dict[int, int] = dict.fromkeys(harmonized, 0)
    if config.windowing.min_observed_fraction == 0:
        for case in harmonized:
            starts[case] = window_starts(receipts[case].seconds or 0, config.windowing).tolist()
    else:
        tasks = [_SurveyTask(cases[case], config, output.uri) for case in harmonized]
        done = pool.results(_surveyed, tasks, name=lambda task: f"case {task.case.case_id}")
        for task, (kept, left_out) in done:
            starts[task.case.case_id] = kept
            dropped[task.case.case_id] = left_out
    shape = record_shape(config)
    for case, receipt in receipts.items():
        if receipt.status != "ok":
            yield _Surveyed(CaseOutcome(case_id=case, reason=receipt.reason), 0)
            continue
        outcome = CaseOutcome(
            case_id=case,
            seconds=receipt.seconds,
            windows=len(starts[case]),
            dropped=dropped[case],
            reason=None if starts[case] else "no_window" if dropped[case] else "too_short",
        )
        yield _Surveyed(outcome, _framed_bytes(shape, cases[case], starts[case]))


def _surveyed(task: _SurveyTask) -> tuple[list[int], int]:
    samples = load_samples(Storage(task.output), task.case, task.config)
    return samples.starts.tolist(), samples.dropped


def _framed_bytes(shape: RecordShape, case: BuildCase, starts: list[int]) -> int:
    """Return the size of a case's framed records. A record's size depends only on its integers' varint lengths."""
    size_of_width: dict[int, int] = {}
    total = 0
    for start in starts:
        width = max(start.bit_length() - 1, 0) // 7
        if width not in size_of_width:
            size_of_width[width] = FRAME_BYTES + encoded_size(
                shape, case_id=case.case_id, subject_id=case.subject_id, start_second=start
            )
        total += size_of_width[width]
    return total
