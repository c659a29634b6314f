"""A data set for PyTorch: batches of windows as tensors, shared out over the workers of a `DataLoader`.

    python examples/torch_dataset.py <output>/datasets/<dataset_id>

Copy the class into your project; vitalprep itself does not need PyTorch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import vitalprep


class VitalWindows(IterableDataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """The windows of a split as (inputs, static, target): float32 in [-1, 1], shapes (n, 300, 16), (n, 6), (n, 8).

    Use it with ``DataLoader(..., batch_size=None)``: the batches come ready. With several workers each reads its own
    share of the files, so there must be as many files as workers; a worker makes batches of its own.

    Parameters
    ----------
    seed : int or None
        Draws the order. Each pass has another one, drawn by `seed` and `epoch`, which counts the passes. The workers of
        a `DataLoader` have copies of this object: with ``persistent_workers=True`` each copy counts by itself, without
        them each epoch begins with a new copy, so that `epoch` has to be set before. None: as the windows stand in the
        files.
    """

    def __init__(self, uri: str, split: str, *, batch_size: int, seed: int | None) -> None:
        super().__init__()
        self.uri = uri
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        epoch, self.epoch = self.epoch, self.epoch + 1
        batches = vitalprep.read(
            self.uri,
            self.split,
            batch_size=self.batch_size,
            shuffle=None if self.seed is None else self.seed + epoch,
            shard=None if worker is None else (worker.id, worker.num_workers),
        )
        for batch in batches:
            yield torch.from_numpy(batch.timeseries), torch.from_numpy(batch.static), torch.from_numpy(batch.target)


def main(uri: str) -> None:
    """Go through the training windows twice, and say how fast."""
    windows = VitalWindows(uri, "train", batch_size=64, seed=1)
    loader = DataLoader(
        windows, batch_size=None, num_workers=1, multiprocessing_context="spawn", persistent_workers=True
    )
    for epoch in range(2):
        began = time.perf_counter()
        count = sum(len(inputs) for inputs, _, _ in loader)
        print(f"epoch {epoch}: {count} windows in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1])
