"""Building records: against TensorFlow's own writer, and against copying the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from benchmarks.harmonize import BODY
from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.timing import medians
from vitalprep.contract.config import Config
from vitalprep.contract.config_file import load_config
from vitalprep.contract.table import from_parquet, to_parquet
from vitalprep.features.grid import harmonize
from vitalprep.features.samples import Samples, samples_of
from vitalprep.record_files.frames import CaseFrames
from vitalprep.vital.recording import read_vital

__all__ = ["parquet_tables", "rows", "written"]

ROUNDS = 5
CASES = 4
STATIC = (50.0, 1.0, 170.0, 70.0, 24.2, 2.0)
SUBJECT = 100_012
BLOCK = 4 * 1024 * 1024


def rows(recordings: Recordings) -> Iterator[Row]:
    """Parquet bytes to TFRecord bytes, and the last step of it alone."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    config = load_config()
    tables = parquet_tables(recordings, config)
    with Path(os.devnull).open("wb") as nowhere:
        ours, theirs = medians(
            ROUNDS, lambda: written(tables, config, nowhere), lambda: _with_tensorflow(tables, config)
        )
    samples = [_samples(parquet, config) for parquet in tables]
    count = sum(len(item.starts) for item in samples)
    yield Row(
        name="build",
        measure="TFRecordWriter + tf.train.Example / ours",
        value=theirs / ours,
        target=25,
        better="higher",
        detail=f"{count} records: ours {1e6 * ours / count:.0f} us each, TensorFlow {1e6 * theirs / count:.0f} us",
    )
    frames = [
        CaseFrames(item, case_id=number, subject_id=SUBJECT, config=config) for number, item in enumerate(samples, 1)
    ]
    size = sum(case.size(start) for case, item in zip(frames, samples, strict=True) for start in item.starts.tolist())
    source = np.zeros(size, dtype=np.uint8)
    target = np.empty_like(source)
    assembly, copy = medians(ROUNDS, lambda: _assembled(frames, samples, target), lambda: np.copyto(target, source))
    yield Row(
        name="build",
        measure="assembly and CRC, MB/s / numpy.copyto",
        value=copy / assembly,
        target=1 / 3,
        better="higher",
        detail=f"{size / assembly / 1e6:.0f} and {size / copy / 1e6:.0f} MB/s of {size / 1e6:.0f} MB",
    )


def parquet_tables(recordings: Recordings, config: Config) -> list[bytes]:
    """Return the harmonized tables of some cases."""
    tables = []
    for path in recordings.of_layout(packed=True, count=CASES):
        data = path.read_bytes()
        recording = read_vital(data, reading=config.reading)
        series = harmonize(recording, config, BODY)
        tables.append(to_parquet(series.values, [item.name for item in config.inputs]))
    return tables


def written(tables: list[bytes], config: Config, file: BinaryIO) -> None:
    """Write the records of some tables, block by block as the stage does."""
    block = np.empty(BLOCK, dtype=np.uint8)
    filled = 0
    for number, parquet in enumerate(tables, 1):
        samples = _samples(parquet, config)
        frames = CaseFrames(samples, case_id=number, subject_id=SUBJECT, config=config)
        for start in samples.starts.tolist():
            size = frames.size(start)
            if filled + size > len(block):
                file.write(block[:filled].data)
                filled = 0
            frames.put(start, block[filled : filled + size])
            filled += size
    file.write(block[:filled].data)


def _samples(parquet: bytes, config: Config) -> Samples:
    names = [item.name for item in config.inputs]
    return samples_of(from_parquet(parquet, names), STATIC, (0,) * len(STATIC), config)


def _assembled(frames: list[CaseFrames], samples: list[Samples], target: NDArray[np.uint8]) -> None:
    at = 0
    for case, item in zip(frames, samples, strict=True):
        for start in item.starts.tolist():
            size = case.size(start)
            case.put(start, target[at : at + size])
            at += size


def _with_tensorflow(tables: list[bytes], config: Config) -> None:
    """The same tables, imputed and normalized by our own code too: only the records are made TensorFlow's way."""
    import tensorflow as tf  # noqa: TID251

    feature = tf.train.Feature

    def integer(value: int) -> Any:
        return feature(int64_list=tf.train.Int64List(value=[value]))

    def floats(values: NDArray[np.float32]) -> Any:
        return feature(float_list=tf.train.FloatList(value=values.ravel()))

    def codes(values: NDArray[np.uint8]) -> Any:
        return feature(bytes_list=tf.train.BytesList(value=[values.tobytes()]))

    with tf.io.TFRecordWriter(os.devnull) as writer:
        for number, parquet in enumerate(tables, 1):
            samples = _samples(parquet, config)
            for start in samples.starts.tolist():
                record = samples.record(start, case_id=number, subject_id=SUBJECT, config=config)
                features = {
                    "case_id": integer(record.case_id),
                    "start_second": integer(record.start_second),
                    "subject_id": integer(record.subject_id),
                    "static": floats(record.static),
                    "static_origin": codes(record.static_origin),
                    "target": floats(record.target),
                    "target_origin": codes(record.target_origin),
                    "timeseries": floats(record.timeseries),
                    "timeseries_origin": codes(record.timeseries_origin),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
