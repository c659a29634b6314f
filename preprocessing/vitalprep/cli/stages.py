"""Commands for the stages, one by one or all together. Stages are imported inside commands: ``--help`` stays fast."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from vitalprep.cli.group import vitalprep
from vitalprep.cli.options import (
    configured,
    force_option,
    location,
    logs,
    name_option,
    output_option,
    plan_option,
    plan_request,
    requested,
    shards_option,
    worker_pool,
    workers_option,
)
from vitalprep.cli.report import report
from vitalprep.contract.paths import dataset_folder
from vitalprep.runtime.console import log, print_result
from vitalprep.runtime.printable import printable

__all__: list[str] = []


@vitalprep.command()
@configured
@logs
def config(profiles: tuple[str, ...], config_file: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Print the complete configuration that a run with these options would use."""
    from vitalprep.contract.config_file import load_config

    settled = load_config(config_file, settings, profiles)
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
    help="Run only this check. Repeatable.",
)
@logs
def check(output: str, only: tuple[str, ...], as_json: bool, **request: Any) -> None:
    """Check settings, input and output of a run."""
    from vitalprep.plan.check import CHECKS, run_checks

    outcomes = run_checks(only or tuple(CHECKS), lambda: plan_request(output, **request), output)
    for outcome in outcomes:
        line = f"{outcome.name}: {outcome.message}" + (f" Fix: {outcome.fix}" if outcome.fix else "")
        log(line, level=logging.INFO if outcome.ok else logging.ERROR, check=outcome.name, ok=outcome.ok)
    worst = max(outcome.exit_code for outcome in outcomes)
    if as_json:
        print_result({"ok": not worst, "exit_code": worst, "checks": [item.content() for item in outcomes]})
    sys.exit(worst)


@vitalprep.command()
@requested
@name_option
@output_option
@shards_option
@click.option(
    "--sharding",
    type=click.Choice(["balanced", "modulo"]),
    default="balanced",
    show_default=True,
    help="balanced: shards of equal size in bytes; modulo: cases dealt out in turn.",
)
@force_option
@click.option("--dry-run", is_flag=True, help="Store nothing. Print the plan, and how much of it is done.")
@logs
def plan(output: str, shards: int, sharding: str, force: bool, dry_run: bool, as_json: bool, **request: Any) -> None:
    """Settle cases, splits and shards of a run.

    The plan is stored in the output.
    """
    from vitalprep.run.plan_run import plan_run
    from vitalprep.runtime.workers import stop_on_signals

    with stop_on_signals():
        asked = plan_request(output, **request, shards=shards, sharding=sharding)
        planned = plan_run(asked, output, force=force, dry_run=dry_run)
    described = planned.described()
    report("Plan", described, as_json, show=("plan", "dataset", "up_to_date", "cases", "splits"))


@vitalprep.command()
@plan_option
@click.option("--shard", type=click.IntRange(min=0), help="Harmonize only this shard.  [default: all]")
@click.option(
    "--this-host", is_flag=True, help="Harmonize only this host's shard, in a SageMaker job of several hosts."
)
@workers_option
@logs
def harmonize(plan_uri: str, shard: int | None, this_host: bool, workers: int | None, as_json: bool) -> None:
    """Put a plan's cases on the 1 Hz grid.

    Cases that have a receipt are finished and are not repeated.
    """
    import os

    from vitalprep.contract.paths import output_of_plan
    from vitalprep.contract.plan import load_plan, load_shard
    from vitalprep.harmonize.stage import harmonize_shards
    from vitalprep.sagemaker.hosts import host_share, load_host_shard

    with worker_pool(workers) as pool:
        if this_host:
            share = host_share(os.environ)
            (loaded, storage), shard = load_host_shard(plan_uri, share), share.index
        else:
            loaded, storage = load_plan(plan_uri) if shard is None else load_shard(plan_uri, shard)
        shards = range(len(loaded.shards)) if shard is None else [shard]
        _, path = output_of_plan(plan_uri)
        summary = harmonize_shards(loaded, storage, shards, pool=pool, plan_path=path)
    report("Harmonized", {"shard": shard} | summary.content(), as_json)


