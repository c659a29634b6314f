"""Loads a split as a `tf.data.Dataset`.

TensorFlow reads local files itself, in C++. It has no S3 file system since version 2.6 (`tensorflow-io` is not built
for current versions), so that records in S3 go through our own reader, with its retries and checks. Both give one
stream of records, which is shuffled, batched and parsed in the same way: a seed gives the same batches from both.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import FileSummary
from vitalprep.loading.arguments import count_of, seed_of
from vitalprep.loading.description import Description, describe
from vitalprep.loading.files import encoded_records, refuse_incomplete
from vitalprep.loading.order import FILES_AT_ONCE
from vitalprep.loading.windows import BUFFER
from vitalprep.runtime.errors import UsageError

if TYPE_CHECKING:
    import tensorflow as tf  # noqa: TID251

__all__ = ["load"]

TOGETHER = 64  # records passed from Python to TensorFlow at once: 1.5 MB


def load(
    uri: str | os.PathLike[str],
    split: str,
    *,
    batch_size: int,
    shuffle: int | None,
    origin: bool = False,
    repeat: int | None = 1,
    buffer: int = BUFFER,
    drop_remainder: bool = False,
    shard: tuple[int, int] | None = None,
    unproved: bool = False,
) -> tf.data.Dataset:
    """Return a split as batches for TensorFlow or Keras, prefetched.

    Parameters
    ----------
    uri : str or path
        The data set: ``<output>/datasets/<dataset_id>``, any folder or ``s3://bucket/prefix`` that it was copied to, or
        ``<output>``, whose latest data set is read.
    split : str
        ``train``, ``validation`` or ``test``.
    batch_size : int
        Windows in a batch. The last batch of an epoch may be smaller, see `drop_remainder`.
    shuffle : int or None
        Seed of the order. Each epoch has another order, and the same seed gives the same epochs. (TensorFlow combines
        it with a global seed set by ``tf.random.set_seed``.) None or False: the order of the files, for evaluation.
    origin : bool
        Also return the origins.
    repeat : int or None
        Epochs in one pass over the result; None for endless. Use 1 with Keras, which starts a new pass in each epoch.
    buffer : int
        With `shuffle`: number of windows from which the next one is drawn, 24 kB each.
    drop_remainder : bool
        Leave out a smaller last batch of an epoch, so that the batch size is static, as XLA requires.
    shard : tuple of int, optional
        (index, count): load only the share of the `index`-th of `count` workers.
    unproved : bool
        Also load a data set without a passing verdict.

    Returns
    -------
    tf.data.Dataset
        Of ``(inputs, static, target)``, float32, normalized to [-1, 1]:

        - inputs (batch, 300, 16): the signals at 1 Hz, columns as ``describe(uri).inputs``;
        - static (batch, 6): columns as ``describe(uri).statics``;
        - target (batch, 8): `horizon` seconds after the window's last second, columns as ``describe(uri).targets``.

        With ``origin=True`` a fourth part: a dict of ``timeseries``, ``static`` and ``target``, uint8 arrays with the
        shapes of the values; 0 observed, 1 held, 2 default. `Description.denormalize` gives clinical units. The
        cardinality is set, so that Keras knows the number of batches; a pass with another number of windows fails.

    Raises
    ------
    UsageError
        If there is no such split, an argument has the wrong type or is out of range, or TensorFlow is not installed.
    RefusedError
        If there is no data set, it has not passed validation, or a file is missing or incomplete.
    RetryableError
        If S3 or the disk fails. (During iteration TensorFlow raises its own errors: `tf.errors.DataLossError` for a
        wrong checksum; an error of our reader becomes the text of another one.)
    """
    size, held, seed = count_of("batch_size", batch_size), count_of("buffer", buffer), seed_of(shuffle)
    epochs = None if repeat is None else count_of("repeat", repeat)
    about = describe(uri, unproved=unproved)
    files = about.files(split, shard=shard)
    refuse_incomplete(about, files)
    tf = _tensorflow()
    numbers = tf.data.Dataset.range(len(files))
    records_of = _records_by_reader(tf, about, files) if about.uri.startswith("s3://") else _records(tf, about, files)
    if seed is None:
        records = numbers.flat_map(records_of)
    else:
        records = numbers.shuffle(len(files), seed=seed).interleave(
            records_of, cycle_length=FILES_AT_ONCE, num_parallel_calls=FILES_AT_ONCE, deterministic=True
        )
    records = records.apply(tf.data.experimental.assert_cardinality(sum(file.windows for file in files)))
    if seed is not None:
        records = records.shuffle(held, seed=seed)
    batches = records.batch(size, drop_remainder=drop_remainder)
    parsed = batches.map(_parser(tf, about, origin=origin), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return parsed.repeat(epochs).prefetch(tf.data.AUTOTUNE)


def _tensorflow() -> ModuleType:
    try:
        return importlib.import_module("tensorflow")  # imported by `load` only, since it takes seconds
    except ImportError as error:
        raise UsageError(
            "`load` needs TensorFlow, which is not installed.",
            fix='pip install "/path/to/vitalprep[tensorflow]" (in the clone: make develop), or use `read`: it gives '
            "NumPy arrays.",
        ) from error


def _records(tf: ModuleType, about: Description, files: Sequence[FileSummary]) -> Callable[[Any], Any]:
    """Return a function from the number of a file to its records as strings, read by TensorFlow."""
    paths = tf.constant([f"{about.uri}/{file.name}" for file in files])
    compression = "GZIP" if about.compression == "gzip" else ""
    return lambda number: tf.data.TFRecordDataset(tf.gather(paths, number), compression_type=compression)


def _records_by_reader(tf: ModuleType, about: Description, files: Sequence[FileSummary]) -> Callable[[Any], Any]:
    """Return a function from the number of a file to its records as strings, read by `encoded_records`."""
    strings = tf.TensorSpec((None,), tf.string)

    def together(number: int) -> Iterator[NDArray[np.object_]]:
        waiting = encoded_records(about, files[number])
        while some := list(islice(waiting, TOGETHER)):
            yield np.array(some, dtype=np.object_)

    return lambda number: tf.data.Dataset.from_generator(together, args=(number,), output_signature=strings).unbatch()


def _parser(tf: ModuleType, about: Description, *, origin: bool) -> Callable[[Any], Any]:
    """Return a function that parses a batch of strings into (inputs, static, target[, origins])."""
    shape = about.record_shape
    shapes = {"timeseries": (shape.window, shape.inputs), "static": (shape.statics,), "target": (shape.targets,)}
    keys = {name: tf.io.FixedLenFeature(size, tf.float32) for name, size in shapes.items()}
    if origin:
        keys |= {f"{name}_origin": tf.io.FixedLenFeature((), tf.string) for name in shapes}

    def parsed(strings: Any) -> tuple[Any, ...]:
        found = tf.io.parse_example(strings, keys)
        values = tuple(found[name] for name in shapes)
        if not origin:
            return values
        origins = {
            name: tf.reshape(tf.io.decode_raw(found[f"{name}_origin"], tf.uint8), (-1, *size))
            for name, size in shapes.items()
        }
        return *values, origins

    return parsed
