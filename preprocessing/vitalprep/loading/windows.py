"""Reads the windows of a split as NumPy arrays, one by one or in batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import overload

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import FileSummary
from vitalprep.contract.record import Record
from vitalprep.loading.arguments import count_of, seed_of
from vitalprep.loading.description import Description, describe
from vitalprep.loading.files import damaged, encoded_records, refuse_incomplete
from vitalprep.loading.order import in_drawn_order, in_order
from vitalprep.tfrecord.example import BadExample
from vitalprep.tfrecord.reader import RecordReader

__all__ = ["BUFFER", "Batch", "Origins", "Window", "read"]

BUFFER = 2048  # windows in the shuffle buffer: 50 MB


@dataclass(frozen=True)
class Origins:
    """Origins of values: uint8 arrays with the shapes of the values; 0 observed, 1 held, 2 default."""

    timeseries: NDArray[np.uint8]
    static: NDArray[np.uint8]
    target: NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """One window. The shapes below are those of the default configuration; `describe` gives a data set's own.

    Attributes
    ----------
    case_id, subject_id : int
    start_second : int
        The window's first second, counted from the start of the recording.
    timeseries : ndarray of float32, shape (300, 16)
        At 1 Hz, normalized to [-1, 1]; the columns are ``describe(uri).inputs``.
    static : ndarray of float32, shape (6,)
        Normalized to [-1, 1]; ``describe(uri).statics``.
    target : ndarray of float32, shape (8,)
        `horizon` seconds after the window's last second, normalized to [-1, 1]; ``describe(uri).targets``.
    origins : Origins or None
        None unless requested.
    """

    case_id: int
    subject_id: int
    start_second: int
    timeseries: NDArray[np.float32]
    static: NDArray[np.float32]
    target: NDArray[np.float32]
    origins: Origins | None = None


@dataclass(frozen=True)
class Batch:
    """`n` windows: the arrays of `Window` with a first axis of length `n`, the integers as int64 of shape (n,)."""

    case_id: NDArray[np.int64]
    subject_id: NDArray[np.int64]
    start_second: NDArray[np.int64]
    timeseries: NDArray[np.float32]
    static: NDArray[np.float32]
    target: NDArray[np.float32]
    origins: Origins | None = None

    def __len__(self) -> int:
        return len(self.case_id)


@overload
def read(
    uri: str | os.PathLike[str],
    split: str,
    *,
    origin: bool = ...,
    batch_size: None = ...,
    shuffle: int | None = ...,
    buffer: int = ...,
    shard: tuple[int, int] | None = ...,
    unproved: bool = ...,
) -> Iterator[Window]: ...


@overload
def read(
    uri: str | os.PathLike[str],
    split: str,
    *,
    origin: bool = ...,
    batch_size: int,
    shuffle: int | None = ...,
    buffer: int = ...,
    shard: tuple[int, int] | None = ...,
    unproved: bool = ...,
) -> Iterator[Batch]: ...


def read(
    uri: str | os.PathLike[str],
    split: str,
    *,
    origin: bool = False,
    batch_size: int | None = None,
    shuffle: int | None = None,
    buffer: int = BUFFER,
    shard: tuple[int, int] | None = None,
    unproved: bool = False,
) -> Iterator[Window] | Iterator[Batch]:
    """Read the windows of a split, each once. Needs no TensorFlow.

    Every record is checked: both checksums, all keys, types and shapes. Errors of the data set are raised by the call,
    errors in a file when it is read.

    Parameters
    ----------
    uri : str or path
        The data set: ``<output>/datasets/<dataset_id>``, any folder or ``s3://bucket/prefix`` that it was copied to, or
        ``<output>``, whose latest data set is read.
    split : str
        ``train``, ``validation`` or ``test``.
    origin : bool
        Also return `origins`.
    batch_size : int, optional
        Yield batches of this many windows instead of windows. The last batch may be smaller.
    shuffle : int, optional
        Seed of the order. The same seed gives the same order on any machine, from a folder or from S3. For another
        order in each epoch give another seed, for instance ``seed + epoch``. None or False: the order of the files,
        in which the windows of one file are mixed already.
    buffer : int
        With `shuffle`: number of windows from which the next one is drawn, 24 kB each.
    shard : tuple of int, optional
        (index, count): read only the share of the `index`-th of `count` workers.
    unproved : bool
        Also read a data set without a passing verdict.

    Yields
    ------
    Window or Batch

    Raises
    ------
    UsageError
        If there is no such split, or an argument has the wrong type or is out of range.
    RefusedError
        If there is no data set, it has not passed validation, or a file is missing, incomplete or damaged.
    RetryableError
        If S3 or the disk fails.
    """
    size = None if batch_size is None else count_of("batch_size", batch_size)
    held, seed = count_of("buffer", buffer), seed_of(shuffle)
    about = describe(uri, unproved=unproved)
    files = about.files(split, shard=shard)
    refuse_incomplete(about, files)
    reader = RecordReader(about.record_shape)

    def records_of(file: FileSummary) -> Iterator[Record]:
        return _records(about, file, reader)

    found = in_order(files, records_of) if seed is None else in_drawn_order(files, records_of, seed=seed, buffer=held)
    if size is None:
        return (_window(record, origin=origin) for record in found)
    return _batches(found, size, origin=origin)


def _records(about: Description, file: FileSummary, reader: RecordReader) -> Iterator[Record]:
    """Yield records whose arrays are read-only views of the bytes that were read."""
    for index, encoded in enumerate(encoded_records(about, file)):
        try:
            record = reader.read(encoded)
        except BadExample as error:
            raise damaged(about, file, index, str(error)) from error
        yield record


def _window(record: Record, *, origin: bool) -> Window:
    return Window(
        case_id=record.case_id,
        subject_id=record.subject_id,
        start_second=record.start_second,
        timeseries=record.timeseries.copy(),  # writable and aligned, as PyTorch requires
        static=record.static.copy(),
        target=record.target.copy(),
        origins=_origins(record) if origin else None,
    )


def _origins(record: Record) -> Origins:
    return Origins(record.timeseries_origin.copy(), record.static_origin.copy(), record.target_origin.copy())


def _batches(found: Iterable[Record], batch_size: int, *, origin: bool) -> Iterator[Batch]:
    """Copy records into batches: once, and only what was requested."""
    waiting = iter(found)
    while records := list(islice(waiting, batch_size)):
        yield _batch(records, origin=origin)


def _batch(records: list[Record], *, origin: bool) -> Batch:
    return Batch(
        case_id=np.array([record.case_id for record in records], dtype=np.int64),
        subject_id=np.array([record.subject_id for record in records], dtype=np.int64),
        start_second=np.array([record.start_second for record in records], dtype=np.int64),
        timeseries=np.stack([record.timeseries for record in records]),
        static=np.stack([record.static for record in records]),
        target=np.stack([record.target for record in records]),
        origins=Origins(
            np.stack([record.timeseries_origin for record in records]),
            np.stack([record.static_origin for record in records]),
            np.stack([record.target_origin for record in records]),
        )
        if origin
        else None,
    )
