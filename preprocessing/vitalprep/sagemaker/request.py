"""Builds requests of CreateTrainingJob, and refuses what AWS would refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vitalprep.contract.paths import SAGEMAKER
from vitalprep.runtime.errors import UsageError
from vitalprep.sagemaker.hyperparameters import RUN_PLAN
from vitalprep.sagemaker.job_folder import OUTPUT
from vitalprep.sagemaker.patterns import NAME_LENGTH, cleaned_name, cleaned_tags, is_job_name

__all__ = [
    "JobOptions",
    "console_link",
    "job_name",
    "plan_job",
    "refuse_job_name",
    "refuse_outside_s3",
    "step_job",
]

DISK_GB = 30  # as `cost/prices.yaml` reckons with; uploads over 256 MB lie there meanwhile
LONGEST_RUN = 28 * 86400  # s, SageMaker's own bound
ENTRYPOINT = ["vitalprep", "sagemaker-job"]  # without one, SageMaker runs the image's own with the argument `train`

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/?[\w+=,.@/-]+", re.ASCII)
_ECR = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/.+")


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Image, role, machines, region and time limits of a job.

    Parameters
    ----------
    image : str
        URI of the worker's image in ECR.
    role : str
        ARN of the role that the containers have.
    region : str
        Region of the job, its image and its buckets.
    instance_type : str
        Such as ``ml.m5.xlarge``.
    instance_count : int
        Hosts that share the cases.
    spot : bool
        Managed spot: cheaper, interrupted at times, and then started again by SageMaker.
    max_run : int
        Seconds that it may run.
    max_wait : int, optional
        Seconds until it must have ended, waiting for spot capacity included. Only with spot, where it is needed.
    job_tags : mapping
        Tags beside the job's own, which win. Characters that AWS refuses become ``_``.

    Raises
    ------
    UsageError
        If these do not fit together.
    """

    image: str
    role: str
    region: str
    instance_type: str
    instance_count: int
    spot: bool
    max_run: int
    max_wait: int | None
    job_tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._refuse_places()
        self._refuse_times()
        if self.instance_count < 1:
            raise UsageError(f"{self.instance_count} instances were asked for.", fix="give 1 or more.")

    def _refuse_places(self) -> None:
        if not _ROLE.fullmatch(self.role):
            raise UsageError(
                f"The role {self.role!r} is no ARN of a role.",
                fix="give --role arn:aws:iam::ACCOUNT:role/NAME, as Terraform's VITALPREP_SAGEMAKER_ROLE has it.",
            )
        if not self.instance_type.startswith("ml."):
            raise UsageError(
                f"The instance type {self.instance_type!r} is none of SageMaker's.", fix="give one as ml.m5.xlarge."
            )
        registry = _ECR.fullmatch(self.image)
        if not registry:
            raise UsageError(
                f"The image {self.image!r} is not in ECR, from where SageMaker pulls.",
                fix="give --image ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG, as VITALPREP_SAGEMAKER_IMAGE has it.",
            )
        if registry[1] != self.region:
            raise UsageError(
                f"The image is in {registry[1]}, and the job is to run in {self.region}.",
                fix=f"give --region {registry[1]}, or push the image to {self.region}.",
            )

    def _refuse_times(self) -> None:
        if not 0 < self.max_run <= LONGEST_RUN:
            raise UsageError(f"--max-run is {self.max_run} s.", fix=f"give 1 to {LONGEST_RUN} (28 days).")
        if not self.spot:
            if self.max_wait is not None:
                raise UsageError("--max-wait is for spot capacity.", fix="leave it out, or give --use-spot.")
        elif self.max_wait is None or self.max_wait < self.max_run:
            raise UsageError(
                f"--max-wait is {self.max_wait} s and --max-run {self.max_run} s: it counts the waiting and the run.",
                fix=f"give --max-wait {2 * self.max_run}, or at least as much as --max-run.",
            )


