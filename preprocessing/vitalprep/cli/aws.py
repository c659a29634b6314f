"""Commands for SageMaker: submit a run as one training job, and run inside its containers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vitalprep.cli.group import vitalprep
from vitalprep.cli.options import location, logs, plan_request, selected, worker_pool
from vitalprep.cli.report import report
from vitalprep.runtime.console import log_json_always, log_to_file
from vitalprep.runtime.region import DEFAULT_REGION, REGION_VARIABLES
from vitalprep.sagemaker.hyperparameters import COMMANDS, arguments_in

if TYPE_CHECKING:
    from vitalprep.sagemaker.request import JobOptions

__all__: list[str] = []

Command = TypeVar("Command", bound=Callable[..., Any])

DAY = 86400


def _tags(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [tag.partition("=") for tag in given]
    if not all(key and sign for key, sign, _ in pairs):
        raise click.BadParameter("give KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def _job_tags(context: click.Context, parameter: click.Parameter, given: str) -> dict[str, str]:
    return _tags(context, parameter, tuple(filter(None, (tag.strip() for tag in given.split(",")))))


_JOB_OPTIONS = (
    click.option(
        "--instance-count",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Number of instances; each takes a share of the cases.",
    ),
    click.option("--instance-type", default="ml.m5.xlarge", show_default=True, metavar="TYPE", help="Instance type."),
    click.option(
        "--use-spot/--on-demand",
        "spot",
        default=True,
        show_default=True,
        help="Managed spot capacity (cheaper, may be interrupted) or on-demand capacity.",
    ),
    click.option(
        "--max-run",
        type=int,
        default=DAY,
        show_default=True,
        metavar="S",
        help="Maximum running time of the job, in seconds.",
    ),
    click.option(
        "--max-wait",
        type=int,
        metavar="S",
        help="Maximum time with waiting for spot capacity, in seconds.  [default: 2 x --max-run]",
    ),
    click.option(
        "--image",
        envvar="VITALPREP_SAGEMAKER_IMAGE",
        show_envvar=True,
        required=True,
        metavar="URI",
        help="The worker's image in ECR.",
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
        "--job-tags",
        envvar="VITALPREP_SAGEMAKER_TAGS",
        show_envvar=True,
        default="",
        callback=_job_tags,
        metavar="KEY=VALUE,...",
        help="Further tags of the job.",
    ),
    click.option(
        "--region",
        envvar=list(REGION_VARIABLES),
        show_envvar=True,
        default=DEFAULT_REGION,
        show_default=True,
        help="AWS region of the job, the image and the buckets.",
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
    help="s3:// prefix of NNNN.vital files.",
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
@click.option("--job-name", metavar="NAME", help="Name of the training job.  [default: vitalprep-<data set>-<number>]")
@click.option(
    "--wait",
    is_flag=True,
    help="Follow status and log until the job ends. Interrupting this command does not stop the job.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the CreateTrainingJob request as JSON; write nothing, start nothing."
)
@logs
def submit(
    input_uri: str,
    output: str,
    cases: str | None,
    clinical: str | None,
    append_to: str | None,
    profiles: tuple[str, ...],
    config_file: str | None,
    settings: tuple[str, ...],
    job_name: str | None,
    wait: bool,
    dry_run: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Run all stages as one SageMaker job.

    Planning happens on this machine, all else in a training job on managed spot; no Airflow is needed.

    The plan is made on this machine. The instances share the cases; then the first instance builds, publishes and
    validates. An interrupted job resumes from the receipts, and so does submitting the same run again. While a job for
    the data set runs in that region, no second one is started, unless the first was given a --job-name of its own.
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
            profiles=profiles,
            config_file=config_file,
            settings=settings,
            append_to=append_to,
            shards=options.instance_count,
            sharding="modulo",
        )
        if dry_run:
            _print_request(jobs.preview(request, output, options, name=job_name), as_json)
            return
        submitted = jobs.submit(request, output, options, name=job_name, sagemaker=sagemaker, stop=stop)
        result = submitted.described()
        if wait and submitted.job is not None:
            result |= _followed(submitted.job.name, output, result["dataset"], sagemaker, stop)
    running = "Runs already" if result["job"] else "Nothing new: the data set is built and proved"
    report("Submitted" if result["new"] else running, result, as_json)


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


def _followed(name: str, output: str, dataset: str, sagemaker: Any, stop: Any) -> dict[str, Any]:
    from vitalprep.contract.published import refuse_unready
    from vitalprep.sagemaker.aws import client
    from vitalprep.sagemaker.follow import follow, refuse_unsuccessful
    from vitalprep.sagemaker.job_folder import failure_told_there

    job = follow(name, sagemaker=sagemaker, logs=client("logs", sagemaker.meta.region_name), stop=stop)
    failed = job.status == "Failed"
    told = failure_told_there(output, name, job.reason, arn=job.arn, since=job.started) if failed else None
    refuse_unsuccessful(job, told)
    verdict = refuse_unready(dataset)  # the data set decides, not what the job reports
    return job.described() | {"windows": verdict.windows}


@vitalprep.command("sagemaker-request", hidden=True)
@click.option("--command", required=True, type=click.Choice(COMMANDS), help="What the job runs.")
@click.option("--arguments", default="[]", metavar="JSON", help="Its command line, a JSON list of strings.")
@click.option("--part", required=True, metavar="NAME", help="Which part of a run it is, for the job's name.")
@click.option("--tag", "tags", multiple=True, callback=_tags, metavar="KEY=VALUE", help="A tag of the job. Repeatable.")
@click.option("--output", required=True, metavar="URI", callback=location, help="s3:// prefix of the run's output.")
@job_options
@logs
def sagemaker_request(
    command: str, arguments: str, part: str, tags: dict[str, str], output: str, as_json: bool, **where: Any
) -> None:
    """Print the request of CreateTrainingJob for one command of a plan; asks nothing of AWS.

    Schedulers that start jobs themselves, as Airflow does, get their requests here.
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
@click.option("--ml-folder", envvar="VITALPREP_ML_FOLDER", default="/opt/ml", hidden=True, help="In place of /opt/ml.")
@logs
def sagemaker_job(ml_folder: str, as_json: bool) -> None:
    """Run what a job's hyperparameters say.

    SageMaker starts this command in the containers of a training job.

    The hyperparameter `command` is harmonize, build, publish or validate, with `arguments` (a JSON list); or run-plan,
    with `plan` and optionally `wait_seconds` and `workers`. With run-plan each host harmonizes its share; the first
    host runs the later stages. Log and result are JSON, also on a terminal.
    """
    from vitalprep.sagemaker.hyperparameters import OneCommand, read_hyperparameters
    from vitalprep.sagemaker.ml_folder import MlFolder

    log_json_always()
    folder = MlFolder(ml_folder)
    with folder.failure_told():
        task = read_hyperparameters(folder.hyperparameters)
        log_file = folder.log_file()
        if isinstance(task, OneCommand):
            kept = ("--log-file", log_file) if log_file else ()
            vitalprep.main([task.name, *kept, *task.arguments, "--json"], prog_name="vitalprep", standalone_mode=False)
            return
        if log_file:
            log_to_file(log_file)
        from vitalprep.sagemaker.hosts import host_share
        from vitalprep.sagemaker.run_plan import run_plan

        with worker_pool(task.workers) as pool:
            share = host_share(os.environ, resource_config=folder.resource_config)
            result = run_plan(task.plan, share, start=folder.start, wait_seconds=task.wait_seconds, pool=pool)
    report("Done", result, as_json=True)
