"""The figures: each has its unit, source and date, a user's file lies over them, and a wrong one is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from vitalprep.cost.figures import Backend, Figure, Figures, load_figures, priced_regions
from vitalprep.runtime.errors import UsageError
from vitalprep.runtime.region import DEFAULT_REGION


def _figures(node: Any, key: str = "") -> Iterator[tuple[str, Figure]]:
    if isinstance(node, Figure):
        yield key, node
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _figures(value, f"{key}.{name}")
    elif hasattr(node, "model_fields_set"):
        for name in node.model_fields_set:
            yield from _figures(getattr(node, name), f"{key}.{name}")


def _file(folder: Path, text: str) -> str:
    path = folder / "prices.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def test_every_figure_has_a_unit_a_source_and_a_date() -> None:
    found = dict(_figures(load_figures()))
    assert len(found) > 40
    for key, figure in found.items():
        assert figure.unit, key
        assert figure.as_of is not None, key
        assert date(2020, 1, 1) < figure.as_of, key
        assert figure.source.startswith("assumed") or len(figure.source) > 8, key


def test_every_price_names_a_public_page_or_says_that_it_is_assumed() -> None:
    figures = load_figures()
    prices = [getattr(backend, name) for backend in figures.backends.values() for name in _PRICES]
    prices += [figures.s3.storage_gb_month, figures.s3.thousand_writes, figures.s3.thousand_reads]
    arms = [backend.on("ARM64") for backend in figures.backends.values()]
    prices += [getattr(backend, name) for backend in arms if backend for name in _PRICES]
    for price in prices:
        if price.value:
            assert "https://" in price.source or "same bill" in price.source


_PRICES = ("vcpu_hour", "memory_gb_hour", "machine_hour", "extra_hour")


def test_an_hour_of_a_task_as_the_price_page_adds_it_up() -> None:
    backends = load_figures().backends
    assert backends["fargate"].hour == pytest.approx(2 * 0.0445 + 4 * 0.0049 + 0.005)
    assert backends["sagemaker_spot"].hour == pytest.approx(0.257 * 0.4 + 0.0063)
    assert backends["fargate"].priced == date(2026, 9, 11)


def test_the_default_region_is_the_one_that_runs_go_to() -> None:
    assert load_figures().region == priced_regions()[0] == DEFAULT_REGION


@pytest.mark.parametrize("region", priced_regions())
def test_a_region_brings_its_own_prices_for_both_architectures(region: str) -> None:
    backends = load_figures(region=region).backends
    for name in ("fargate", "fargate_spot"):
        x86, arm = backends[name], backends[name].on("ARM64")
        assert arm is not None
        assert arm.label == f"{x86.label}, ARM"
        assert 0.75 * x86.hour < arm.hour < 0.85 * x86.hour  # by a fifth, but for the public address
        assert (arm.vcpus, arm.memory_gb, arm.speed) == (x86.vcpus, x86.memory_gb, x86.speed)
    assert backends["sagemaker_spot"].on("ARM64") is None


def test_prices_that_were_not_seen_for_the_region_say_so() -> None:
    seen = {"eu-north-1": ["fargate"], "eu-west-1": ["fargate_spot", "fargate", "sagemaker_spot"]}
    for region, names in seen.items():
        backends = load_figures(region=region).backends
        assumed = {name: backends[name].vcpu_hour.source + backends[name].machine_hour.source for name in backends}
        assert [name for name, source in assumed.items() if "assumed" not in source] == names
    for region in ("eu-north-1", "us-east-1"):
        figures = load_figures(region=region)
        prices = (figures.s3.storage_gb_month, figures.s3.thousand_writes, figures.s3.thousand_reads)
        for price in (*prices, figures.one_task.disk_hour):
            assert price.source.startswith("assumed") == (region != "us-east-1")
    arm = load_figures(region="eu-west-1").backends["fargate"].arm
    assert arm is not None
    assert (arm.vcpu_hour.value, arm.memory_gb_hour.value) == (0.03238, 0.00356)


def test_the_one_task_is_the_one_that_terraform_defines() -> None:
    variables = (Path(__file__).parents[2] / "terraform" / "variables.tf").read_text("utf-8")
    [size] = re.findall(r'"runner_size" \{.*?default +=.*?cpu = (\d+), memory = (\d+)', variables, re.DOTALL)
    [disk] = re.findall(r'"runner_disk_gib" \{.*?default +=.*?(\d+)', variables, re.DOTALL)
    one, runner = load_figures().one_task, load_figures().runner
    assert (int(size[0]), int(size[1])) == (1024 * runner.vcpus.value, 1024 * runner.memory_gb.value)
    assert one.disk_hour.value == pytest.approx((int(disk) - 20) * 0.000111)
    assert runner.hour == pytest.approx(8 * 0.0445 + 16 * 0.0049 + 0.005 + 0.00333)


def test_a_region_without_prices_gets_those_of_the_default_one() -> None:
    assert load_figures(region="af-south-1") == load_figures()


def test_the_region_that_a_file_names_counts(tmp_path: Path) -> None:
    named = load_figures(_file(tmp_path, "region: eu-west-1\nbackends: {fargate: {arm: {vcpu_hour: 0.03}}}"))
    there, arm = load_figures(region="eu-west-1"), named.backends["fargate"].arm
    assert named.region == "eu-west-1"
    assert named.backends["fargate_spot"] == there.backends["fargate_spot"]
    assert arm is not None
    assert (arm.vcpu_hour.value, arm.memory_gb_hour.value) == (0.03, 0.00356)
    elsewhere = load_figures(_file(tmp_path, "region: af-south-1"), "eu-west-1")
    assert elsewhere.region == "af-south-1"
    assert elsewhere.backends == load_figures().backends


def test_a_number_alone_keeps_the_unit_and_takes_the_file_as_its_source(tmp_path: Path) -> None:
    file = _file(
        tmp_path, "backends:\n  fargate: {vcpu_hour: 0.05}\nrecordings:\n  waves: {value: 0.1, source: mine}\n"
    )
    before, after = load_figures(), load_figures(file)
    price = after.backends["fargate"].vcpu_hour
    assert (price.value, price.unit, price.source, price.as_of) == (0.05, "USD per hour", file, None)
    assert after.backends["fargate"].priced is None  # a date of AWS's would be a lie now
    assert after.recordings.waves.source == "mine"
    assert after.recordings.waves.as_of is None
    changed = {"vcpu_hour": price}
    assert after.backends["fargate"] == before.backends["fargate"].model_copy(update=changed)
    assert {name: item for name, item in after.backends.items() if name != "fargate"} == {
        name: item for name, item in before.backends.items() if name != "fargate"
    }


def test_a_backend_of_ones_own_stands_beside_the_others(tmp_path: Path) -> None:
    figure = "{value: 1, unit: x, source: mine}"
    lines = "".join(
        f"    {name}: {figure}\n"
        for name in Backend.model_fields
        if name not in {"label", "machine", "discount", "arm"}
    )
    file = _file(
        tmp_path, f"backends:\n  own:\n    label: Own\n    discount: {{value: 0, unit: x, source: mine}}\n{lines}"
    )
    assert list(load_figures(file).backends) == [*load_figures().backends, "own"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("backends: {fargate: {vcpu_hour: -0.1}}", "backends.fargate.vcpu_hour.value"),
        ("backends: {fargate: {vcpu_hour: cheap}}", "backends.fargate.vcpu_hour.value"),
        ("backends: {fargate: {vcpu_hour: .nan}}", "backends.fargate.vcpu_hour.value"),
        ("backends: {fargate: {vcpus: 0}}", "backends.fargate.vcpus.value"),
        ("backends: {fargate: {discount: 1.2}}", "backends.fargate.discount.value"),
        ("backends: {fargate: {cpu_hour: 0.1}}", "backends.fargate.cpu_hour: this key is unknown"),
        ("backends: {moon: {label: Moon}}", "backends.moon.vcpus"),
        ("recordings: {waves: 0}", "recordings.waves.value"),
        ("machine: {stages: {harmonize: {per_mb: 1}}}", "machine.stages.harmonize.per_mb: this key is unknown"),
        ("machine: {stages: {polish: {}}}", "machine.stages.polish"),
        ("backends: {fargate: {arm: {gpu_hour: 1}}}", "backends.fargate.arm.gpu_hour: this key is unknown"),
        ("backends: {sagemaker_spot: {arm: {vcpu_hour: 1}}}", "backends.sagemaker_spot.arm"),
        ("regions: {}", "regions: this key is unknown"),
        ("s3:", "s3"),
        ("pries: {}", "pries: this key is unknown"),
        ("- 1", "is not a mapping"),
        ("a: [", "is not valid YAML"),
        ("region: a\nregion: b", "Duplicate configuration key"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named.replace(".", r"\.")):
        load_figures(_file(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--prices"):
        load_figures(str(tmp_path / "none.yaml"))


def test_what_is_printed_as_json_can_be_given_back(tmp_path: Path) -> None:
    import json

    figures = load_figures()
    assert load_figures(_file(tmp_path, json.dumps(figures.content()))) == figures
    assert isinstance(figures, Figures)
