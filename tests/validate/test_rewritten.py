"""Records, summaries, descriptions and verdict, all rewritten to agree with each other, are refused all the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.pipeline import data_digests
from tests.reliability.in_process import COARSE, command, in_process, short_cases
from vitalprep.features.samples import Samples
from vitalprep.record_files import content


def _series(samples: Samples) -> Samples:
    """One observed value is a little higher."""
    series = samples.series.copy()
    second, column = np.argwhere((samples.origin == 0) & (series < 0.9) & (series > -1))[3]
    series[second, column] += 0.01
    return replace(samples, series=series)


def _origin(samples: Samples) -> Samples:
    """One observed value is said to be held."""
    origin = samples.origin.copy()
    second, column = np.argwhere(origin == 0)[3]
    origin[second, column] = 1
    return replace(samples, origin=origin)


def _static(samples: Samples) -> Samples:
    """Everybody is a little older."""
    static = samples.static.copy()
    static[0] = min(static[0] + 0.05, 1)
    return replace(samples, static=static)


def _windows(samples: Samples) -> Samples:
    """Two windows have changed their contents."""
    order = np.arange(len(samples.series))
    order[:20], order[20:40] = order[20:40].copy(), order[:20].copy()
    moved = {name: getattr(samples, name)[order] for name in ("series", "origin", "measured")}
    return replace(samples, **moved)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_cases(tmp_path_factory.mktemp("short") / "in", cases=9)


@pytest.fixture(scope="module")
def sound(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("sound") / "out"
    with in_process():
        assert command("run", "--input", source, "--output", output, *COARSE).exit_code == 0
    return output


@pytest.fixture
def output(sound: Path, tmp_path: Path) -> Iterator[Path]:
    with in_process():
        yield Path(shutil.copytree(sound, tmp_path / "out"))


def _rewrite(output: Path, change: Any) -> None:
    """Build and publish under a change, and put the old verdict and ``latest.json`` back, with the new content id."""
    plan = next(output.glob("runs/*/plan-*.json"))
    dataset = next(output.glob("datasets/*/"))
    verdict = (dataset / "validation.json").read_bytes()
    latest = json.loads((output / "datasets/latest.json").read_bytes())
    for built in [*dataset.glob("build-*.json"), *dataset.glob("*.tfrecord*")]:
        built.unlink()
    with change:
        for stage in ("build", "publish"):
            assert command(stage, "--plan", plan).exit_code == 0
    (dataset / "validation.json").write_bytes(verdict)
    metadata = json.loads((dataset / "preprocessing_metadata.json").read_bytes())
    latest["content_id"] = metadata["content_id"]
    (output / "datasets/latest.json").write_text(json.dumps(latest, sort_keys=True, separators=(",", ":")) + "\n")


def _samples_changed(change: Callable[[Samples], Samples]) -> Any:
    build = content.samples_of
    return mock.patch.object(content, "samples_of", lambda *arguments: change(build(*arguments)))


def _order_changed() -> Any:
    order = content.windows_in_order
    return mock.patch.object(content, "windows_in_order", lambda *one, **other: order(*one, **other)[::-1])


CHANGES = {change.__name__: _samples_changed(change) for change in (_series, _origin, _static, _windows)}


@pytest.mark.parametrize("name", [*CHANGES, "_order"])
def test_a_data_set_that_was_rewritten_consistently_is_refused(output: Path, sound: Path, name: str) -> None:
    _rewrite(output, CHANGES.get(name) or _order_changed())
    dataset = next(output.glob("datasets/*/"))
    assert data_digests(dataset) != data_digests(sound / "datasets" / dataset.name), "the change is one of the bytes"
    assert command("validate", dataset, "--quick").exit_code == 0, "names and sizes agree"
    ending = command("validate", dataset)
    assert ending.exit_code == 65, ending.text
    assert any(file.name in ending.text for file in dataset.glob("*.tfrecord*")), ending.text
    assert json.loads((dataset / "validation.json").read_bytes())["passed"] is False


def test_the_next_run_gives_the_bytes_again(source: Path, output: Path, sound: Path) -> None:
    _rewrite(output, _samples_changed(_series))
    dataset = next(output.glob("datasets/*/"))
    assert command("validate", dataset).exit_code == 65
    assert command("run", "--input", source, "--output", output, *COARSE).exit_code == 0
    assert data_digests(dataset) == data_digests(sound / "datasets" / dataset.name)
