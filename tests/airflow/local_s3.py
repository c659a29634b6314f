"""An S3 server of the worker's environment, for tests whose containers must reach the storage over the network."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

sys.path.append(str(Path(__file__).resolve().parents[2]))
from local_airflow.server import free_port

BUCKET = "vitalprep"
START_SECONDS = 60


@dataclass(frozen=True)
class S3:
    """A running server. `environment` tells a worker where it is, as seen from this machine."""

    port: int

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-north-1",
            "AWS_REGION": "eu-north-1",
        }

    @property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="eu-north-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def fill(self, prefix: str, folder: Path) -> None:
        """Upload a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.client.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder).as_posix()}")

    def digests(self, uri: str, part: str) -> dict[str, str]:
        """SHA-256 of the objects below a URI whose names have a part."""
        prefix = uri.removeprefix(f"{self.uri}/")
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            key.rsplit("/", 1)[1]: hashlib.sha256(
                self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            ).hexdigest()
            for key in (one["Key"] for one in found)
            if part in key
        }


@contextmanager
def running_s3(worker: Sequence[str], *, host: str = "127.0.0.1") -> Generator[S3]:
    """Start a server and make the bucket; skips the test where the worker's environment has none."""
    command = Path(worker[0]).with_name("moto_server")
    if not command.exists():
        pytest.skip(f"no S3 server: {command} is not there (make develop)")
    port = free_port()
    process = subprocess.Popen(
        [command, "--host", host, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        server = S3(port)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                server.client.create_bucket(
                    Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"}
                )
                break
            except (BotoCoreError, ClientError):
                assert process.poll() is None, "the S3 server did not start"
                assert time.monotonic() < end
                time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        process.wait(10)
