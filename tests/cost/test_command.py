"""`vitalprep cost` as a process: listings only, cases that are missing, and what it says of doubtful sizes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.pipeline import BUCKET, run_vitalprep, s3_client
from vitalprep.contract.config_file import load_config
from vitalprep.cost.command import cost
from vitalprep.cost.figures import load_figures
from vitalprep.cost.tables import print_cost
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.region import DEFAULT_REGION
from vitalprep.storage import Storage

MB = 1_000_000


def _sparse(folder: Path, sizes: dict[int, int]) -> Path:
    """Files of a size with nothing in them: no recording could be read from them."""
    folder.mkdir(parents=True, exist_ok=True)
    for case, size in sizes.items():
        path = folder / f"{case:04d}.vital"
        path.touch()
        os.truncate(path, size)
    return folder


def test_it_reckons_from_the_listing(tmp_path: Path) -> None:
    folder = _sparse(tmp_path / "raw", dict.fromkeys(range(1, 21), 15 * MB))
    answer = run_vitalprep("cost", "--input", folder, "--cases", "1-30")
    assert answer.exit_code == 0
    result = answer.result
    assert (result["cases"], result["requested"], result["missing"]) == (20, 30, "21-30")
    assert "21-30" in answer.last_message
    assert result["gb_in"] == pytest.approx(0.3)
    minutes = 15 / 0.0921
    assert result["median_minutes"] == pytest.approx(minutes)
    assert result["windows"] == 20 * ((int(60 * minutes) - 330) // 30 + 1)
    assert result["gb_out"] == pytest.approx(result["windows"] * 24.3e3 / 1e9, rel=0.01)
    assert set(result["backends"]) == {"one_task", "fargate_spot", "fargate", "sagemaker_spot"}
    for item in result["backends"].values():
        assert item["dollars"] == pytest.approx(item["compute"] + item["requests"] + item["transfer"])
    assert result["backends"]["fargate_spot"]["dollars"] < result["backends"]["fargate"]["dollars"]
    assert result["figures"]["machine"]["measured"] > "2026"
    assert "s3.stream_mb_s" in result["assumed"]


def test_no_body_is_read_from_s3(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The object lies in an archive: it is listed, and S3 refuses to give its bytes."""
    s3_client(s3_environment).put_object(
        Bucket=BUCKET, Key="archived/0001.vital", Body=bytes(2 * MB), StorageClass="GLACIER"
    )
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Exception, match="archived/0001"):
        Storage(f"s3://{BUCKET}/archived").get("0001.vital")
    answer = run_vitalprep("cost", "--input", f"s3://{BUCKET}/archived", environment=s3_environment)
    assert (answer.exit_code, answer.result["cases"], answer.result["gb_in"]) == (0, 1, 0.002)


def test_recordings_without_waves_are_noticed_and_can_be_declared(tmp_path: Path) -> None:
    folder = _sparse(tmp_path / "raw", dict.fromkeys(range(1, 6), 950000))
    mistaken = run_vitalprep("cost", "--input", folder)
    assert mistaken.result["unlikely_sizes"] == 5
    assert "--numeric-only" in mistaken.last_message
    declared = run_vitalprep("cost", "--input", folder, "--numeric-only")
    assert declared.result["unlikely_sizes"] == 0
    assert not declared.log
    assert declared.result["windows"] > 10 * mistaken.result["windows"]


def test_the_tables_say_what_stands_in_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _sparse(tmp_path / "raw", dict.fromkeys(range(1, 21), 15 * MB))
    config = load_config(settings=["windowing.min_observed_fraction=0.5"])
    result = cost(str(folder), config, load_figures(), cases="1-30")
    print_cost(result)
    shown = capsys.readouterr().out
    for text in (
        "20 of 30 requested; not in the input: 21-30",
        "0.30 GB",
        f"about {result['windows']:,}",
        "SageMaker",
        "2026-09-28",
    ):
        assert text in shown
    for backend in result["backends"].values():
        assert f"{backend['vcpu_hours']:.2f}" in shown
    assert result["figures"]["machine"]["measured"] in shown
    assert "min_observed_fraction" in shown  # the estimate counts windows that this drops


def test_sizes_that_no_recording_has_give_no_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = cost(str(_sparse(tmp_path / "raw", dict.fromkeys(range(1, 6), 1200))), load_config(), load_figures())
    print_cost(result)
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "cannot be told from their sizes" in shown
    assert "--numeric-only" in shown
    assert "about 0" not in shown
    assert "vCPU-hours" not in shown


