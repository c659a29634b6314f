"""The data set class for PyTorch that `examples/` shows: with PyTorch where it is installed, else on what it needs."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import vitalprep
from tests.loading.conftest import Published

INSTALLED = importlib.util.find_spec("torch") is not None
EXAMPLE = "examples.torch_dataset"


def sums_read(published: Published, **arguments: Any) -> list[float]:
    batches = vitalprep.read(published.sharded, "train", batch_size=16, **arguments)
    return [float(batch.timeseries.sum(dtype=np.float64)) for batch in batches]


@pytest.mark.skipif(not INSTALLED, reason="PyTorch is not installed (it is no dependency; its wheel takes 3 GB)")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gives_every_window_once_an_epoch(published: Published, workers: int) -> None:
    import torch

    example = importlib.import_module(EXAMPLE)
    windows = example.VitalWindows(published.sharded, "train", batch_size=16, seed=3)
    context = "spawn" if workers else None
    loader = torch.utils.data.DataLoader(
        windows,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context=context,
        persistent_workers=workers > 0,
    )
    for epoch in range(2):
        found = list(loader)
        assert {(inputs.dtype, inputs.shape[1:]) for inputs, _, _ in found} == {(torch.float32, (300, 16))}
        assert {(static.shape[1:], target.shape[1:]) for _, static, target in found} == {((6,), (8,))}
        shards = [None] if not workers else [(index, workers) for index in range(workers)]
        wanted = [total for shard in shards for total in sums_read(published, shuffle=3 + epoch, shard=shard)]
        totals = [float(inputs.sum(dtype=torch.float64)) for inputs, _, _ in found]
        assert sorted(totals) == pytest.approx(sorted(wanted), abs=1e-6)


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the class takes from PyTorch: a base class, arrays as tensors, and who the worker is."""
    if INSTALLED:
        pytest.skip("PyTorch is installed: it runs itself")
    worker: dict[str, Any] = {"info": None}
    torch, utils, data = ModuleType("torch"), ModuleType("torch.utils"), ModuleType("torch.utils.data")
    torch.Tensor = np.ndarray  # type: ignore[attr-defined]
    torch.from_numpy = np.asarray  # type: ignore[attr-defined]
    data.IterableDataset = list  # type: ignore[attr-defined]
    data.DataLoader = None  # type: ignore[attr-defined]
    data.get_worker_info = lambda: worker["info"]  # type: ignore[attr-defined]
    for module in (torch, utils, data):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, EXAMPLE, raising=False)
    yield worker
    sys.modules.pop(EXAMPLE, None)


def test_workers_of_the_class_share_the_windows(published: Published, without_torch: dict[str, Any]) -> None:
    example = importlib.import_module(EXAMPLE)
    windows = example.VitalWindows(published.sharded, "train", batch_size=16, seed=3)
    alone = targets(windows)
    assert len(alone) == published.windows["train"]
    shares = []
    for index in range(2):
        without_torch["info"] = SimpleNamespace(id=index, num_workers=2)
        shares.append(targets(copied(windows)))
    assert all(shares)
    assert sorted(shares[0] + shares[1]) == sorted(alone)


@pytest.mark.parametrize("worker", [None, SimpleNamespace(id=1, num_workers=2)])
def test_each_pass_has_another_order(
    published: Published, without_torch: dict[str, Any], worker: SimpleNamespace | None
) -> None:
    """A worker that stays (``persistent_workers=True``) goes over its one copy again and again."""
    example = importlib.import_module(EXAMPLE)
    windows = example.VitalWindows(published.sharded, "train", batch_size=16, seed=3)
    without_torch["info"] = worker
    copy = copied(windows)
    passes = [targets(copy) for _ in range(3)]
    assert len({tuple(order) for order in passes}) == 3
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(passes[2])
    other = copied(windows)
    other.epoch = 1
    assert [targets(other), targets(other)] == passes[1:], "an epoch that is set is begun from"
    still = example.VitalWindows(published.sharded, "train", batch_size=16, seed=None)
    assert targets(still) == targets(still)


def copied(windows: Any) -> Any:
    """What a worker gets of an object of the class."""
    return type(windows)(windows.uri, windows.split, batch_size=windows.batch_size, seed=windows.seed)


def targets(windows: Any) -> list[bytes]:
    """The windows of one pass, in order."""
    return [row.tobytes() for _, static, target in windows for row in np.hstack([static, target])]
