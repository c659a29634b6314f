"""Data sets of an output, from its listing alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from vitalprep.contract.paths import DATASETS, RUNS, is_digest, is_plan, progress_path
from vitalprep.storage import Storage, StoredObject

__all__ = ["ListedDataset", "listed_datasets"]

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class ListedDataset:
    """Objects of one data set and its runs: time of writing by path below the output."""

    dataset_id: str
    times: dict[str, datetime]

    @property
    def planned(self) -> datetime | None:
        """Time of the newest plan."""
        return max((time for path, time in self.times.items() if is_plan(path)), default=None)

    @property
    def written(self) -> datetime:
        """Time of the newest plan; without a plan, time of the last write."""
        return self.planned or max(self.times.values())

    @property
    def plan(self) -> str | None:
        """Path of the plan that was made or worked on last. Planning the same again writes no plan."""
        return max(filter(is_plan, self.times), key=lambda plan: (self._moved(plan), plan), default=None)

    def heartbeats(self, plan: str, shards: int) -> dict[int, str]:
        """Return the paths of a plan's heartbeats by shard."""
        paths = {index: progress_path(plan, index) for index in range(shards)}
        return {index: path for index, path in paths.items() if path in self.times}

    def _moved(self, plan: str) -> datetime:
        folder = plan.removesuffix(".json") + "/"
        return max(time for path, time in self.times.items() if path == plan or path.startswith(folder))


def listed_datasets(output: Storage, dataset_id: str | None = None) -> list[ListedDataset]:
    """Return the data sets of an output (or only one), newest plan first."""
    below = f"/{dataset_id}" if dataset_id else ""
    times: dict[str, dict[str, datetime]] = defaultdict(dict)
    for stored in _listed(output, (RUNS + below, DATASETS + below)):
        name = stored.path.split("/")[1]
        if is_digest(name):
            times[name][stored.path] = stored.modified or LONG_AGO
    found = [ListedDataset(name, paths) for name, paths in times.items()]
    return sorted(found, key=lambda one: (one.written, one.dataset_id), reverse=True)


def _listed(output: Storage, folders: Iterable[str]) -> Iterable[StoredObject]:
    for folder in folders:
        yield from output.list(folder)
