"""The real command in this process, without workers, on a few short cases: a whole run takes a quarter of a second."""

from __future__ import annotations

import csv
import io
import json
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import click

from tests.pipeline import data_digests
from vitalprep.cli.main import vitalprep
from vitalprep.contract import config_file
from vitalprep.contract.verdict import Verdict
from vitalprep.run import all_stages
from vitalprep.runtime import workers
from vitalprep.runtime.errors import RefusedError, VitalprepError
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

__all__ = ["COARSE", "Ending", "InlinePool", "command", "has_passed", "in_process", "passed", "short_cases", "table_of"]

COARSE = ("--set", "windowing.window=20", "--set", "windowing.step=20", "--set", "windowing.target_horizon=10")

Task = TypeVar("Task")
Result = TypeVar("Result")


class InlinePool(workers.WorkerPool):
    """A pool whose tasks run in this process, in order. What a task raises is raised as it is."""

    def results(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], *, name: Callable[[Task], str]
    ) -> Iterator[tuple[Task, Result]]:
        for task in tasks:
            self.stop.raise_if_requested(f"left: {name(task)}")
            yield task, function(task)
        self.stop.raise_if_requested("left: nothing of this stage")


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes
    ----------
    exit_code : int or None
        None if it raised what is none of the project's errors: a user would see a traceback.
    text : str
        All that the user reads: the error and the log.
    """

    exit_code: int | None
    text: str
    result: dict[str, Any]


@contextmanager
def in_process() -> Iterator[None]:
    """Let commands use `InlinePool`, and leave the logging as it was."""
    logger = logging.getLogger("vitalprep")
    before = logger.level, logger.propagate, list(logger.handlers)
    read_once = cache(config_file.load_config)  # a tenth of a second each time
    try:
        with (
            mock.patch.object(all_stages, "WorkerPool", InlinePool),
            mock.patch.object(workers, "WorkerPool", InlinePool),
            mock.patch.object(config_file, "load_config", read_once),
        ):
            yield
    finally:
        logger.setLevel(before[0])
        logger.propagate, logger.handlers[:] = before[1:]


def command(*arguments: str | Path) -> Ending:
    """Do what ``vitalprep ... --json`` does, inside `in_process`."""
    out, err = io.StringIO(), io.StringIO()
    code: int | None = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            vitalprep([*map(str, arguments), "--json"], standalone_mode=False)
        except VitalprepError as error:
            code = error.exit_code
            err.write(str(error))
        except click.UsageError as error:
            code = 2
            err.write(error.format_message())
        except SystemExit as ending:
            code = int(ending.code or 0)
        except Exception:
            code = None
            err.write(traceback.format_exc())
    lines = out.getvalue().splitlines()
    return Ending(code, err.getvalue(), json.loads(lines[-1]) if lines and not code else {})


def short_cases(folder: Path, cases: int = 10) -> Path:
    """Simulate cases of three to five minutes; the first nine of them fill all splits."""
    simulate_folder(folder, SimulationOptions(seed=5, cases=cases, hours=0.06, spread=0.3), workers=1)
    return folder


def table_of(source: Path, target: Path, change: Callable[[dict[str, str]], None]) -> Path:
    """Write a clinical table with every row changed."""
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return target


def passed(output: Path) -> dict[str, dict[str, str]]:
    """Return the digests of the files of every data set whose verdict says passed, by its id."""
    verdicts = output.glob("datasets/*/validation.json")
    return {path.parent.name: data_digests(path.parent) for path in verdicts if has_passed(path)}


def has_passed(verdict: Path) -> bool:
    """Return whether a reader takes a verdict for a passed one."""
    try:
        return Verdict.from_bytes(verdict.read_bytes(), uri=str(verdict)).passed
    except (RefusedError, FileNotFoundError):
        return False
