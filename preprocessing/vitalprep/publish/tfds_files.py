"""``features.json`` and ``dataset_info.json`` as TensorFlow Datasets reads them (`tfds.builder_from_directory`).

The layout follows tensorflow_datasets' `FeaturesDict` and `DatasetInfo` protos (core/proto/feature.proto,
core/proto/dataset_info.proto); int64 fields are strings in protobuf's JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vitalprep.contract.build_summary import BuildSummary
from vitalprep.contract.config import Output
from vitalprep.contract.paths import SplitName
from vitalprep.contract.record import RecordShape

__all__ = ["dataset_info_json", "features_json"]

_FEATURE = "tensorflow_datasets.core.features"
TFDS_NAME = "vitaldb"
TFDS_VERSION = "1.0.0"
# ``as_supervised=True``: ((timeseries, static), target), as Keras takes it.
_SUPERVISED = {
    "tuple": {
        "items": [
            {"tuple": {"items": [{"featureKey": "timeseries"}, {"featureKey": "static"}]}},
            {"featureKey": "target"},
        ]
    }
}


def features_json(shape: RecordShape) -> bytes:
    """Return ``features.json``: nine keys with dtype and shape; origins are uint8, encoded as bytes."""
    series = (shape.window, shape.inputs)
    features = {
        "case_id": _scalar("int64"),
        "start_second": _scalar("int64"),
        "static": _tensor("float32", (shape.statics,)),
        "static_origin": _tensor("uint8", (shape.statics,)),
        "subject_id": _scalar("int64"),
        "target": _tensor("float32", (shape.targets,)),
        "target_origin": _tensor("uint8", (shape.targets,)),
        "timeseries": _tensor("float32", series),
        "timeseries_origin": _tensor("uint8", series),
    }
    return _text(
        {
            "pythonClassName": f"{_FEATURE}.features_dict.FeaturesDict",
            "featuresDict": {"features": features},
        }
    )


def dataset_info_json(summaries: Mapping[SplitName, BuildSummary], *, description: str, output: Output) -> bytes:
    """Return ``dataset_info.json`` with the exact length of every shard and the bytes of every split.

    TFDS does not decompress. So that it refuses a data set under GZIP when it opens it, and does not call it corrupted
    when it reads it, such files are of a format that it does not know.
    """
    splits = [
        {
            "name": split,
            "shardLengths": [str(file.windows) for file in summary.files],
            "numBytes": str(sum(file.window_bytes for file in summary.files)),
            "filepathTemplate": (
                "{SPLIT}.{FILEFORMAT}" if output.layout == "single" else "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
            ),
        }
        for split, summary in summaries.items()
        if summary.windows
    ]
    return _text(
        {
            "name": TFDS_NAME,
            "version": TFDS_VERSION,
            "description": description,
            "fileFormat": "tfrecord.gz" if output.compression == "gzip" else "tfrecord",
            "splits": splits,
            "supervisedKeys": _SUPERVISED,
        }
    )


def _tensor(dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_FEATURE}.tensor_feature.Tensor",
        "tensor": {
            "shape": {"dimensions": [str(size) for size in shape]},
            "dtype": dtype,
            "encoding": "bytes" if dtype == "uint8" else "none",
        },
    }


def _scalar(dtype: str) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_FEATURE}.scalar.Scalar",
        "tensor": {"shape": {}, "dtype": dtype, "encoding": "none"},
    }


def _text(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()
