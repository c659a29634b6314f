"""The command ``vitalprep``: it reads options, calls one stage, prints what it came to, and sets the exit code.

Stages are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import click

from preprocessing import __version__
from preprocessing.cli_options import (
    configured,
    force_option,
    location,
    logs,
    output_option,
    plan_option,
    plan_request,
    requested,
    shards_option,
    worker_pool,
    workers_option,
)
from preprocessing.cli_report import print_failure, report, report_failure
from preprocessing.console import log, print_result
from preprocessing.errors import VitalprepError

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

    outcomes = run_checks(only or tuple(CHECKS), lambda: plan_request(output, **request), output)
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
    from preprocessing.workers import stop_on_signals

    with stop_on_signals():
        planned = plan_run(plan_request(output, **request, shards=shards, sharding=sharding), output, force=force)
    described = planned.described()
    report("Plan", described, as_json, show=("plan", "dataset", "up_to_date", "cases", "splits"))


@vitalprep.command()
@plan_option
@click.option("--shard", type=click.IntRange(min=0), help="Only this shard. Default: all.")
@click.option("--this-host", is_flag=True, help="Only the shard of this host, in a SageMaker job of several hosts.")
@workers_option
@logs
def harmonize(plan_uri: str, shard: int | None, this_host: bool, workers: int | None, as_json: bool) -> None:
    """Put the cases of a plan (or of one shard) on the 1 Hz grid. Resumes by receipts."""
    from preprocessing.harmonize.stage import harmonize_shards
    from preprocessing.hosts import load_host_shard
    from preprocessing.plan.plan import load_plan, load_shard

    with worker_pool(workers) as pool:
        if this_host:
            loaded, storage, shard = load_host_shard(plan_uri)
        else:
            loaded, storage = load_plan(plan_uri) if shard is None else load_shard(plan_uri, shard)
        shards = range(len(loaded.shards)) if shard is None else [shard]
        summary = harmonize_shards(loaded, storage, shards, pool=pool)
    report("Harmonized", {"shard": shard} | summary.content(), as_json)


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
    with worker_pool(workers) as pool:
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
    report("Built", result, as_json)


@vitalprep.command()
@plan_option
@logs
def publish(plan_uri: str, as_json: bool) -> None:
    """Account for every case, judge the success rate, and describe the data set."""
    from preprocessing.plan.plan import load_plan
    from preprocessing.publish.stage import publish as publish_plan
    from preprocessing.workers import stop_on_signals

    with stop_on_signals():
        loaded, storage = load_plan(plan_uri)
        accounting = publish_plan(loaded, storage)
    dataset = storage.uri_of(f"datasets/{loaded.dataset_id}")
    report("Accounted", {"dataset": dataset} | accounting.content(), as_json)


@vitalprep.command()
@click.argument("dataset_uri", metavar="DATASET_URI", callback=location)
@click.option("--quick", is_flag=True, help="Compare the stored verdict, the listing and sizes only.")
@workers_option
@logs
def validate(dataset_uri: str, quick: bool, workers: int | None, as_json: bool) -> None:
    """Prove a data set by reading every record again; on a pass, datasets/latest.json moves to it."""
    from preprocessing.validate.stage import refuse_unready, validate_dataset

    if quick:
        verdict = refuse_unready(dataset_uri)
    else:
        with worker_pool(workers) as pool:
            verdict = validate_dataset(dataset_uri, pool=pool)
    result = verdict.content() | {"dataset": dataset_uri, "verdict": "passed"}
    report("Validated", result, as_json, show=("dataset", "verdict", "windows", "files"))


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
            plan_request(output, **request, shards=shards),
            output,
            workers=workers or default_workers(),
            force=force,
            stop=stop,
        )
    described = result.described()
    title = "A proven data set" if described["new"] else "Nothing new: the data set is built and proved"
    report(title, described, as_json)


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
        report("Drawn", command.preview(preview, given, case_id=case_id), as_json)
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
    report("Simulated", result, as_json)


@vitalprep.command()
@click.option(
    "--input",
    "input_uri",
    metavar="URI",
    callback=location,
    required=True,
    help="Folder or s3:// prefix of NNNN.vital files.",
)
@click.option("--cases", metavar="LIST", help="Cases, e.g. 1-10,17,0022. Default: all that are there.")
@click.option("--numeric-only", is_flag=True, help="The recordings hold no waves: a minute of them weighs far less.")
@click.option("--shards", type=click.IntRange(min=1), help="Task shards. Default: none works longer than 10 minutes.")
@click.option("--prices", metavar="FILE", help="YAML laid over prices, task sizes and machine (--json prints them).")
@configured
@logs
def cost(
    input_uri: str, prices: str | None, config_file: str | None, settings: tuple[str, ...], as_json: bool, **asked: Any
) -> None:
    """Estimate windows, GB, hours and dollars of a run from the input's listing; no recording is opened."""
    from preprocessing.config_file import load_config
    from preprocessing.cost import command, tables
    from preprocessing.cost.figures import load_figures

    result = command.cost(input_uri, load_config(config_file, settings), load_figures(prices), **asked)
    if as_json:
        print_result({"ok": True} | result)
    else:
        tables.print_cost(result)


@vitalprep.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@output_option
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=7,
    show_default=True,
    metavar="DAYS",
    help="What was written later stays: a run may be at work.",
)
@click.option("--dry-run", is_flag=True, help="List only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@logs
def clean(output: str, names: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """List what no published data set needs (or the NAMEs: harmonized digests, data set ids), ask, and remove it."""
    from preprocessing.clean.command import clean as clean_output

    result = clean_output(output, names, as_json=as_json, **how)
    report("Removed", result, as_json, show=("removed", "bytes_removed"))


def main() -> None:
    """Run the command and leave with its exit code; every failure ends in one clear message."""
    try:
        vitalprep(standalone_mode=False)
    except VitalprepError as error:
        report_failure(error)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        error.show()
        print_failure(exit_code=2, error="UsageError", message=error.format_message(), mend="see --help.")
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except Exception as error:
        log("unforeseen error", level=logging.ERROR, traceback=traceback.format_exc())
        print_failure(exit_code=1, error=type(error).__name__, message=str(error), mend="report this with the log.")
        if "--json" not in sys.argv:
            raise
        sys.exit(1)
