"""Starting a job where its name may be taken: no second job while the first runs, and a new one when it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.endpoint import REGION, Job, SageMaker, sagemaker
from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.sagemaker.aws import client
from vitalprep.sagemaker.request import JobOptions, job_name, plan_job
from vitalprep.sagemaker.start import StartedJob, running_job, start

DATASET = "2c5263cda312"
OPTIONS = JobOptions(
    image=f"123456789012.dkr.ecr.{REGION}.amazonaws.com/vitalprep/worker:0.1.0",
    role="arn:aws:iam::123456789012:role/vitalprep-sagemaker",
    region=REGION,
    instance_type="ml.m5.xlarge",
    instance_count=1,
    spot=False,
    max_run=60,
    max_wait=None,
)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SageMaker]:
    with sagemaker(tmp_path_factory.mktemp("jobs")) as application:
        application.machines = False
        yield application


@pytest.fixture
def served(endpoint: SageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SageMaker:
    """SageMaker without jobs, which creates such as do nothing."""
    endpoint.folder, endpoint.jobs = tmp_path, {}
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)
    return endpoint


def request(name: str, *, output: str = "s3://out", plan: str = "0123456789ab") -> dict[str, Any]:
    uri = f"{output}/runs/{DATASET}/plan-{plan}.json"
    return plan_job(OPTIONS, name=name, plan_uri=uri, dataset_id=DATASET, output_uri=output)


def requests() -> Iterator[dict[str, Any]]:
    return (request(job_name(DATASET, number)) for number in count(1))


def started(given: Any) -> StartedJob:
    return start(given, sagemaker=client("sagemaker", REGION))


def taken(served: SageMaker, number: int, status: str, **of: str) -> None:
    name = job_name(DATASET, number)
    served.jobs[name] = Job(request(name, **of), served.folder, {}, status=status, secondary=status)


def test_the_first_job_of_a_data_set(served: SageMaker) -> None:
    assert started(requests()) == StartedJob(f"vitalprep-{DATASET}-1", new=True)


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped"])
def test_a_name_that_an_ended_job_has_is_passed_over(served: SageMaker, status: str) -> None:
    taken(served, 1, status)
    assert started(requests()) == StartedJob(f"vitalprep-{DATASET}-2", new=True)


def test_no_second_job_starts_while_one_runs_whatever_its_plan(served: SageMaker) -> None:
    taken(served, 1, "Failed")
    taken(served, 2, "InProgress", plan="ba9876543210")
    assert started(requests()) == StartedJob(f"vitalprep-{DATASET}-2", new=False)
    assert len(served.jobs) == 2


def test_a_job_for_another_output_is_another(served: SageMaker) -> None:
    taken(served, 1, "InProgress", output="s3://other")
    assert started(requests()).name == f"vitalprep-{DATASET}-2"


def test_a_job_whose_answer_is_lost_is_found_again(served: SageMaker) -> None:
    served.lost_answers = 1
    assert started(requests()).name == f"vitalprep-{DATASET}-1"
    assert len(served.jobs) == 1


def test_a_job_that_is_just_stopping_is_waited_for_by_the_user(served: SageMaker) -> None:
    taken(served, 1, "Stopping")
    with pytest.raises(RetryableError, match="is just stopping"):
        started(requests())


def test_a_name_that_was_asked_for_is_not_replaced(served: SageMaker) -> None:
    taken(served, 1, "Completed")
    with pytest.raises(UsageError) as refused:
        started([request(job_name(DATASET, 1))])
    assert refused.value.fix == "leave out --job-name, or give another."


def seen(served: SageMaker) -> StartedJob | None:
    """What is seen of a data set's own names by somebody who asks for another."""
    names = (job_name(DATASET, number) for number in count(1))
    return running_job(names, request("vitalprep-mine"), sagemaker=client("sagemaker", REGION))


def test_a_running_job_is_seen_also_where_another_name_is_asked_for(served: SageMaker) -> None:
    assert seen(served) is None
    taken(served, 1, "Failed")
    assert seen(served) is None
    taken(served, 2, "InProgress")
    assert seen(served) == StartedJob(f"vitalprep-{DATASET}-2", new=False)


def test_who_may_look_at_their_own_names_only_is_not_held_up(
    served: SageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(served, 1, "InProgress")
    monkeypatch.setattr(served, "describe_answer", (400, "AccessDeniedException", "not authorized"))
    assert seen(served) is None
