"""The windows of a split as NumPy arrays, one by one or in batches."""

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

BUFFER = 2048  # windows held for drawing: 50 MB


@dataclass(frozen=True)
class Origins:
    """Where values come from: uint8 of the shapes of the values; 0 observed, 1 held, 2 default."""

    timeseries: NDArray[np.uint8]
    static: NDArray[np.uint8]
    target: NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """One window. Shapes are those of the specification's registry; `describe` tells a data set's own.

    Attributes
    ----------
    case_id, subject_id : int
    start_second : int
        Of the window's first second, from the beginning of the recording.
    timeseries : ndarray of float32, shape (300, 16)
        At 1 Hz, normalized to [-1, 1]; the columns are ``describe(uri).inputs``.
    static : ndarray of float32, shape (6,)
        Normalized to [-1, 1]; ``describe(uri).statics``.
    target : ndarray of float32, shape (8,)
        `horizon` seconds after the window's last second, normalized to [-1, 1]; ``describe(uri).targets``.
    origins : Origins or None
        None unless asked for.
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
    """`n` windows: the arrays of `Window` with `n` in front of their shapes, the integers as int64 of shape (n,)."""

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

    Every record is read strictly: both checksums, all keys, types and shapes. What is wrong with the data set as a
    whole is raised by the call, what is wrong in a file when it is reached.

    Parameters
    ----------
    uri : str or path
        The data set: ``<output>/datasets/<dataset_id>``, any folder or ``s3://bucket/prefix`` that it was copied to, or
        ``<output>``, whose latest data set is read.
    split : str
        ``train``, ``validation`` or ``test``.
    origin : bool
        Give `origins` along.
    batch_size : int, optional
        Yield batches of so many windows (the last one may have fewer) in new arrays, instead of windows.
    shuffle : int, optional
        A seed: the same one gives the same order, on any machine and from a folder as from S3. For another order in
        every epoch give another seed, for instance ``seed + epoch``. Without it: as the windows stand in the files,
        where those of one file are mixed already; False says the same.
    buffer : int
        With `shuffle`: windows held, of which the next one is drawn. A window of the registry takes 24 kB.
    shard : tuple of int, optional
        (index, count): only the `index`-th of `count` workers' share of the files.
    unproved : bool
        Read a data set also if its verdict is missing or says that it did not pass.

    Yields
    ------
    Window or Batch

    Raises
    ------
    UsageError
        If there is no such split, or an argument is of another kind or out of range.
    RefusedError
        If there is no data set, it is not proved, or a file is missing, incomplete or damaged.
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
    """The arrays of the records are read-only views of the bytes they came in."""
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
        timeseries=record.timeseries.copy(),  # to be written to, and aligned: PyTorch asks for both
        static=record.static.copy(),
        target=record.target.copy(),
        origins=_origins(record) if origin else None,
    )


def _origins(record: Record) -> Origins:
    return Origins(record.timeseries_origin.copy(), record.static_origin.copy(), record.target_origin.copy())


def _batches(found: Iterable[Record], batch_size: int, *, origin: bool) -> Iterator[Batch]:
    """Copy records from where they were read into batches: once, and nothing that was not asked for."""
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
