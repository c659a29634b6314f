"""Arithmetic from the volume of a run to CPU seconds, minutes and dollars."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitalprep.contract.config import Config
from vitalprep.contract.receipt import READERS
from vitalprep.cost.figures import Backend, Figures, Machine, Stage, Storing
from vitalprep.cost.volume import Load, Volume
from vitalprep.plan.shards import balanced_shards
from vitalprep.storage import WRITE_BUFFER

__all__ = ["STAGES", "BackendCost", "cpu_seconds", "estimate", "estimate_one_task", "file_count", "run_cpu_seconds"]

STAGES: tuple[Stage, ...] = ("plan", "harmonize", "build", "publish", "validate")


@dataclass(frozen=True, kw_only=True)
class BackendCost:
    """Estimate of a run on one backend; dollars for compute, S3 requests and data transfer."""

    label: str
    shards: int
    tasks: int
    vcpu_hours: float
    minutes: float
    compute: float
    requests: float
    transfer: float

    @property
    def dollars(self) -> float:
        """Total cost without storage."""
        return self.compute + self.requests + self.transfer


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One container's work.

    Attributes
    ----------
    pieces : int
        Into how much can be done at once; 0: the command does it alone, without worker processes.
    mb_moved : float
        From and to S3.
    waits : float
        Small requests that a worker process waits for, one after the other.
    """

    stage: Stage
    load: Load
    pieces: int = 0
    mb_moved: float = 0.0
    waits: float = 0.0


def cpu_seconds(stage: Stage, load: Load, machine: Machine) -> float:
    """Return the CPU seconds of a stage on the measured machine, without starting processes."""
    rates = machine.stages[stage]
    return (
        rates.per_case * load.cases
        + rates.per_mb_in * load.mb_in
        + rates.per_hour * load.hours
        + rates.per_gb_out * load.gb_out
    )


def run_cpu_seconds(volume: Volume, machine: Machine, *, workers: int) -> dict[str, float]:
    """Return the CPU seconds of `vitalprep run` on the measured machine, by stage; `start` is starting processes."""
    seconds = {stage: cpu_seconds(stage, volume.load, machine) for stage in STAGES}
    return seconds | {"start": machine.process_seconds * (1 + min(workers, len(volume.sizes)))}


def estimate(
    volume: Volume, config: Config, figures: Figures, backend: Backend, *, shards: int | None = None
) -> BackendCost:
    """Estimate a run on one backend.

    The stages follow one another; the shards of harmonize and the splits of build run side by side. Waiting for
    capacity, and the DAG's own seconds between tasks, are not included.

    Parameters
    ----------
    shards : int, optional
        Task shards; default as many as it takes for none to work longer than `tasks.shard_minutes`.
    """
    count = shards or _shards_for(volume, figures, backend)
    tasks = _tasks(volume, config, figures, count)
    work = [_work_seconds(task, figures, backend) * (1 + backend.redone.value) for task in tasks]
    billed = sum(max(backend.minimum_seconds.value, backend.billed_start_seconds.value + item) for item in work)
    longest = {
        stage: max(item for task, item in zip(tasks, work, strict=True) if task.stage == stage) for stage in STAGES
    }
    return BackendCost(
        label=backend.label,
        shards=sum(task.stage == "harmonize" for task in tasks),
        tasks=len(tasks),
        vcpu_hours=billed * backend.vcpus.value / 3600,
        minutes=sum(backend.start_seconds.value + item for item in longest.values()) / 60,
        compute=billed * backend.hour / 3600,
        requests=_request_dollars(volume, config, figures.s3),
        transfer=sum(task.mb_moved for task in tasks) / 1e3 * figures.s3.transfer_gb.value,
    )