def job_name(dataset_id: str, number: int) -> str:
    """Return the name of a data set's job; each has a number, because SageMaker never frees a name."""
    return f"vitalprep-{dataset_id}-{number}"


def refuse_job_name(name: str) -> None:
    """Raise `UsageError` if SageMaker would refuse a name."""
    if not is_job_name(name):
        example = f", such as {cleaned_name(name)}" if cleaned_name(name) else ""
        raise UsageError(
            f"The job name {name!r} is not one that SageMaker takes.",
            fix=f"give up to {NAME_LENGTH} letters, digits and hyphens{example}.",
        )


def refuse_outside_s3(option: str, uri: str) -> None:
    """Raise `UsageError` unless a location is in S3: SageMaker's machines reach no other."""
    if not uri.startswith("s3://"):
        raise UsageError(f"{option} is {uri}, which SageMaker's machines do not see.", fix="give an s3:// location.")


def plan_job(options: JobOptions, *, name: str, plan_uri: str, dataset_id: str, output_uri: str) -> dict[str, Any]:
    """Return the request of CreateTrainingJob for a whole plan that has a shard for each instance."""
    return _training_job(
        options,
        name=name,
        hyperparameters={"command": RUN_PLAN, "plan": plan_uri},
        output_uri=output_uri,
        tags={"project": "vitalprep", "vitalprep-dataset": dataset_id},  # by which Cost Explorer can sort
    )


def step_job(
    options: JobOptions,
    *,
    command: str,
    arguments: Sequence[str],
    part: str,
    output_uri: str,
    tags: Mapping[str, str],
    now: datetime,
) -> dict[str, Any]:
    """Return the request of CreateTrainingJob for one command of a plan: a shard, a split, a proof.

    Parameters
    ----------
    part : str
        Which part of a run it is, such as ``harmonize-3-1``; goes into the job's name.
    tags : mapping
        What the job is tagged with. Characters that AWS refuses become ``_``.

    Raises
    ------
    UsageError
        If the output is not in S3.
    """
    refuse_outside_s3("--output", output_uri)
    return _training_job(
        options,
        name=_step_job_name(part, now),
        hyperparameters={"command": command, "arguments": json.dumps(list(arguments))},
        output_uri=output_uri,
        tags=tags,
    )


def _training_job(
    options: JobOptions, *, name: str, hyperparameters: dict[str, str], output_uri: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return the request of CreateTrainingJob.

    There is no CheckpointConfig: SageMaker would copy a folder of the container to S3 and back for a job that is
    interrupted, and the receipts, which are the checkpoints, are in S3 from the start. There are no input channels
    either: the worker reads the recordings itself, one at a time.
    """
    stopping = {"MaxRuntimeInSeconds": options.max_run}
    if options.spot and options.max_wait is not None:
        stopping["MaxWaitTimeInSeconds"] = options.max_wait
    return {
        "TrainingJobName": name,
        "HyperParameters": hyperparameters,
        "AlgorithmSpecification": {
            "TrainingImage": options.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ENTRYPOINT,
        },
        "RoleArn": options.role,
        "OutputDataConfig": {"S3OutputPath": f"{output_uri.rstrip('/')}/{SAGEMAKER}/"},
        "ResourceConfig": {
            "InstanceType": options.instance_type,
            "InstanceCount": options.instance_count,
            "VolumeSizeInGB": DISK_GB,
        },
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": options.spot,
        "EnableNetworkIsolation": False,  # it could not reach S3
        "Environment": {"AWS_DEFAULT_REGION": options.region, OUTPUT: output_uri},  # training containers are not told
        "Tags": cleaned_tags({**options.job_tags, **tags}),
    }


def _step_job_name(part: str, now: datetime) -> str:
    """Return a name that is new in the account: SageMaker never frees one."""
    return cleaned_name(f"vitalprep-{part}", end=f"-{now.timestamp() * 1000:.0f}")


def console_link(name: str, region: str) -> str:
    """Return where the AWS console shows a job."""
    return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/jobs/{name}"
