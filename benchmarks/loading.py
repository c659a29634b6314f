"""How fast a training gets its windows: `read` and `load` from a folder and from S3, against TensorFlow by itself."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3

import vitalprep
from benchmarks.overlap import BUCKET, REGION
from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.start import VITALPREP
from benchmarks.throttled_s3 import throttled_s3
from benchmarks.timing import medians, process_usage

__all__ = ["rows"]

ROUNDS = 5
BATCH = 64
SHARD_MB = 40  # several files also of few recordings
RATE = 100e6
KEYS = {"aws_access_key_id": "benchmark", "aws_secret_access_key": "benchmark"}

# In a process of its own: the server behind the line runs in this one.
FROM_S3 = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import vitalprep
from benchmarks.timing import medians

def epoch(open_split):
    for _ in open_split(sys.argv[1], "train", batch_size=64, shuffle=1):
        pass

works = (lambda: epoch(vitalprep.read), lambda: epoch(vitalprep.load))
print(json.dumps(dict(zip(("read", "load"), medians(5, *works, clock=time.monotonic)))))
"""


def rows(recordings: Recordings) -> Iterator[Row]:
    """One epoch of the training split, in batches of 64, drawn by a seed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    uri = _data_set(recordings)
    about = vitalprep.describe(uri)
    files = [f"{uri}/{file.name}" for file in about.files("train")]
    size, count = sum(Path(file).stat().st_size for file in files), about.windows["train"]
    works: tuple[Callable[[], object], ...] = (
        lambda: _exhaust(vitalprep.read(uri, "train", batch_size=BATCH, shuffle=1)),
        lambda: _exhaust(vitalprep.load(uri, "train", batch_size=BATCH, shuffle=1)),
        lambda: _exhaust(_tensorflow_alone(files)),
    )
    wall = medians(ROUNDS, *works, clock=time.monotonic)
    alone = f"tf.data.TFRecordDataset + parse_example, not drawn: {size / wall[2] / 1e6:.0f} MB/s"
    for name, seconds in zip(("read", "load"), wall, strict=False):
        yield Row(
            name="loading",
            measure=f"{name}, from a folder",
            value=size / seconds / 1e6,
            unit="MB/s",
            target=400,
            better="higher",
            detail=f"{count / seconds:.0f} windows/s of {count} in {size / 1e6:.0f} MB; {alone}",
        )
    for name, seconds in _from_s3(Path(uri)).items():
        yield Row(
            name="loading",
            measure=f"{name} from S3 at 100 MB/s / bytes / 100 MB/s",
            value=seconds / (size / RATE),
            target=1.3,
            detail=f"{seconds:.1f} s, {count / seconds:.0f} windows/s; proxy on the same cores",
        )


def _data_set(recordings: Recordings) -> str:
    output = recordings.folder / "loading-output"
    shutil.rmtree(output, ignore_errors=True)
    settings = ("--set", f"output.shard_mb={SHARD_MB}", "--set", "split.allow_empty=true")
    command = ("run", "--input", str(recordings.true_size()), "--output", str(output), *settings, "--json")
    answer = process_usage((*VITALPREP, *command))
    return str(json.loads(answer.stdout.splitlines()[-1])["dataset"])


def _exhaust(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


def _tensorflow_alone(files: list[str]) -> Any:
    """What everybody writes, without origins, order or checks of the whole."""
    import tensorflow as tf  # noqa: TID251

    keys = {
        "timeseries": tf.io.FixedLenFeature((300, 16), tf.float32),
        "static": tf.io.FixedLenFeature((6,), tf.float32),
        "target": tf.io.FixedLenFeature((8,), tf.float32),
    }
    records = tf.data.TFRecordDataset(files).batch(BATCH)
    return records.map(lambda strings: tf.io.parse_example(strings, keys)).prefetch(tf.data.AUTOTUNE)


def _from_s3(folder: Path) -> dict[str, float]:
    with throttled_s3(RATE) as endpoint:
        client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, **KEYS)
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        for path in folder.iterdir():
            client.put_object(Bucket=BUCKET, Key=f"set/{path.name}", Body=path.read_bytes())
        environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION}
        environment |= {name.upper(): value for name, value in KEYS.items()}
        answer = process_usage((sys.executable, "-c", FROM_S3, f"s3://{BUCKET}/set"), environment=environment)
    taken: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return taken
