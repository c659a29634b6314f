"""Running the real command on simulated recordings, and reading what it left."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

BUCKET = "vitalprep-test"
COMMAND = [sys.executable, "-c", "from vitalprep.cli.main import main; main()"]


@dataclass(frozen=True)
class Answer:
    """What one call of the command came to."""

    exit_code: int
    result: dict[str, Any]
    log: list[dict[str, Any]]

    @property
    def last_message(self) -> str:
        return str(self.log[-1]["message"])


def run_vitalprep(*arguments: str | Path, environment: dict[str, str] | None = None) -> Answer:
    """Run ``vitalprep ... --json`` as a process."""
    process = subprocess.run(
        [*COMMAND, *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        env=os.environ | (environment or {}),
        check=False,
        timeout=180,
    )
    log = [json.loads(line) for line in process.stderr.splitlines() if line.startswith("{")]
    lines = process.stdout.splitlines()
    assert lines, process.stderr
    return Answer(process.returncode, json.loads(lines[-1]), log)


def data_digests(dataset: str | Path) -> dict[str, str]:
    """Return the SHA-256 of the TFRecord files and features.json: what "the same bytes" means.

    What a killed local write left (``name#1``) is none of them: no listing shows it.
    """
    names = [path for path in Path(dataset).iterdir() if "#" not in path.name]
    files = [path for path in names if ".tfrecord" in path.name or path.name == "features.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def s3_client(environment: dict[str, str]) -> Any:
    """Return a client of the tests' S3 server that is none of vitalprep's own code."""
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )


def receipts(output: Path) -> dict[int, dict[str, Any]]:
    """Return the receipts below an output by case."""
    found = [json.loads(path.read_bytes()) for path in output.glob("harmonized/*/*.json")]
    return {receipt["case_id"]: receipt for receipt in found}
