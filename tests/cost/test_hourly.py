"""What an hour of a task costs: as the price pages add it up, scaled within a family, and refused where unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep
from vitalprep.cost.figures import load_figures
from vitalprep.cost.hourly import hourly_price
from vitalprep.runtime.errors import UsageError

FIGURES = load_figures(region="eu-west-1")


def test_fargate_by_vcpu_and_memory() -> None:
    price = hourly_price(FIGURES, "fargate", vcpus=4, memory_gb=8)
    assert price["spot"] == pytest.approx(4 * 0.01224056 + 8 * 0.0013441 + 0.005)
    assert price["on_demand"] == pytest.approx(4 * 0.04048 + 8 * 0.004445 + 0.005)
    assert price["label"] == "ECS Fargate with 4 vCPU and 8 GB"
    assert price["priced"] == "2026-09-11", "the older one of the two prices"


def test_fargate_on_arm() -> None:
    price = hourly_price(FIGURES, "fargate", vcpus=4, memory_gb=8, architecture="ARM64")
    assert price["spot"] == pytest.approx(4 * 0.00979124 + 8 * 0.00107649 + 0.005)
    assert price["on_demand"] == pytest.approx(4 * 0.03238 + 8 * 0.00356 + 0.005)
    assert price["label"] == "ECS Fargate (ARM) with 4 vCPU and 8 GB"


def test_sagemaker_has_no_arm() -> None:
    with pytest.raises(UsageError, match="SageMaker managed spot has no ARM prices"):
        hourly_price(FIGURES, "ml.m5.large", architecture="ARM64")


def test_the_default_size_is_what_an_estimate_reckons_with() -> None:
    price, backends = hourly_price(FIGURES, "fargate"), FIGURES.backends
    assert (price["spot"], price["on_demand"]) == (backends["fargate_spot"].hour, backends["fargate"].hour)


@pytest.mark.parametrize(("machine", "times"), [("ml.m5.large", 0.5), ("ml.m5.xlarge", 1), ("ml.m5.12xlarge", 12)])
def test_sagemaker_within_the_family(machine: str, times: float) -> None:
    price = hourly_price(FIGURES, machine)
    assert price["on_demand"] == pytest.approx(0.257 * times + 0.0063)
    assert price["spot"] == pytest.approx(0.257 * 0.4 * times + 0.0063)


@pytest.mark.parametrize("machine", ["ml.c5.large", "m5.large", "ml.m5.metal", "fargate_spot", ""])
def test_what_has_no_price_is_refused(machine: str) -> None:
    with pytest.raises(UsageError, match="not known") as error:
        hourly_price(FIGURES, machine)
    assert "machine_hour" in error.value.fix


def test_prices_of_one_s_own(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("backends: {sagemaker_spot: {machine: ml.c5.large, machine_hour: 0.1, discount: 0.5}}")
    answer = run_vitalprep("cost", "--hour-of", "ml.c5.xlarge", "--prices", file)
    assert answer.result["on_demand"] == pytest.approx(0.2 + 0.0063)
    assert answer.result["spot"] == pytest.approx(0.1 + 0.0063)
    assert answer.result["priced"] == "by you"


@pytest.mark.parametrize("options", [(), ("--hour-of", "fargate", "--input", "/nowhere")])
def test_either_recordings_or_a_machine(options: tuple[str, ...]) -> None:
    answer = run_vitalprep("cost", *options)
    assert answer.exit_code == 2
    assert "Give either --input or --hour-of" in answer.result["message"]
