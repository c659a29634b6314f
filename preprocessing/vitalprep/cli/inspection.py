"""The command that looks into recordings before there is a clinical table."""

from __future__ import annotations

from typing import Any

import click

from vitalprep.cli.group import vitalprep
from vitalprep.cli.options import configured, location, logs, worker_pool, workers_option
from vitalprep.runtime.console import print_result

__all__: list[str] = []

MOST = 20  # recordings that are read unless another number is given


@vitalprep.command()
@click.argument("input_uri", metavar="INPUT", callback=location)
@click.option(
    "--most", type=click.IntRange(min=1), help=f"Most recordings to read, spread over the listing.  [default: {MOST}]"
)
@click.option("--all", "everything", is_flag=True, help="Read all recordings.")
@click.option("--table", metavar="FILE", help="Write a clinical table to fill in: a row for each recording.")
@click.option(
    "--profile-out",
    metavar="FILE",
    help="Write a configuration overlay to edit: the tracks that the configuration does not use.",
)
@click.option("--html", metavar="FILE", help="Also write what is shown as an HTML page.")
@click.option("--force", is_flag=True, help="Overwrite the files of --table, --profile-out and --html.")
@configured
@workers_option
@logs
def inspect(
    input_uri: str,
    most: int | None,
    everything: bool,
    profiles: tuple[str, ...],
    config_file: str | None,
    settings: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    **files: Any,
) -> None:
    """Show what recordings hold, without a clinical table.

    INPUT is a folder or an s3:// prefix.

    It shows devices and numeric tracks with their units and ranges, which input of the configuration each track would
    feed, which units are refused, and what no input uses.
    """
    from vitalprep.contract.config_file import load_config
    from vitalprep.inspect.command import FilesToWrite, inspect_input, print_inspection
    from vitalprep.inspect.steps import Options

    if everything and most is not None:
        raise click.UsageError("--most and --all exclude each other.")
    config = load_config(config_file, settings, profiles)
    with worker_pool(workers) as pool:
        found, steps = inspect_input(
            input_uri,
            config,
            Options(profiles, config_file, settings),
            most=None if everything else most or MOST,
            files=FilesToWrite(**files),
            pool=pool,
        )
    if as_json:
        print_result({"ok": True} | found.content())
    else:
        print_inspection(found, steps)
