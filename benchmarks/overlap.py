"""Whether work hides behind the download: harmonizing from an S3 server that sends 50 MB/s."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from benchmarks.recordings import Recordings
from benchmarks.rows import Row
from benchmarks.start import VITALPREP
from benchmarks.throttled_s3 import throttled_s3
from benchmarks.timing import process_usage

__all__ = ["rows"]

RATE = 50e6
BUCKET = "benchmark"
REGION = "eu-north-1"


def rows(recordings: Recordings) -> Iterator[Row]:
    """The stage's wall time, against the time that its bytes need on the line."""
    source = recordings.true_size()
    files = sorted((source / "raw-data").glob("*.vital"))
    size = sum(path.stat().st_size for path in files)
    with throttled_s3(RATE) as endpoint:
        environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_REGION": REGION,
        }
        _upload(endpoint, files, source / "clinical_data.csv")
        plan = _vitalprep(environment, "plan", "--input", f"s3://{BUCKET}/in", "--output", f"s3://{BUCKET}/warm")[
            "plan"
        ]
        _vitalprep(environment, "harmonize", "--plan", plan)  # from now on the proxy has every object in memory
        plan = _vitalprep(environment, "plan", "--input", f"s3://{BUCKET}/in", "--output", f"s3://{BUCKET}/out")["plan"]
        seconds = _vitalprep(environment, "harmonize", "--plan", plan)["seconds"]
    yield Row(
        name="overlap",
        measure="harmonize from 50 MB/s / bytes / 50 MB/s",
        value=seconds / (size / RATE),
        target=1.15,
        detail=f"{seconds:.1f} s for {size / 1e6:.0f} MB in {len(files)} cases, proxy and server on the same cores",
    )


def _upload(endpoint: str, files: list[Path], clinical: Path) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # noqa: S106
        region_name=REGION,
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for path in [*files, clinical]:
        client.put_object(Bucket=BUCKET, Key=f"in/{path.name}", Body=path.read_bytes())


def _vitalprep(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    answer = process_usage((*VITALPREP, *arguments, "--json"), environment=environment)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result
