"""Section of the card about loading a data set."""

from __future__ import annotations

from vitalprep.contract.config import Config
from vitalprep.publish.card.markdown import fenced

__all__ = ["loading_example"]

_EXAMPLE = """\
import tensorflow as tf

features = {{
    "timeseries": tf.io.FixedLenFeature([{window}, {inputs}], tf.float32),
    "timeseries_origin": tf.io.FixedLenFeature([], tf.string),
    "static": tf.io.FixedLenFeature([{statics}], tf.float32),
    "target": tf.io.FixedLenFeature([{targets}], tf.float32),
}}


def example(record):
    window = tf.io.parse_single_example(record, features)
    origin = tf.reshape(tf.io.decode_raw(window["timeseries_origin"], tf.uint8), [{window}, {inputs}])
    return window["timeseries"], origin, window["static"], window["target"]


files = sorted(tf.io.gfile.glob("{pattern}"))
train = tf.data.TFRecordDataset(files{compression}).map(example)
"""


def loading_example(config: Config) -> str:
    """Return an example that runs in the data set's folder, and name the other loaders."""
    single = config.output.layout == "single"
    packed = config.output.compression == "gzip"
    text = _EXAMPLE.format(
        window=config.windowing.window,
        inputs=len(config.inputs),
        statics=len(config.statics),
        targets=len(config.targets),
        pattern="train.tfrecord" if single else "vitaldb-train.tfrecord-*",
        compression=', compression_type="GZIP"' if packed else "",
    )
    tfds = (
        "TensorFlow Datasets does not read compressed files."
        if packed
        else 'TensorFlow Datasets reads it, too: `tfds.builder_from_directory("FOLDER").as_dataset(split="train")`.'
    )
    return (
        'With vitalprep: `vitalprep.read(FOLDER, "train", batch_size=64)` gives NumPy arrays, `vitalprep.load` '
        "a `tf.data.Dataset`, and `vitalprep.describe(FOLDER).denormalize(values, names)` clinical units. Without "
        f"it, in this folder:\n\n{fenced(text, 'python')}\n\n{tfds} "
        "`croissant.json` (Croissant 1.1) lists every file with its SHA-256, but for itself, `report.html` (it shows "
        "how long the cases took) and `validation.json` (it is written last). It has no record sets, because Croissant "
        "cannot describe records in TFRecord files."
    )
