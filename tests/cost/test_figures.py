"""The figures: each has its unit, source and date, a user's file lies over them, and a wrong one is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from vitalprep.cost.figures import Backend, Figure, Figures, load_figures
from vitalprep.runtime.errors import UsageError


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
    for price in prices:
        if price.value:
            assert "https://" in price.source or "same bill" in price.source


_PRICES = ("vcpu_hour", "memory_gb_hour", "machine_hour", "extra_hour")


def test_an_hour_of_a_task_as_the_price_page_adds_it_up() -> None:
    backends = load_figures().backends
    assert backends["fargate"].hour == pytest.approx(2 * 0.04048 + 4 * 0.004445 + 0.005)
    assert backends["sagemaker_spot"].hour == pytest.approx(0.257 * 0.4 + 0.0063)
    assert backends["fargate"].priced == date(2026, 9, 11)


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
        f"    {name}: {figure}\n" for name in Backend.model_fields if name not in {"label", "machine", "discount"}
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