@vitalprep.command()
@plan_option
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    multiple=True,
    help="Build only this split. Repeatable.  [default: all]",
)
@workers_option
@logs
def build(plan_uri: str, split: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Write the TFRecord files of a plan."""
    import time

    from vitalprep.build.stage import build_split
    from vitalprep.contract.paths import SPLITS
    from vitalprep.contract.plan import load_plan
    from vitalprep.contract.verdict import is_refused

    began = time.monotonic()
    with worker_pool(workers) as pool:
        loaded, storage = load_plan(plan_uri)
        again = is_refused(storage, loaded.dataset_id)
        built = [build_split(loaded, storage, name, pool=pool, again=again) for name in split or SPLITS]
    result = {
        "split": ",".join(summary.split for summary in built),
        "windows": sum(summary.windows for summary in built),
        "windows_unobserved": sum(summary.unobserved for summary in built),
        "windows_dropped": sum(summary.dropped for summary in built),
        "files": sum(len(summary.files) for summary in built),
        "bytes": sum(file.bytes for summary in built for file in summary.files),
        "seconds": round(time.monotonic() - began, 3),
    }
    report("Built", result, as_json)


@vitalprep.command()
@plan_option
@logs
def publish(plan_uri: str, as_json: bool) -> None:
    """Account, judge and describe a data set.

    Every case is accounted for, the success rate is judged, and report, card and metadata are written.
    """
    from vitalprep.contract.plan import load_plan
    from vitalprep.run.publication import account_and_publish
    from vitalprep.runtime.workers import stop_on_signals

    with stop_on_signals():
        loaded, storage = load_plan(plan_uri)
        accounting = account_and_publish(loaded, storage)
    dataset = storage.uri_of(dataset_folder(loaded.dataset_id))
    report("Published", {"dataset": dataset} | accounting.content(), as_json)


@vitalprep.command()
@click.argument("dataset_uri", metavar="DATASET_OR_OUTPUT", callback=location)
@click.option(
    "--quick", is_flag=True, help="Read no records: check the stored verdict, and names and sizes of the files."
)
@click.option(
    "--no-write", is_flag=True, help="Prove and print, but write neither the verdict nor datasets/latest.json."
)
@workers_option
@logs
def validate(dataset_uri: str, quick: bool, no_write: bool, workers: int | None, as_json: bool) -> None:
    """Prove a data set from its records.

    Every record is read again. On a pass, datasets/latest.json names this data set.
    """
    from vitalprep.contract.data_set_uri import data_set_uri
    from vitalprep.contract.published import refuse_unready
    from vitalprep.validate.stage import validate_dataset

    dataset_uri = data_set_uri(dataset_uri)
    if quick:
        verdict = refuse_unready(dataset_uri)
    else:
        with worker_pool(workers) as pool:
            verdict = validate_dataset(dataset_uri, pool=pool, write=not no_write)
    result = verdict.content() | {"dataset": dataset_uri, "verdict": "passed"}
    report("Validated", result, as_json, show=("dataset", "verdict", "windows", "files"))


@vitalprep.command()
@requested
@name_option
@output_option
@shards_option
@workers_option
@force_option
@logs
def run(output: str, shards: int, workers: int | None, force: bool, as_json: bool, **request: Any) -> None:
    """Run all stages on one machine.

    Recordings in, a proven data set out. The same command resumes an interrupted run; after a finished one it does
    nothing.
    """
    from vitalprep.run.all_stages import run as run_all
    from vitalprep.runtime.workers import default_workers, stop_on_signals

    with stop_on_signals() as stop:
        result = run_all(
            plan_request(output, **request, shards=shards),
            output,
            workers=workers or default_workers(),
            force=force,
            stop=stop,
        )
    steps = result.next_steps
    log("next: open the report, load the data set, draw one case", shown_by_bar=True, **steps._asdict())
    title = "A proven data set" if result.verdict else "Nothing new: the data set is built and proved"
    report(title, result.described() if as_json else result.shown(), as_json)
    if not as_json:
        click.echo("\n".join(map(printable, ("Next:", *steps.lines()))))