def test_prices_are_those_of_the_region_that_runs_go_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    variables = (Path(__file__).parents[2] / "terraform" / "variables.tf").read_text()
    assert f'default     = "{DEFAULT_REGION}"' in variables
    folder = str(_sparse(tmp_path / "raw", {1: 15 * MB}))
    result = cost(folder, load_config(), load_figures())
    assert result["figures"]["region"] == result["deployment_region"] == DEFAULT_REGION
    print_cost(result)
    assert "Runs are deployed" not in capsys.readouterr().out
    monkeypatch.setenv("AWS_REGION", "af-south-1")
    print_cost(cost(folder, load_config(), load_figures()))
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "of eu-north-1. Runs are deployed to af-south-1" in shown
    assert "it has those of eu-north-1, eu-west-1" in shown


def test_arm_leaves_out_what_does_not_run_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    folder = _sparse(tmp_path / "raw", dict.fromkeys(range(1, 11), 15 * MB))
    x86, arm = (
        run_vitalprep("cost", "--input", folder, "--architecture", architecture).result
        for architecture in ("X86_64", "ARM64")
    )
    assert x86["backends"].keys() - arm["backends"].keys() == {"sagemaker_spot"}
    assert any("SageMaker" in limit for limit in arm["limits"])
    before, after = x86["backends"]["fargate"], arm["backends"]["fargate"]
    assert after["vcpu_hours"] == before["vcpu_hours"]
    hour = 2 * 0.03238 + 4 * 0.00356 + 0.005
    assert after["compute"] == pytest.approx(after["vcpu_hours"] / 2 * hour)
    assert before["compute"] == pytest.approx(before["vcpu_hours"] / 2 * (2 * 0.04048 + 4 * 0.004445 + 0.005))
    deployed = {"VITALPREP_ECS_CPU_ARCHITECTURE": "ARM64"}  # as Terraform tells Airflow and its page
    hour_of = ("cost", "--hour-of", "fargate")
    assert "(ARM)" in run_vitalprep(*hour_of, environment=deployed).result["label"]
    assert "(ARM)" not in run_vitalprep(*hour_of, "--architecture", "X86_64", environment=deployed).result["label"]


def test_no_arm_at_all_is_refused(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("backends: {fargate: {arm: }, fargate_spot: {arm: }}\n", "utf-8")
    folder = str(_sparse(tmp_path / "raw", {1: 15 * MB}))
    with pytest.raises(UsageError, match="ARM"):
        cost(folder, load_config(), load_figures(str(prices)), architecture="ARM64")


def test_configuration_prices_and_shards_are_honoured(tmp_path: Path) -> None:
    folder = _sparse(tmp_path / "raw", dict.fromkeys(range(1, 11), 15 * MB))
    prices = tmp_path / "prices.yaml"
    prices.write_text("backends: {fargate: {vcpu_hour: 0.445, memory_gb_hour: 0.049, extra_hour: 0.05}}\n", "utf-8")
    region = {"AWS_DEFAULT_REGION": DEFAULT_REGION}
    plain = run_vitalprep("cost", "--input", folder, "--shards", "3", environment=region).result
    arguments = ("--shards", "3", "--prices", prices, "--set", "windowing.step=300")
    changed = run_vitalprep("cost", "--input", folder, *arguments, environment=region).result
    assert changed["windows"] == pytest.approx(plain["windows"] / 10, rel=0.05)
    before, after = plain["backends"]["fargate"], changed["backends"]["fargate"]
    assert before["shards"] == after["shards"] == 3
    assert after["compute"] / after["vcpu_hours"] == pytest.approx(10 * before["compute"] / before["vcpu_hours"])
    assert after["priced"] == "by you"
    assert changed["backends"]["sagemaker_spot"]["priced"] == plain["backends"]["sagemaker_spot"]["priced"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "named"),
    [
        (["--cases", "7-9"], 65, "None of the 3 requested cases"),
        (["--cases", ""], 2, "an entry is empty"),
        (["--prices", "none.yaml"], 2, "none.yaml"),
    ],
)
def test_what_it_refuses(tmp_path: Path, arguments: list[str], exit_code: int, named: str) -> None:
    answer = run_vitalprep("cost", "--input", _sparse(tmp_path / "raw", {1: MB}), *arguments)
    assert (answer.exit_code, answer.result["ok"]) == (exit_code, False)
    assert named in answer.result["message"]
    assert answer.result["fix"]


def test_an_empty_input_is_refused(tmp_path: Path) -> None:
    answer = run_vitalprep("cost", "--input", tmp_path)
    assert (answer.exit_code, answer.result["error"]) == (65, "RefusedError")
