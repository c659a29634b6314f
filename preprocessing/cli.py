"""The command ``vitalprep``: it reads options, calls one stage, prints what it came to, and sets the exit code.

Stages are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from preprocessing import __version__
from preprocessing.cli_options import (
    configured,
    force_option,
    logs,
    output_option,
    plan_option,
    requested,
    shards_option,
    workers_option,
)
from preprocessing.console import log, print_result, print_table
from preprocessing.errors import VitalprepError

if TYPE_CHECKING:
    from preprocessing.plan.make_plan import PlanRequest
    from preprocessing.workers import WorkerPool

__all__ = ["main"]

INTERRUPTED = 130
_DAMAGES = ("truncated", "bitflip", "foreign", "no-clinical-row", "short", "no-signal", "unit")
EXIT_CODES = """\b
Exit codes
  0    done
  1    failed; a retry may help
  2    the command line or the configuration is wrong
  65   the input or the result is refused; a retry cannot help
  143  stopped by SIGTERM; finished work is committed, a retry resumes"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vitalprep")
def vitalprep() -> None:
    """Turn VitalDB recordings into a proven training set.

    `vitalprep run` does everything on one machine; plan, harmonize, build, publish and validate are its stages.
    """


@vitalprep.command()
@configured
@logs
def config(config_file: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Print the settled configuration."""
    from preprocessing.config_file import load_config

    settled = load_config(config_file, settings)
    content = settled.content() | {"features": settled.features()}
    if as_json:
        print_result({"ok": True} | content)
        return
    import yaml

    click.echo(yaml.safe_dump(settled.content(), sort_keys=False, allow_unicode=True, width=120), nl=False)


@vitalprep.command()
@requested
@output_option
@click.option(
    "--only",
    type=click.Choice(["config", "raw-data", "enough-cases"]),
    multiple=True,
    help="Only this check. Repeatable.",
)
@logs
def check(output: str, only: tuple[str, ...], as_json: bool, **request: Any) -> None:
    """Check configuration, input, output and cases before a run."""
    from preprocessing.plan.check import CHECKS, run_checks

    outcomes = run_checks(only or tuple(CHECKS), lambda: _request(**request), output)
    for outcome in outcomes:
        line = f"{outcome.name}: {outcome.message}" + (f" To mend: {outcome.mend}" if outcome.mend else "")
        log(line, level=logging.INFO if outcome.ok else logging.ERROR, check=outcome.name, ok=outcome.ok)
    worst = max(outcome.exit_code for outcome in outcomes)
    if as_json:
        print_result({"ok": not worst, "exit_code": worst, "checks": [item.content() for item in outcomes]})
    sys.exit(worst)


@vitalprep.command()
@requested
@output_option
@shards_option
@click.option(
    "--sharding",
    type=click.Choice(["balanced", "modulo"]),
    default="balanced",
    show_default=True,
    help="Balance shards by bytes, or deal cases out in turn.",
)
@force_option
@logs
def plan(output: str, shards: int, sharding: str, force: bool, as_json: bool, **request: Any) -> None:
    """Settle which cases, splits and shards a run has, and store that."""
    from preprocessing.planned import plan_run

    planned = plan_run(_request(**request, shards=shards, sharding=sharding), output, force=force)
    described = planned.described()
    _report("Plan", described, as_json, show=("plan", "dataset", "up_to_date", "cases", "splits"))


@vitalprep.command()
@plan_option
@click.option("--shard", type=click.IntRange(min=0), help="Only this shard. Default: all.")
@workers_option
@logs
def harmonize(plan_uri: str, shard: int | None, workers: int | None, as_json: bool) -> None:
    """Put the cases of a plan (or of one shard) on the 1 Hz grid. Resumes by receipts."""
    from preprocessing.harmonize.stage import harmonize_shards
    from preprocessing.plan.plan import load_plan

    with _pool(workers) as pool:
        loaded, storage = load_plan(plan_uri)
        shards = range(len(loaded.shards)) if shard is None else [shard]
        summary = harmonize_shards(loaded, storage, shards, pool=pool)
    _report("Harmonized", {"shard": shard} | summary.content(), as_json)


@vitalprep.command()
@plan_option
@click.option("--split", type=click.Choice(["train", "validation", "test"]), multiple=True, help="Default: all three.")
@workers_option
@logs
def build(plan_uri: str, split: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Write the TFRecord files of a plan's splits from its harmonized cases."""
    import time

    from preprocessing.layout import SPLITS
    from preprocessing.plan.plan import load_plan
    from preprocessing.records.stage import build_split
    from preprocessing.validate.verdict import is_refused

    began = time.monotonic()
    with _pool(workers) as pool:
        loaded, storage = load_plan(plan_uri)
        again = is_refused(storage, loaded.dataset_id)
        built = [build_split(loaded, storage, name, pool=pool, again=again) for name in split or SPLITS]
    result = {
        "split": ",".join(summary.split for summary in built),
        "windows": sum(summary.windows for summary in built),
        "files": sum(len(summary.files) for summary in built),
        "bytes": sum(file.bytes for summary in built for file in summary.files),
        "seconds": round(time.monotonic() - began, 3),
    }
    _report("Built", result, as_json)


@vitalprep.command()
@plan_option
@logs
def publish(plan_uri: str, as_json: bool) -> None:
    """Account for every case, judge the success rate, and describe the data set."""
    from preprocessing.plan.plan import load_plan
    from preprocessing.publish.stage import publish as publish_plan

    loaded, storage = load_plan(plan_uri)
    accounting = publish_plan(loaded, storage)
    dataset = storage.uri_of(f"datasets/{loaded.dataset_id}")
    _report("Accounted", {"dataset": dataset} | accounting.content(), as_json)


@vitalprep.command()
@click.argument("dataset_uri", metavar="DATASET_URI")
@click.option("--quick", is_flag=True, help="Compare the stored verdict, the listing and sizes only.")
@workers_option
@logs
def validate(dataset_uri: str, quick: bool, workers: int | None, as_json: bool) -> None:
    """Prove a data set by reading every record again; on a pass, datasets/latest.json moves to it."""
    from preprocessing.validate.stage import refuse_unready, validate_dataset

    if quick:
        verdict = refuse_unready(dataset_uri)
    else:
        with _pool(workers) as pool:
            verdict = validate_dataset(dataset_uri, pool=pool)
    result = verdict.content() | {"dataset": dataset_uri, "verdict": "passed"}
    _report("Validated", result, as_json, show=("dataset", "verdict", "windows", "files"))


@vitalprep.command()
@requested
@output_option
@shards_option
@workers_option
@force_option
@logs
def run(output: str, shards: int, workers: int | None, force: bool, as_json: bool, **request: Any) -> None:
    """Do all stages on one machine: recordings in, a proven data set out. Run it again to resume or to add nothing."""
    from preprocessing.run import run as run_all
    from preprocessing.workers import default_workers, stop_on_signals

    with stop_on_signals() as stop:
        result = run_all(
            _request(**request, shards=shards), output, workers=workers or default_workers(), force=force, stop=stop
        )
    described = result.described()
    title = "A proven data set" if described["new"] else "Nothing new: the data set is built and proved"
    _report(title, described, as_json)


@vitalprep.command()
@click.option("--output", metavar="FOLDER", help="Folder to fill: a new one, or one that holds such a set.")
@click.option("--cases", type=int, help="How many; with --append, how many more.  [default: 24]")
@click.option("--seed", type=int, help="Same seed, same bytes.  [default: 0]")
@click.option("--hours", type=float, help="Median length of a case.  [default: 2.75, as in VitalDB]")
@click.option("--spread", type=float, help="0: all cases equally long; 1: as different as in VitalDB.  [default: 1]")
@click.option("--waves", is_flag=True, default=None, help="Add ECG, PLETH, ART, EEG, CO2 and AWP: cases of true size.")
@click.option("--truth", is_flag=True, default=None, help="Write what is measured, held and missing, per second.")
@click.option("--damage", metavar="NAME=SHARE,...", help=f"Spoil some cases: {', '.join(_DAMAGES)}.")
@click.option("--append", is_flag=True, help="Add cases to the set in the folder; cases and subjects continue.")
@click.option("--preview", metavar="FILE", help="Instead of a set, draw one case as a picture (PNG, SVG, PDF).")
@click.option("--case", "case_id", type=int, default=1, show_default=True, help="Which one to draw.")
@workers_option
@logs
@click.pass_context
def simulate(
    context: click.Context,
    /,
    output: str | None,
    append: bool,
    preview: str | None,
    case_id: int,
    workers: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Make recordings of patients who do not exist, with their clinical table.

    The same options give the same bytes, whatever the number of workers. An interrupted set is completed by the same
    command, or by `vitalprep simulate --output FOLDER`; log lines go to the screen and to FOLDER/logs.
    """
    from preprocessing.simulate import command
    from preprocessing.workers import default_workers, stop_on_signals

    if preview is not None:
        _report("Drawn", command.preview(preview, given, case_id=case_id), as_json)
        return
    if output is None:
        raise click.UsageError("Missing option '--output' (a folder to fill) or '--preview' (a picture to draw).")
    with stop_on_signals() as stop:
        result = command.simulate(
            output,
            given,
            append=append,
            workers=workers or default_workers(),
            log_file=not context.obj.get("log_file"),
            stop=stop,
        )
    _report("Simulated", result, as_json)


def main() -> None:
    """Run the command and leave with its exit code; every failure ends in one clear message."""
    as_json = "--json" in sys.argv
    try:
        vitalprep(standalone_mode=False)
    except VitalprepError as error:
        _fail(error, as_json)
    except click.UsageError as error:
        error.show()
        _print_failure(as_json, exit_code=2, error="UsageError", message=error.format_message(), mend="see --help.")
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except Exception as error:
        log("unforeseen error", level=logging.ERROR, traceback=traceback.format_exc())
        _print_failure(
            as_json, exit_code=1, error=type(error).__name__, message=str(error), mend="report this with the log."
        )
        if not as_json:
            raise
        sys.exit(1)


def _fail(error: VitalprepError, as_json: bool) -> None:
    log(str(error), level=logging.ERROR, error=type(error).__name__, exit_code=error.exit_code)
    _print_failure(
        as_json, exit_code=error.exit_code, error=type(error).__name__, message=error.message, mend=error.mend
    )
    sys.exit(error.exit_code)


def _print_failure(as_json: bool, **failure: Any) -> None:
    if as_json:
        print_result({"ok": False} | failure)


@contextmanager
def _pool(workers: int | None) -> Iterator[WorkerPool]:
    from preprocessing.workers import WorkerPool, default_workers, stop_on_signals

    with stop_on_signals() as stop, WorkerPool(workers or default_workers(), stop) as pool:
        yield pool


def _request(
    input_uri: str,
    cases: str | None,
    clinical: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    **sharding: Any,
) -> PlanRequest:
    from preprocessing.config_file import load_config
    from preprocessing.plan.make_plan import PlanRequest

    if cases is not None and not cases.strip():
        cases = ","  # an empty list is an error of its own; no list at all means every case
    return PlanRequest(
        input=input_uri, config=load_config(config_file, settings), cases=cases, clinical=clinical, **sharding
    )


def _report(title: str, result: dict[str, Any], as_json: bool, *, show: tuple[str, ...] | None = None) -> None:
    if as_json:
        print_result({"ok": True} | result)
        return
    shown = {name: result[name] for name in show or result}
    print_table(title, {name.replace("_", " "): _readable(value) for name, value in shown.items()})


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_readable(item)}" for name, item in value.items()) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, [], ()) else str(value)
