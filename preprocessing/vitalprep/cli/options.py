"""Options that several commands share, and the requests that they become."""

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

MOST_WORKERS = 1024  # processes of about 100 MB each

Command = TypeVar("Command", bound=Callable[..., Any])


def location(context: click.Context, parameter: click.Parameter, uri: str | None) -> str | None:
    """Return the storage URI of an option. Refuse one with credentials, a query or ``..``, and never repeat a secret.

    Locations are stored in plans and receipts and written to logs.
    """
    from vitalprep.storage.location import holds_credentials, uri_parts

    if uri is None:
        return None
    name = str(parameter.opts[0] if isinstance(parameter, click.Option) else parameter.metavar)
    if holds_credentials(uri):
        raise UsageError(
            f"{name} has credentials in its URI.",
            fix="remove them from the URI and replace them (the shell's history has them); set AWS's own variables. "
            "If it is the name of a folder, write ./ before it.",
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
        help="Lowest level of log lines on stderr.",
    ),
    click.option(
        "--log-file",
        metavar="FILE",
        expose_value=False,
        callback=_logging,
        help="Also write log lines to this file, as JSON.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="Print the result as one line of JSON, the last line of stdout."
    ),
)
configured = _options(
    click.option(
        "--profile",
        "profiles",
        metavar="NAME",
        multiple=True,
        help="Packaged profile of other devices: carescape, draeger, intellivue. It adds their tracks to the default "
        "configuration. Repeatable.",
    ),
    click.option(
        "--config",
        "config_file",
        metavar="FILE",
        callback=location,
        help="YAML file whose keys override the default configuration.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="Set one configuration value, e.g. windowing.step=60. Repeatable.",
    ),
)
selected = _options(
    click.option("--cases", metavar="LIST", help="Case numbers, e.g. 1-10,17,0022.  [default: all in the input]"),
    click.option(
        "--clinical", metavar="URI", callback=location, help="Clinical table.  [default: <input>/clinical_data.csv]"
    ),
    click.option(
        "--append-to",
        metavar="URI",
        callback=location,
        help="Published data set, or output folder for its latest one, to extend. Its subjects keep their splits.",
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
        help="Folder or s3:// prefix that holds NNNN.vital files.",
    ),
    selected,
)
output_option = click.option(
    "--output", metavar="URI", callback=location, required=True, help="Folder or s3:// prefix for all results."
)
name_option = click.option(
    "--name",
    metavar="TEXT",
    callback=_name,
    help="Human-readable name of the data set, at most 100 characters. It does not change the id. Without --name, a "
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
    "--workers",
    type=click.IntRange(min=1, max=MOST_WORKERS),
    help="Number of worker processes.  [default: one per core]",
)
shards_option = click.option(
    "--shards",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of shards to divide the cases into.",
)
force_option = click.option("--force", is_flag=True, help="Repeat all work: remove the plan's receipts first.")


@contextmanager
def worker_pool(workers: int | None) -> Iterator[WorkerPool]:
    """Yield a pool of worker processes (default: one per core) that stops on SIGTERM."""
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
    profiles: tuple[str, ...] = (),
    **sharding: Any,
) -> PlanRequest:
    """Return the plan request for the options of `requested`.

    An appended data set takes its parent's configuration unless one is given.
    """
    from vitalprep.contract.config_file import load_config
    from vitalprep.plan.make_plan import PlanRequest
    from vitalprep.plan.parent import load_parent

    if cases is not None and not cases.strip():
        cases = ","  # an empty list is an error of its own; no list at all means every case
    parent = load_parent(append_to, output) if append_to else None
    given = bool(profiles or config_file or settings)
    config = parent.config if parent and not given else load_config(config_file, settings, profiles)
    return PlanRequest(input=input_uri, config=config, cases=cases, clinical=clinical, parent=parent, **sharding)
