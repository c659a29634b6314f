"""SageMaker: a run submitted as one training job, and what its containers run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vitalprep.cli.group import vitalprep
from vitalprep.cli.options import location, logs, plan_request, selected, worker_pool
from vitalprep.cli.report import report
from vitalprep.runtime.console import log_to_file
from vitalprep.runtime.region import DEFAULT_REGION, REGION_VARIABLES
from vitalprep.sagemaker.hyperparameters import COMMANDS, arguments_in

if TYPE_CHECKING:
    from vitalprep.sagemaker.request import JobOptions

__all__: list[str] = []

Command = TypeVar("Command", bound=Callable[..., Any])

DAY = 86400


_JOB_OPTIONS = (
    click.option(
        "--instance-count",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Number of machines that share the cases.",
    ),
    click.option(
        "--instance-type",
        default="ml.m5.xlarge",
        show_default=True,
        metavar="TYPE",
        help="Instance type of each machine.",
    ),
    click.option(
        "--use-spot/--on-demand",
        "spot",
        default=True,
        show_default=True,
        help="Capacity of the job. Spot is cheaper, but AWS can interrupt it.",
    ),
    click.option(
        "--max-run",
        type=int,
        default=DAY,
        show_default=True,
        metavar="S",
        help="Longest run time of the job, in seconds.",
    ),
    click.option(
        "--max-wait",
        type=int,
        metavar="S",
        help="Longest time for waiting and running on spot, in seconds.  [default: 2 x --max-run]",
    ),
    click.option(
        "--image",
        envvar="VITALPREP_SAGEMAKER_IMAGE",
        show_envvar=True,
        required=True,
        metavar="URI",
        help="Container image of the worker in ECR.",
    ),
    click.option(
        "--role",
        envvar="VITALPREP_SAGEMAKER_ROLE",
        show_envvar=True,
        required=True,
        metavar="ARN",
        help="IAM role of the job's containers.",
    ),
    click.option(
        "--region",
        envvar=list(REGION_VARIABLES),
        show_envvar=True,
        default=DEFAULT_REGION,
        show_default=True,
        help="AWS region of the job. The image and the buckets must be in the same region.",
    ),
)


def job_options(command: Command) -> Command:
    """Add the options that `JobOptions` is made of."""
    for option in reversed(_JOB_OPTIONS):
        command = option(command)
    return command


@vitalprep.command()
@click.option(
    "--input",
    "input_uri",
    metavar="URI",
    envvar="VITALPREP_INPUT",
    show_envvar=True,
    callback=location,
    required=True,
    help="s3:// prefix with the recordings, named by case number (NNNN.vital).",
)
@click.option(
    "--output",
    metavar="URI",
    envvar="VITALPREP_OUTPUT",
    show_envvar=True,
    callback=location,
    required=True,
    help="s3:// prefix for all results.",
)
@selected
@job_options
@click.option("--job-name", metavar="NAME", help="Name of the job. Default: vitalprep-<data set>-<time>.")
@click.option(
    "--wait", is_flag=True, help="Follow status and log until the job ends. Ctrl-C stops following, not the job."
)
@click.option("--dry-run", is_flag=True, help="Print the request as JSON. Write nothing and start nothing.")
@logs
def submit(
    input_uri: str,
    output: str,
    cases: str | None,
    clinical: str | None,
    append_to: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    job_name: str | None,
    wait: bool,
    dry_run: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Run all stages as one SageMaker job.

    Planning happens on this machine. All other stages run in a training job on managed spot. Airflow is not needed.

    The machines share the cases. The first one then builds, publishes and validates. An interrupted job continues
    with the unfinished cases, and so does a new job from the same command.
    """
    from vitalprep.runtime.workers import stop_on_signals
    from vitalprep.sagemaker import submit as jobs
    from vitalprep.sagemaker.aws import client

    options = _options_of_job(**where)
    os.environ.setdefault("AWS_REGION", options.region)  # the buckets are where the job is
    with stop_on_signals() as stop:
        sagemaker = None if dry_run else client("sagemaker", options.region)
        request = plan_request(
            output,
            input_uri=input_uri,
            cases=cases,
            clinical=clinical,
            config_file=config_file,
            settings=settings,
            append_to=append_to,
            shards=options.instance_count,
            sharding="modulo",
        )
        if dry_run:
            _print_request(jobs.preview(request, output, options, name=job_name), as_json)
            return
        submitted = jobs.submit(request, output, options, name=job_name, sagemaker=sagemaker)
        result = submitted.described()
        if wait and submitted.name is not None:
            result |= _followed(submitted.name, result["dataset"], sagemaker, options.region, stop)
    title = "Submitted" if result["new"] else "Nothing new: the data set is built and proved"
    report(title, result, as_json)


