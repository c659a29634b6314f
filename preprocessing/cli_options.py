"""The options that several commands of ``vitalprep`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from preprocessing.console import log_to

__all__ = [
    "configured", "force_option", "logs", "output_option",
    "plan_option", "requested", "shards_option", "workers_option",
]  # fmt: skip

Command = TypeVar("Command", bound=Callable[..., Any])


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _logging(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    context.ensure_object(dict)[str(parameter.name)] = value
    log_to(level=context.obj.get("log_level") or "info", file=context.obj.get("log_file"))


logs = _options(
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        expose_value=False,
        callback=_logging,
        help="Least level of the log lines on stderr.",
    ),
    click.option(
        "--log-file", metavar="FILE", expose_value=False, callback=_logging, help="Also write log lines (JSON) there."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, the last line of stdout."),
)
configured = _options(
    click.option("--config", "config_file", metavar="FILE", help="YAML laid over the default configuration."),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="Set one value, e.g. windowing.step=60. Repeatable.",
    ),
)
requested = _options(
    click.option(
        "--input", "input_uri", metavar="URI", required=True, help="Folder or s3:// prefix of NNNN.vital files."
    ),
    click.option("--cases", metavar="LIST", help="Cases, e.g. 1-10,17,0022. Default: all that are there."),
    click.option("--clinical", metavar="URI", help="Clinical table. Default: <input>/clinical_data.csv."),
    configured,
)
output_option = click.option(
    "--output", metavar="URI", required=True, help="Folder or s3:// prefix for everything made."
)
plan_option = click.option("--plan", "plan_uri", metavar="URI", required=True, help="As `vitalprep plan` printed it.")
workers_option = click.option("--workers", type=click.IntRange(min=1), help="Worker processes. Default: one per core.")
shards_option = click.option(
    "--shards", type=click.IntRange(min=1), default=1, show_default=True, help="Task shards to share the cases over."
)
force_option = click.option("--force", is_flag=True, help="Do everything again: remove the plan's receipts first.")
