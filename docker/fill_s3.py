"""Fill the S3 server of the compose profile `local` with 24 simulated recordings."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

BUCKET, PREFIX = os.environ["VITALPREP_INPUT"].removeprefix("s3://").split("/", 1)


def main() -> None:
    """Simulate recordings and upload them. An existing bucket is reused."""
    client = boto3.client("s3")
    try:
        client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": os.environ["AWS_DEFAULT_REGION"]}
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    with tempfile.TemporaryDirectory() as folder:
        simulate = ["simulate", "--output", folder, "--cases", "24", "--seed", "7", "--hours", "0.5", "--spread", "0.4"]
        subprocess.run([os.environ["VITALPREP_COMMAND"], *simulate, "--log-level", "warning"], check=True)
        files = [
            *Path(folder, "raw-data").glob("*.vital"),
            Path(folder, "clinical_data.csv"),
            Path(folder, "simulation.json"),
        ]
        for path in files:
            client.upload_file(str(path), BUCKET, f"{PREFIX}/{path.name}")
    print(f"s3://{BUCKET}/{PREFIX}: {len(files) - 2} recordings and their clinical table")


if __name__ == "__main__":
    main()
