"""Submits a run as one training job: planned on this machine, run on SageMaker's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from vitalprep.contract.locations import refuse_locations
from vitalprep.contract.plan import Plan
from vitalprep.plan.make_plan import PlanRequest
from vitalprep.run.plan_run import Planned, plan_run, settled_plan
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker.follow import how_to_go_on
from vitalprep.sagemaker.request import JobOptions, console_link, job_name, plan_job, refuse_job_name, refuse_outside_s3
from vitalprep.sagemaker.start import StartedJob, running_job, start
from vitalprep.storage import Storage

__all__ = ["SubmittedJob", "preview", "submit"]


@dataclass(frozen=True)
class SubmittedJob:
    """The job that makes a data set: None if that is published already. `job.new` is false if it ran before."""

    planned: Planned
    job: StartedJob | None
    region: str

    def described(self) -> dict[str, Any]:
        """Return what ``vitalprep submit --json`` prints."""
        planned, job = self.planned, self.job
        return {
            "new": job is not None and job.new,
            "job": job.name if job else None,
            "console": console_link(job.name, self.region) if job else None,
            "dataset": planned.dataset_uri,
            "dataset_id": planned.plan.dataset_id,
            "plan": planned.uri,
            "cases": len(planned.plan.cases),
            "finished_cases": len(planned.finished),
        }


def submit(
    request: PlanRequest,
    output_uri: str,
    options: JobOptions,
    *,
    name: str | None,
    sagemaker: Any,
    stop: StopRequest,
) -> SubmittedJob:
    """Store a plan with a shard for each instance, and create a training job for it.

    Nothing is created if the data set is published already, or a job makes it now that has the name asked for, or one
    of the data set's own names. The plan is stored from here, since the role of the containers may not write plans.

    Parameters
    ----------
    request : PlanRequest
        With as many ``modulo`` shards as `options` has instances.
    name : str, optional
        The job's name; default of the data set and the first number that is free.
    sagemaker : boto3 client of SageMaker

    Raises
    ------
    UsageError
        If AWS refuses, or what is asked for cannot work there.
    RetryableError
        If AWS cannot be reached.
    Stopped
        If a stop was asked for before the job was created.
    """
    _refuse_request(request, output_uri, name)
    planned = plan_run(request, output_uri, force=False)
    if planned.up_to_date:
        log("nothing new: the data set is built and proved, no job is needed", dataset=planned.dataset_uri)
        return SubmittedJob(planned, None, options.region)
    stop.raise_if_requested("no job was started")
    job = _started(planned, options, name, sagemaker)
    said = "submitted" if job.new else "runs already"
    log(f"{said}: {console_link(job.name, options.region)}", job=job.name)
    if job.new:
        log(f"{job.name}: {how_to_go_on(job.name, options.region)}", job=job.name)
    return SubmittedJob(planned, job, options.region)


def preview(request: PlanRequest, output_uri: str, options: JobOptions, *, name: str | None) -> dict[str, Any]:
    """Return the request that `submit` would send.

    It reads the listing and the clinical table, of which the plan's name is made; it writes nothing and asks nothing
    of SageMaker.
    """
    _refuse_request(request, output_uri, name)
    return next(_jobs(settled_plan(request, output_uri), Storage(output_uri), options, name))


def _started(planned: Planned, options: JobOptions, name: str | None, sagemaker: Any) -> StartedJob:
    """Return the job that makes the data set, started unless it runs."""
    jobs = list(_jobs(planned.plan, planned.output, options, name)) if name else None
    if jobs and (running := running_job(_names(planned.plan), jobs[0], sagemaker=sagemaker)):
        return running
    return start(jobs or _jobs(planned.plan, planned.output, options, None), sagemaker=sagemaker)


def _names(plan: Plan) -> Iterator[str]:
    """Yield the names that a job for a data set can have, unless another is asked for."""
    return (job_name(plan.dataset_id, number) for number in count(1))


def _jobs(plan: Plan, output: Storage, options: JobOptions, name: str | None) -> Iterator[dict[str, Any]]:
    """Yield requests for a job of this name, or else of each name that a job for the data set can have."""
    if len(plan.shards) < options.instance_count:
        raise UsageError(
            f"{options.instance_count} instances for {len(plan.cases)} cases: some would have none.",
            fix=f"give --instance-count {len(plan.shards)} or less.",
        )
    for one in [name] if name else _names(plan):
        yield plan_job(
            options,
            name=one,
            plan_uri=output.uri_of(plan.path),
            dataset_id=plan.dataset_id,
            output_uri=output.uri,
        )


def _refuse_request(request: PlanRequest, output_uri: str, name: str | None) -> None:
    """Refuse requests that can be planned but would fail in the containers."""
    refuse_locations(request.input, output_uri)
    refuse_outside_s3("--input", request.input)
    refuse_outside_s3("--output", output_uri)
    if request.config.privacy.hash_subjects:
        raise UsageError(
            "privacy.hash_subjects needs a salt, and SageMaker shows a job's environment to all who may look at the "
            "job.",
            fix="make this data set with `vitalprep run` or on ECS, whose tasks get the salt from Secrets Manager.",
        )
    if name is not None:
        refuse_job_name(name)
