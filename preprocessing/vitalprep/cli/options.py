"""The options that several commands of ``vitalprep`` share, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vitalprep.runtime.console import log_to
from vitalprep.runtime.errors import UsageError

if TYPE_CHECKING:
    from vitalprep.plan.make_plan import PlanRequest
    from vitalprep.runtime.workers import WorkerPool

__all__ = [
    "configured", "force_option", "location", "logs", "name_option", "output_option",
    "plan_option", "plan_request", "requested", "selected", "shards_option", "worker_pool", "workers_option",
]  # fmt: skip

Command = TypeVar("Command", bound=Callable[..., Any])


def location(context: click.Context, parameter: click.Parameter, uri: str | None) -> str | None:
    """Return the storage URI of an option, unless it holds credentials, a query or ``..``; a secret is not repeated.

    A location goes into plans, receipts and logs.
    """
    from vitalprep.storage.location import holds_credentials, uri_parts

    if uri is None:
        return None
    name = str(parameter.opts[0] if isinstance(parameter, click.Option) else parameter.metavar)
    if holds_credentials(uri):
        raise UsageError(
            f"{name} has credentials in its URI.",
            fix="take them out (and replace them: they are in the shell's history); set AWS's own variables. "
            "A folder that is named so: write ./ before it.",
        )
    parts = uri_parts(uri, name)
    if parts.scheme in ("s3", "http", "https") and (parts.query or parts.fragment):
        raise UsageError(f"{name} has a query (? or #) in its URI.", fix="write s3://bucket/prefix.")
    path = parts.path.strip("/")
    if parts.scheme == "s3" and path and {"", ".", ".."} & set(path.split("/")):
        raise UsageError(f"{name} {uri!r} has an empty segment, . or .. in it.", fix="write s3://bucket/prefix.")
    return uri


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _name(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    from vitalprep.contract.name import settled_name

    if text is None:
        return None
    try:
        return settled_name(text)
    except ValueError as error:
        raise UsageError(f"--name cannot be used: {error}.", fix="give one line of plain text.") from None


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
        help="Lowest level of log lines written to stderr.",
    ),
    click.option(
        "--log-file",
        metavar="FILE",
        expose_value=False,
        callback=_logging,
        help="Also write the log lines to this file, as JSON.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON line, the last line of stdout."),
)
configured = _options(
    click.option(
        "--config",
        "config_file",
        metavar="FILE",
        callback=location,
        help="YAML file that overrides values of the default configuration.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="Set one value of the configuration, e.g. windowing.step=60. Overrides --config. Repeatable.",
    ),
)
selected = _options(
    click.option(
        "--cases", metavar="LIST", help="Case numbers, e.g. 1-10,17,0022. Default: all recordings in the input."
    ),
    click.option(
        "--clinical", metavar="URI", callback=location, help="Clinical table (CSV). Default: <input>/clinical_data.csv."
    ),
    click.option(
        "--append-to",
        metavar="URI",
        callback=location,
        help="Published data set to extend, or an output for its latest one. The result is a new data set with "
        "its cases and the new ones. Its subjects keep their splits.",
    ),
    configured,
)
requested = _options(
    click.option(
        "--input",
        "input_uri",
        metavar="URI",
        callback=location,
        required=True,
        help="Folder or s3:// prefix with the recordings, named by case number (NNNN.vital).",
    ),
    selected,
)
output_option = click.option(
    "--output", metavar="URI", callback=location, required=True, help="Folder or s3:// prefix of all results."
)
name_option = click.option(
    "--name",
    metavar="TEXT",
    callback=_name,
    help="Name of the data set for people, at most 100 characters. The id does not depend on it. Without --name, a "
    "published data set keeps its name.",
)
plan_option = click.option(
    "--plan",
    "plan_uri",
    metavar="URI",
    callback=location,
    required=True,
    help="URI of the plan, as `vitalprep plan` prints it.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Number of worker processes. Default: one per core."
)
shards_option = click.option(
    "--shards", type=click.IntRange(min=1), default=1, show_default=True, help="Number of shards that share the cases."
)
force_option = click.option(
    "--force", is_flag=True, help="Do everything again. Deletes the finished work for these cases and settings first."
)


@contextmanager
def worker_pool(workers: int | None) -> Iterator[WorkerPool]:
    """Yield a pool of so many worker processes (default: one per core) that stops on SIGTERM."""
    from vitalprep.runtime.workers import WorkerPool, default_workers, stop_on_signals

    with stop_on_signals() as stop, WorkerPool(workers or default_workers(), stop) as pool:
        yield pool


def plan_request(
    output: str,
    *,
    input_uri: str,
    cases: str | None,
    clinical: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    append_to: str | None,
    **sharding: Any,
) -> PlanRequest:
    """Return the plan request that the options of `requested` stand for.

    An appended data set has its parent's configuration unless one is given.
    """
    from vitalprep.contract.config_file import load_config
    from vitalprep.plan.make_plan import PlanRequest
    from vitalprep.plan.parent import load_parent

    if cases is not None and not cases.strip():
        cases = ","  # an empty list is an error of its own; no list at all means every case
    parent = load_parent(append_to, output) if append_to else None
    config = parent.config if parent and not (config_file or settings) else load_config(config_file, settings)
    return PlanRequest(input=input_uri, config=config, cases=cases, clinical=clinical, parent=parent, **sharding)
