"""The same code over S3: a real S3 API (moto's server) gives the same data set as a local folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.pipeline import data_digests, vitalprep

BUCKET = "vitalprep-test"


@pytest.fixture(scope="module")
def s3_environment() -> Iterator[dict[str, str]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-north-1",
    }
    client = _client(environment)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    yield environment
    server.stop()


def _client(environment: dict[str, str]):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name="eu-north-1",
    )


def test_a_run_over_s3_gives_the_same_bytes(recordings: Path, tmp_path: Path, s3_environment: dict[str, str]) -> None:
    client = _client(s3_environment)
    for path in recordings.rglob("*"):
        if path.suffix in (".vital", ".csv"):
            client.upload_file(str(path), BUCKET, f"raw/{path.relative_to(recordings)}")
    over_s3 = vitalprep(
        "run", "--input", f"s3://{BUCKET}/raw", "--output", f"s3://{BUCKET}/out", environment=s3_environment
    )
    assert over_s3.exit_code == 0, over_s3.result
    again = vitalprep(
        "run", "--input", f"s3://{BUCKET}/raw", "--output", f"s3://{BUCKET}/out", environment=s3_environment
    )
    assert again.result["new"] is False

    prefix = over_s3.result["dataset"].removeprefix(f"s3://{BUCKET}/")
    listing = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix + "/")["Contents"]
    for item in listing:
        client.download_file(BUCKET, item["Key"], str(tmp_path / item["Key"].rpartition("/")[2]))
    local = vitalprep("run", "--input", recordings, "--output", tmp_path / "out")
    assert data_digests(tmp_path) == data_digests(local.result["dataset"])


def test_a_bucket_that_is_not_there(tmp_path: Path, s3_environment: dict[str, str]) -> None:
    answer = vitalprep("run", "--input", "s3://no-such-bucket/raw", "--output", tmp_path, environment=s3_environment)
    assert answer.exit_code == 2
    assert "no-such-bucket" in answer.result["message"]