def _options_of_job(*, max_run: int, max_wait: int | None, **where: Any) -> JobOptions:
    from vitalprep.sagemaker.request import JobOptions

    if max_wait is None and where["spot"]:
        max_wait = 2 * max_run
    return JobOptions(max_run=max_run, max_wait=max_wait, **where)


def _print_request(request: dict[str, Any], as_json: bool) -> None:
    if as_json:
        report("Request", {"request": request}, as_json)
    else:
        click.echo(json.dumps(request, indent=2))


def _followed(name: str, dataset: str, sagemaker: Any, region: str, stop: Any) -> dict[str, Any]:
    from vitalprep.contract.published import refuse_unready
    from vitalprep.sagemaker.aws import client
    from vitalprep.sagemaker.follow import follow, refuse_unsuccessful

    job = follow(name, sagemaker=sagemaker, logs=client("logs", region), stop=stop)
    refuse_unsuccessful(job)
    verdict = refuse_unready(dataset)  # what a job says of itself is not taken for the data set
    return job.described() | {"windows": verdict.windows}


def _tags(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [tag.partition("=") for tag in given]
    if not all(key and sign for key, sign, _ in pairs):
        raise click.BadParameter("give KEY=VALUE.")
    return {key: value for key, _, value in pairs}


@vitalprep.command("sagemaker-request", hidden=True)
@click.option("--command", required=True, type=click.Choice(COMMANDS), help="Command that the job runs.")
@click.option("--arguments", default="[]", metavar="JSON", help="Arguments of --command, as a JSON list of strings.")
@click.option("--part", required=True, metavar="NAME", help="Part of the run, for the job's name.")
@click.option("--tag", "tags", multiple=True, callback=_tags, metavar="KEY=VALUE", help="A tag of the job. Repeatable.")
@click.option("--output", required=True, metavar="URI", callback=location, help="s3:// prefix of the run's output.")
@job_options
@logs
def sagemaker_request(
    command: str, arguments: str, part: str, tags: dict[str, str], output: str, as_json: bool, **where: Any
) -> None:
    """Print the CreateTrainingJob request for one command.

    For schedulers, such as Airflow, that start the job themselves. The command does not contact AWS.
    """
    from datetime import UTC, datetime

    from vitalprep.sagemaker.request import step_job

    request = step_job(
        _options_of_job(**where),
        command=command,
        arguments=arguments_in(arguments),
        part=part,
        output_uri=output,
        tags=tags,
        now=datetime.now(UTC),
    )
    _print_request(request, as_json)


@vitalprep.command("sagemaker-job")
@click.option(
    "--ml-folder",
    envvar="VITALPREP_ML_FOLDER",
    default="/opt/ml",
    hidden=True,
    help="Folder to use in place of /opt/ml.",
)
@logs
def sagemaker_job(ml_folder: str, as_json: bool) -> None:
    """Run a SageMaker job's command.

    SageMaker starts this command in the containers of a training job. The job's hyperparameters say what to run.

    The hyperparameter `command` is harmonize, build, publish or validate, with `arguments` (a JSON list); or run-plan,
    with `plan` and optionally `wait_seconds` and `workers`. With run-plan every host harmonizes its share of the
    cases, and the first host runs the other stages.
    """
    from vitalprep.sagemaker.hyperparameters import OneCommand, read_hyperparameters
    from vitalprep.sagemaker.ml_folder import MlFolder

    folder = MlFolder(ml_folder)
    with folder.failure_told():
        task = read_hyperparameters(folder.hyperparameters)
        log_file = folder.log_file()
        if isinstance(task, OneCommand):
            kept = ("--log-file", log_file) if log_file else ()
            vitalprep.main([task.name, *kept, *task.arguments], prog_name="vitalprep", standalone_mode=False)
            return
        if log_file:
            log_to_file(log_file)
        from vitalprep.sagemaker.hosts import host_share
        from vitalprep.sagemaker.run_plan import run_plan

        with worker_pool(task.workers) as pool:
            share = host_share(os.environ, resource_config=folder.resource_config)
            result = run_plan(task.plan, share, wait_seconds=task.wait_seconds, pool=pool)
    report("Done", result, as_json or not sys.stdout.isatty())  # in a container's log, a table is hard to read
