"""Commands for operators: cost of a run, status of the runs, removal of what is not needed."""

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
    "--input", "input_uri", metavar="URI", callback=location, help="Folder or s3:// prefix that holds NNNN.vital files."
)
@click.option("--cases", metavar="LIST", help="Case numbers, e.g. 1-10,17,0022.  [default: all in the input]")
@click.option(
    "--numeric-only", is_flag=True, help="The recordings hold no waves, so that a minute takes far fewer bytes."
)
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    help="Number of shards.  [default: so many that each takes at most 10 minutes]",
)
@click.option(
    "--prices", metavar="FILE", help="YAML file that overrides prices, task sizes and machine; --json prints them."
)
@click.option("--hour-of", metavar="MACHINE", help="Print only the price of one hour of fargate, ml.m5.large, ...")
@click.option("--vcpus", type=click.FloatRange(min=0.25), help="vCPUs of the task, with --hour-of fargate.")
@click.option("--memory-gb", type=click.FloatRange(min=0.5), help="Memory of the task in GB, with --hour-of fargate.")
@click.option(
    "--architecture",
    type=click.Choice(["X86_64", "ARM64"]),
    default="X86_64",
    show_default=True,
    envvar="VITALPREP_ECS_CPU_ARCHITECTURE",
    show_envvar=True,
    help="Architecture of the machines, as Terraform's cpu_architecture.",
)
@configured
@logs
def cost(
    input_uri: str | None,
    prices: str | None,
    hour_of: str | None,
    vcpus: float | None,
    memory_gb: float | None,
    profiles: tuple[str, ...],
    config_file: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    **asked: Any,
) -> None:
    """Estimate size, time and cost of a run.

    The estimate needs the input's listing only; no recording is opened.
    """
    from vitalprep.contract.config_file import load_config
    from vitalprep.cost import command, tables
    from vitalprep.cost.figures import load_figures
    from vitalprep.cost.hourly import hourly_price
    from vitalprep.runtime.region import deployment_region

    figures = load_figures(prices, deployment_region())
    if hour_of and not input_uri:
        size = {"vcpus": vcpus, "memory_gb": memory_gb}
        report("Price of one hour", hourly_price(figures, hour_of, **size, architecture=asked["architecture"]), as_json)
        return
    if hour_of or not input_uri:
        raise UsageError("Give either --input or --hour-of.", fix="give the recordings, or a type of machine.")
    result = command.cost(input_uri, load_config(config_file, settings, profiles), figures, **asked)
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
    help="Keep what is younger than this: a run may be working on it.",
)
@click.option("--dry-run", is_flag=True, help="List, and remove nothing.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@logs
def clean(output: str, names: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Remove what no published data set needs.

    It lists what it would remove and asks first. NAMEs (harmonized digests, data set ids) select what to remove.
    """
    from vitalprep.clean.command import clean as clean_output

    result = clean_output(output, names, as_json=as_json, **how)
    report("Removed", result, as_json, show=("removed", "bytes_removed"))


@vitalprep.command()
@click.argument("output", metavar="OUTPUT", callback=location)
@click.option(
    "--dataset", "dataset_id", metavar="ID", help="Show only this data set, with its shards.  [default: the 20 newest]"
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
