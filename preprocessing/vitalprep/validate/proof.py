"""Reads the files and tables of each split, and keeps what the checks need of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import BuildSummary
from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.identity import salt_of
from vitalprep.contract.paths import SplitName, dataset_path
from vitalprep.contract.plan import Plan
from vitalprep.contract.receipt import StoredTable, results_there
from vitalprep.contract.table import TableMissing, read_table
from vitalprep.record_files.content import FileFacts
from vitalprep.record_files.split_files import SplitFiles, split_files
from vitalprep.runtime.console import progress
from vitalprep.runtime.errors import RefusedError
from vitalprep.runtime.workers import WorkerPool
from vitalprep.storage import Storage
from vitalprep.validate.file import FileFindings, ValidateTask, validate_file

__all__ = ["SplitProof", "prove_splits"]

Problem = tuple[str, str]


@dataclass(frozen=True)
class SplitProof:
    """What was found in one split.

    Attributes
    ----------
    summary : BuildSummary
        As it is stored.
    files : tuple of FileFindings
        In the order of the summary.
    built_from : SplitFiles or None
        What tables and plan give for the split; None where it cannot be known.
    tables : int
        Tables that were held against their receipts.
    problems : tuple of (str, str)
        Name of the failed check, and the place.
    """

    summary: BuildSummary
    files: tuple[FileFindings, ...]
    built_from: SplitFiles | None
    tables: int
    problems: tuple[Problem, ...]

    @cached_property
    def windows(self) -> NDArray[np.int64]:
        """case_id, start_second and subject_id of each record, shape (records, 3)."""
        return np.concatenate([np.empty((0, 3), dtype=np.int64), *(file.windows for file in self.files)])

    @property
    def recomputed(self) -> BuildSummary | None:
        """The summary computed anew from the tables; None unless all of them were read."""
        facts = [file.facts for file in self.files]
        if self.built_from is None or len(facts) != len(self.built_from.tasks) or None in facts:
            return None
        return self.built_from.summary(self.summary.files, [one for one in facts if isinstance(one, FileFacts)])


@dataclass
class _Begun:
    """A split before its files are read. `apart` are the tables that no file is computed from."""

    summary: BuildSummary
    built_from: SplitFiles | None = None
    tables: int = 0
    apart: list[StoredTable] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def prove_splits(
    plan: Plan, output: Storage, summaries: Mapping[SplitName, BuildSummary], pool: WorkerPool
) -> dict[SplitName, SplitProof]:
    """Read every table and every record of a data set, and hold one against the other."""
    begun = {split: _begin(plan, output, split, summary, pool) for split, summary in summaries.items()}
    files = _files(plan, output, begun, pool)
    apart = [table for one in begun.values() for table in one.apart]
    tasks = [_TableTask(output.uri, table, tuple(item.name for item in plan.config.inputs)) for table in apart]
    wrong = [
        problem for _, problem in pool.results(_table_problem, tasks, name=lambda task: task.table.path) if problem
    ]
    proofs = {}
    for index, (split, one) in enumerate(begun.items()):
        found = tuple(files[file.name] for file in one.summary.files)
        proofs[split] = SplitProof(
            summary=one.summary,
            files=found,
            built_from=one.built_from,
            tables=one.tables,
            problems=(
                *one.problems,
                *(problem for file in found for problem in file.problems),
                *((("tables", problem) for problem in wrong) if index == 0 else ()),
            ),
        )
    return proofs


def _begin(plan: Plan, output: Storage, split: SplitName, summary: BuildSummary, pool: WorkerPool) -> _Begun:
    begun = _Begun(summary)
    if (summary.dataset_id, summary.split) != (plan.dataset_id, split):
        begun.problems.append(("files", f"build-{split}.json is that of {summary.split} of {summary.dataset_id}"))
    results = results_there(plan, output, plan.cases_of(split))
    tables = {case: one.table(plan.stem(case)) for case, one in results.items() if one.reason is None}
    begun.tables, begun.apart = len(tables), list(tables.values())
    missing = [case.case_id for case in plan.cases_of(split) if case.case_id not in results]
    if missing:
        begun.problems.append(("lineage", f"cases {short_case_list(missing)} have no receipt"))
        return begun
    try:
        begun.built_from = split_files(plan, output, split, results, salt=salt_of(plan), pool=pool)
    except (RefusedError, TableMissing) as error:
        begun.problems.append(("tables", error.message.rstrip(".")))
        return begun
    there = {file.name for file in summary.files}
    read = {case for task in begun.built_from.tasks if task.file.name in there for case in task.cases}
    begun.apart = [table for case, table in tables.items() if case not in read]
    wanted = [task.file.name for task in begun.built_from.tasks]
    if wanted != [file.name for file in summary.files]:
        begun.problems.append(("files", f"the tables give {len(wanted)} {split} files with other names than build's"))
    if begun.built_from.outcomes != summary.cases:
        begun.problems.append(("summaries", f"build-{split}.json has other windows of its cases than the tables give"))
    return begun


def _files(plan: Plan, output: Storage, begun: Mapping[SplitName, _Begun], pool: WorkerPool) -> dict[str, FileFindings]:
    tasks = []
    for one in begun.values():
        built_from = {task.file.name: task for task in one.built_from.tasks} if one.built_from else {}
        tasks += [
            ValidateTask(
                file, dataset_path(plan.dataset_id, file.name), plan.config, output.uri, built_from.get(file.name)
            )
            for file in one.summary.files
        ]
    found: dict[str, FileFindings] = {}
    with progress("validate", len(tasks)) as advance:
        for task, findings in pool.results(validate_file, tasks, name=lambda task: task.summary.name):
            found[task.summary.name] = findings
            advance()
    return found


@dataclass(frozen=True)
class _TableTask:
    output: str
    table: StoredTable
    names: tuple[str, ...]


def _table_problem(task: _TableTask) -> str | None:
    try:
        read_table(Storage(task.output), task.table, task.names)
    except (RefusedError, TableMissing) as error:
        return error.message.rstrip(".")
    return None
