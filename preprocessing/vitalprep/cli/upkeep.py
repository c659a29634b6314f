"""What an operator asks for: what a run will cost, how far the runs are, and what may go."""

from __future__ import annotations

from typing import Any

import click

from vitalprep.cli.group import vitalprep
from vitalprep.cli.options import configured, location, logs, output_option
from vitalprep.cli.report import report
from vitalprep.runtime.console import print_result
from vitalprep.runtime.errors import UsageError

__all__: list[str] = []


@vitalprep.command()
@click.option(
    "--input", "input_uri", metavar="URI", callback=location, help="Folder or s3:// prefix of NNNN.vital files."
)
@click.option("--cases", metavar="LIST", help="Case numbers, e.g. 1-10,17,0022. Default: all recordings in the input.")
@click.option(
    "--numeric-only", is_flag=True, help="The recordings contain no waveforms, so a minute has far fewer bytes."
)
@click.option(
    "--shards", type=click.IntRange(min=1), help="Number of shards. Default: as many as keep each below 10 minutes."
)
@click.option(
    "--prices", metavar="FILE", help="YAML file that overrides prices, task sizes and machine (--json prints them)."
)
@click.option(
    "--hour-of", metavar="MACHINE", help="Print only what an hour of this machine costs: fargate, ml.m5.large, ..."
)
@click.option("--vcpus", type=click.FloatRange(min=0.25), help="With --hour-of fargate: vCPUs of the task.")
@click.option("--memory-gb", type=click.FloatRange(min=0.5), help="With --hour-of fargate: memory of the task in GB.")
@configured
@logs
def cost(
    input_uri: str | None,
    prices: str | None,
    hour_of: str | None,
    vcpus: float | None,
    memory_gb: float | None,
    config_file: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    **asked: Any,
) -> None:
    """Estimate size, time and cost of a run.

    The estimate uses only the names and sizes of the recordings. No recording is opened.
    """
    from vitalprep.contract.config_file import load_config
    from vitalprep.cost import command, tables
    from vitalprep.cost.figures import load_figures
    from vitalprep.cost.hourly import hourly_price

    if hour_of and not input_uri:
        report("An hour", hourly_price(load_figures(prices), hour_of, vcpus=vcpus, memory_gb=memory_gb), as_json)
        return
    if hour_of or not input_uri:
        raise UsageError("One of --input and --hour-of is needed.", fix="give the recordings, or a kind of machine.")
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
    help="Keep everything written within the last DAYS days, because a run may still need it.",
)
@click.option("--dry-run", is_flag=True, help="List what would be removed. Remove nothing.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@logs
def clean(output: str, names: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Remove what no published data set needs.

    It first lists what it would remove and asks for confirmation.

    NAME is a harmonized digest or a data set id, and limits the removal to it. Repeatable.
    """
    from vitalprep.clean.command import clean as clean_output

    result = clean_output(output, names, as_json=as_json, **how)
    report("Removed", result, as_json, show=("removed", "bytes_removed"))


@vitalprep.command()
@click.argument("output", metavar="OUTPUT", callback=location)
@click.option(
    "--dataset",
    "dataset_id",
    metavar="ID",
    help="Show only this data set, with its shards. Default: the 20 newest data sets.",
)
@logs
def status(output: str, dataset_id: str | None, as_json: bool) -> None:
    """Show the state of data sets and shards.

    OUTPUT is a folder or an s3:// prefix.
    """
    from vitalprep.status.command import print_status
    from vitalprep.status.status import status as output_status

    result = output_status(output, dataset_id=dataset_id)
    if as_json:
        print_result({"ok": True} | result)
    else:
        print_status(result, shards=dataset_id is not None)