def estimate_one_task(volume: Volume, config: Config, figures: Figures, backend: Backend) -> BackendCost:
    """Estimate `vitalprep run` in one task: the stages follow one another in one container."""
    tasks = _tasks(volume, config, figures, 1)
    start = 2 * figures.machine.process_seconds / backend.speed.value  # the command, then its workers side by side
    work = (start + sum(_busy_seconds(task, figures, backend) for task in tasks)) * (1 + backend.redone.value)
    billed = max(backend.minimum_seconds.value, backend.billed_start_seconds.value + work)
    return BackendCost(
        label=backend.label,
        shards=1,
        tasks=1,
        vcpu_hours=billed * backend.vcpus.value / 3600,
        minutes=(backend.start_seconds.value + work) / 60,
        compute=billed * backend.hour / 3600,
        requests=_request_dollars(volume, config, figures.s3),
        transfer=sum(task.mb_moved for task in tasks) / 1e3 * figures.s3.transfer_gb.value,
    )


def file_count(gb: float, config: Config) -> int:
    """Return the number of files for some GB of records."""
    if config.output.layout == "single":
        return 1
    return max(1, math.ceil(gb * 1e3 / config.output.shard_mb))


def _tasks(volume: Volume, config: Config, figures: Figures, shards: int) -> list[_Task]:
    load = volume.load
    cases = len(volume.sizes)
    receipts = cases / READERS
    tables = load.hours * figures.recordings.harmonized.value
    split = config.split
    shares = (split.train, split.validation, max(0.0, 1 - split.train - split.validation))
    files = sum(file_count(volume.gb_out * share, config) for share in shares)
    return [
        _Task(stage="plan", load=load),
        *(_harmonize_task(volume, figures, shard) for shard in balanced_shards(volume.sizes, shards)),
        *(
            _Task(
                stage="build",
                load=load.times(share),
                pieces=file_count(volume.gb_out * share, config),
                mb_moved=share * (tables + 1e3 * volume.gb_out),
                waits=share * cases + share * receipts,  # each table is read before the next one
            )
            for share in shares
        ),
        _Task(stage="publish", load=load, waits=receipts),
        _Task(stage="validate", load=load, pieces=files, mb_moved=1e3 * volume.gb_out, waits=files + receipts),
    ]


def _harmonize_task(volume: Volume, figures: Figures, shard: tuple[int, ...]) -> _Task:
    load = volume.part(shard)
    tables = load.hours * figures.recordings.harmonized.value
    waits = 3 * load.cases  # the recording's first byte, the table, the receipt
    return _Task(stage="harmonize", load=load, pieces=len(shard), mb_moved=load.mb_in + tables, waits=waits)


def _work_seconds(task: _Task, figures: Figures, backend: Backend) -> float:
    """Return the working time of a task, with starting its processes."""
    start = figures.machine.process_seconds * (2 if task.pieces else 1)  # the command, then its workers side by side
    return start / backend.speed.value + _busy_seconds(task, figures, backend)


def _busy_seconds(task: _Task, figures: Figures, backend: Backend) -> float:
    """Return the time of a task's work: computing overlaps with transfer, small requests are waited for."""
    processes = max(1.0, min(backend.vcpus.value, task.pieces))
    computing = cpu_seconds(task.stage, task.load, figures.machine) / backend.speed.value
    moving = task.mb_moved / figures.s3.stream_mb_s.value
    waiting = task.waits * figures.s3.request_seconds.value
    return (max(computing, moving) + waiting) / processes


def _shards_for(volume: Volume, figures: Figures, backend: Backend) -> int:
    alone = _work_seconds(_harmonize_task(volume, figures, tuple(volume.sizes)), figures, backend)
    return min(len(volume.sizes), math.ceil(alone / (60 * figures.tasks.shard_minutes.value)))


def _request_dollars(volume: Volume, config: Config, s3: Storing) -> float:
    """Return the cost of S3 requests: a few for each case, and the parts of the files. Listings are not counted."""
    cases, files = len(volume.sizes), file_count(volume.gb_out, config)
    writes = 2 * cases + volume.gb_out * 1e9 / WRITE_BUFFER + 2 * files  # table, receipt; parts, their begin and end
    reads = 5 * cases + files  # recording, table, and the receipt for build, publish and validate
    return (writes * s3.thousand_writes.value + reads * s3.thousand_reads.value) / 1e3
