"""TensorFlow reads our records correctly, and writes the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.tfrecord.records_drawn import FULL, NUMBERS, SERIES, SMALL, assert_equal, drawn, features_of, made
from vitalprep.contract.record import Record
from vitalprep.tfrecord.example import decode_record, encode_record
from vitalprep.tfrecord.framing import framed, records

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is an extra that only reads data sets back")


def example_of(record: Record) -> object:
    """The record as TensorFlow's own protocol buffer."""
    features = {}
    for name, value in features_of(record).items():
        if isinstance(value, bytes):
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        elif name in NUMBERS:
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        else:
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
    return tf.train.Example(features=tf.train.Features(feature=features))


@settings(max_examples=60, deadline=None)
@given(record=drawn(SMALL))
def test_protobuf_finds_the_same_values(record: Record) -> None:
    data = encode_record(record)
    assert tf.train.Example.FromString(data) == example_of(record)
    assert len(example_of(record).SerializeToString()) == len(data)


def test_parse_single_example_gives_the_shapes_of_the_design() -> None:
    shapes = {"static": (6,), "target": (8,), "timeseries": (300, 16)}
    schema = {name: tf.io.FixedLenFeature((), tf.int64) for name in NUMBERS}
    schema |= {name: tf.io.FixedLenFeature(shape, tf.float32) for name, shape in shapes.items()}
    schema |= {f"{name}_origin": tf.io.FixedLenFeature((), tf.string) for name in SERIES}
    record = made(FULL, subject_id=2**63 - 1)
    parsed = tf.io.parse_single_example(encode_record(record), schema)
    for name in NUMBERS:
        assert int(parsed[name]) == getattr(record, name)
    for name, shape in shapes.items():
        np.testing.assert_array_equal(parsed[name].numpy(), getattr(record, name))
        origins = tf.reshape(tf.io.decode_raw(parsed[f"{name}_origin"], tf.uint8), shape)
        np.testing.assert_array_equal(origins.numpy(), getattr(record, f"{name}_origin"))


def test_file_equals_the_one_tensorflow_writes(tmp_path: Path) -> None:
    written = [encode_record(made(FULL, seed, start_second=30 * seed)) for seed in range(4)] + [b"", b"x"]
    theirs = tmp_path / "theirs.tfrecord"
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for record in written:
            writer.write(record)
    ours = b"".join(map(framed, written))
    assert theirs.read_bytes() == ours
    (tmp_path / "ours.tfrecord").write_bytes(ours)
    read = [record.numpy() for record in tf.data.TFRecordDataset(str(tmp_path / "ours.tfrecord"))]
    assert read == written == list(records([ours]))
    assert_equal(decode_record(read[2], FULL), made(FULL, 2, start_second=60))
