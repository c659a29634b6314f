"""Complete runs over a faulty S3: the same bytes after transient faults, a clear error after permanent ones."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import BUCKET, COMMAND, s3_client
from tests.reliability.faulty_s3 import FaultyS3, Rule, random_faults
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

INPUT = f"s3://{BUCKET}/faults/raw"
RETRY = re.compile(r"retry \d+ of \d+ in ")


@dataclass(frozen=True)
class Told:
    """What one call of the command came to, and all that it wrote."""

    exit_code: int
    result: dict[str, Any]
    stderr: str

    @property
    def retries(self) -> int:
        return len(RETRY.findall(self.stderr))


class S3Run:
    """The command with an S3 server, over a proxy or not."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.client = s3_client(environment)

    def __call__(self, *arguments: str, over: FaultyS3 | None = None, **settings: str) -> Told:
        process = subprocess.run(
            [*COMMAND, *arguments, "--json"],
            capture_output=True,
            text=True,
            env=os.environ | self.environment | (over.environment if over else {}) | settings,
            check=False,
            timeout=120,
        )
        lines = process.stdout.splitlines()
        assert lines, process.stderr
        return Told(process.returncode, json.loads(lines[-1]), process.stderr)

    def objects(self, uri: str, ending: str = "") -> dict[str, bytes]:
        """Return the objects below a URI by key, read past vitalprep and proxy."""
        prefix = uri.removeprefix(f"s3://{BUCKET}/")
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])
        keys = [item["Key"] for item in found if item["Key"].endswith(ending)]
        return {key: self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def digests(self, dataset: str) -> dict[str, str]:
        """Return the SHA-256 of what "the same bytes" means."""
        return {
            key.rpartition("/")[2]: hashlib.sha256(data).hexdigest()
            for key, data in self.objects(dataset).items()
            if ".tfrecord" in key or key.endswith("features.json")
        }


@pytest.fixture(scope="module")
def s3_run(s3_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> S3Run:
    """Ten short cases lie in the bucket."""
    folder = tmp_path_factory.mktemp("faults")
    simulate_folder(folder, SimulationOptions(seed=5, cases=10, hours=0.1, spread=0))
    run = S3Run(s3_environment)
    for path in folder.rglob("*"):
        if path.suffix in (".vital", ".csv"):
            run.client.upload_file(str(path), BUCKET, f"faults/raw/{path.name}")
    return run


@pytest.fixture
def output(tmp_path: Path) -> str:
    return f"s3://{BUCKET}/faults/{tmp_path.name}"


@pytest.fixture(scope="module")
def plan(s3_run: S3Run) -> str:
    """A plan of which nothing is done yet; for tests that get nothing done."""
    return str(s3_run("plan", "--input", INPUT, "--output", f"s3://{BUCKET}/faults/planned").result["plan"])


@pytest.fixture(scope="module")
def undisturbed(s3_run: S3Run) -> dict[str, str]:
    """The digests of an undisturbed run."""
    told = s3_run("run", "--input", INPUT, "--output", f"s3://{BUCKET}/faults/undisturbed", "--workers", "1")
    assert told.exit_code == 0, told.result
    assert told.retries == 0
    assert told.result["written"] == 10
    return s3_run.digests(told.result["dataset"])


@pytest.fixture
def faulty(s3_environment: dict[str, str]) -> Iterator[FaultyS3]:
    with FaultyS3(s3_environment["AWS_ENDPOINT_URL"]) as proxy:
        yield proxy


def test_every_transient_fault_at_once(
    s3_run: S3Run, undisturbed: dict[str, str], faulty: FaultyS3, output: str
) -> None:
    recordings = ["500 InternalError", "503 SlowDown", "429 TooManyRequests", "reset", "reset in body", "stall in body"]
    recordings += ["closed in body", "shortened", "wrong etag"]
    faulty.rules += [Rule(fault, method="GET", key="*.vital") for fault in recordings]
    faulty.rules += [Rule(fault, method="LIST") for fault in ("503 SlowDown", "closed in body")]
    faulty.rules += [Rule(fault, method="GET", key="*.csv") for fault in ("stall", "flipped byte")]
    faulty.rules += [Rule(fault, method="PUT", key="*.parquet") for fault in ("500 InternalError", "lost")]
    receipts = ("lost", "done, but 500", "409 ConditionalRequestConflict", "412 PreconditionFailed", "reset")
    faulty.rules += [
        Rule(fault, method="PUT", key=f"*/000{case}-*.json") for case, fault in enumerate(receipts, start=1)
    ]
    faulty.rules += [Rule("lost", method="PUT", key="*.tfrecord*"), Rule("flipped byte", method="GET", key="*.parquet")]
    told = s3_run("run", "--input", INPUT, "--output", output, over=faulty, VITALPREP_S3_STALL_SECONDS="1")
    assert told.exit_code == 0, told.result
    assert s3_run.digests(told.result["dataset"]) == undisturbed
    assert faulty.count() == len(faulty.rules), "every rule hit once"
    assert told.retries == len(faulty.rules), "one log line a retry"


def test_a_recording_is_not_excluded_for_a_fault_on_the_way(
    s3_run: S3Run, undisturbed: dict[str, str], faulty: FaultyS3, output: str
) -> None:
    """First one comes damaged at every reading; then once."""
    command = ("run", "--input", INPUT, "--output", output, "--workers", "1")
    faulty.rules[:] = [Rule("flipped byte", method="GET", key="*/0003.vital", times=None)]
    told = s3_run(*command, over=faulty)
    assert told.exit_code == 1
    assert "Case 3" in told.result["message"]
    assert "readings" in told.result["message"]
    assert not [key for key in s3_run.objects(output, ".json") if "/0003-" in key], "no verdict on case 3"
    faulty.rules[:] = [Rule("flipped byte", method="GET", key="*.vital")]
    before = faulty.count()
    told = s3_run(*command, over=faulty)
    assert told.exit_code == 0, told.result
    assert faulty.count() == before + 1
    assert told.result["excluded"] == {}
    assert s3_run.digests(told.result["dataset"]) == undisturbed


@pytest.mark.parametrize(
    ("rule", "exit_code", "words", "fix"),
    [
        (Rule("403 AccessDenied", method="GET", key="*.vital", times=None), 2, "403 AccessDenied", "permissions"),
        (Rule("403 AccessDenied", method="PUT", key="*.parquet", times=None), 2, "403 AccessDenied", "permissions"),
        (Rule("400 ExpiredToken", key="*.vital", times=None), 2, "400 ExpiredToken", "renew the credentials"),
        (Rule("404 NoSuchKey", method="GET", key="*.vital", times=None), 65, "input has changed", "plan again"),
    ],
    ids=lambda value: f"{value.fault} at {value.method} {value.key}" if isinstance(value, Rule) else "",
)
def test_a_permanent_fault_fails_the_shard(
    s3_run: S3Run, faulty: FaultyS3, plan: str, rule: Rule, exit_code: int, words: str, fix: str
) -> None:
    faulty.rules.append(rule)
    told = s3_run("harmonize", "--plan", plan, "--workers", "1", over=faulty, AWS_SESSION_TOKEN="tokenofthistest")
    assert told.exit_code == exit_code
    assert words in told.result["message"]
    assert fix in told.result["fix"]
    if exit_code == 2:
        assert re.search(r"s3://\S+\.(vital|parquet): ", told.result["message"]), "the key is named"
        assert faulty.count() == 1
    assert told.retries == 0
    assert "tokenofthistest" not in told.stderr + json.dumps(told.result)
    assert not s3_run.objects(f"s3://{BUCKET}/faults/planned/harmonized", ".json")


def test_the_run_after_one_that_found_s3_down_resumes(
    s3_run: S3Run, undisturbed: dict[str, str], faulty: FaultyS3, output: str
) -> None:
    faulty.rules.append(Rule("503 SlowDown", method="PUT", key="*.parquet", skip=3, times=None))
    command = ("run", "--input", INPUT, "--output", output, "--workers", "1")
    told = s3_run(*command, over=faulty, VITALPREP_S3_RETRY_SECONDS="0.5")
    assert told.exit_code == 1
    assert "503 SlowDown" in told.result["message"]
    assert told.retries >= 1
    tables = {key.rpartition("-")[0] for key in s3_run.objects(f"{output}/harmonized", ".parquet")}
    receipts = {key.removesuffix(".json") for key in s3_run.objects(f"{output}/harmonized", ".json")}
    assert receipts <= tables
    assert len(tables) == 3
    faulty.rules[:] = random_faults(0.1, seed=1)
    before = faulty.count()
    told = s3_run(*command, over=faulty)
    assert told.exit_code == 0, told.result
    assert faulty.count() >= before + 10, "a tenth of all requests failed"
    assert told.retries >= 10
    assert s3_run.digests(told.result["dataset"]) == undisturbed
