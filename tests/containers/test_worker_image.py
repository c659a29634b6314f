"""The worker's image in real containers: small, locked down, and as hard to kill as the process it holds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from tests.containers.conftest import LOCKED_DOWN, REPOSITORY, REVISION, THIS_MACHINE, Container, docker
from tests.pipeline import BUCKET, data_digests, s3_client
from tests.sagemaker.hosts import lay_out

BASE = "python:3.12-slim"
BASE_MB = 130  # of the official image (amd64); the one here may be a stand-in of another size
LARGEST_MB = 400
REGION = "eu-north-1"


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """An S3 server that containers reach over the network, and the environment that names it here."""
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=0, verbose=False)  # noqa: S104  containers are another host
    server.start()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.get_host_and_port()[1]}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
    }
    s3_client(environment).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield environment
    server.stop()


@pytest.fixture(scope="module")
def uploaded(s3: dict[str, str], cases: Path) -> str:
    """The recordings in the bucket."""
    client = s3_client(s3)
    for path in [*(cases / "raw-data").glob("*.vital"), cases / "clinical_data.csv"]:
        client.upload_file(str(path), BUCKET, f"raw/{path.name}")
    return f"s3://{BUCKET}/raw"


def run(image: str, s3: dict[str, str], *command: str, options: tuple[str, ...] = ()) -> Container:
    there = s3 | {"AWS_ENDPOINT_URL": s3["AWS_ENDPOINT_URL"].replace("127.0.0.1", THIS_MACHINE)}
    environment = [part for name, value in there.items() for part in ("--env", f"{name}={value}")]
    container = Container(f"vitalprep-test-{uuid.uuid4().hex[:12]}")
    network = ("--add-host", f"{THIS_MACHINE}:host-gateway")
    docker("run", "--detach", "--name", container.name, *network, *LOCKED_DOWN, *options, *environment, image, *command)
    return container


def result(container: Container) -> dict[str, Any]:
    line = next(line for line in reversed(container.log().splitlines()) if line.startswith('{"') and '"ok"' in line)
    found: dict[str, Any] = json.loads(line)
    return found


def planned(image: str, s3: dict[str, str], source: str, output: str, started: list[Container]) -> str:
    started.append(run(image, s3, "plan", "--input", source, "--output", output, "--json"))
    assert started[-1].exit_code() == 0, started[-1].log()
    return str(result(started[-1])["plan"])


def receipts(s3: dict[str, str], prefix: str) -> int:
    listing = s3_client(s3).list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/harmonized/").get("Contents", [])
    return sum(item["Key"].endswith(".json") for item in listing)


def wait_for_receipts(s3: dict[str, str], prefix: str, count: int) -> None:
    end = time.monotonic() + 60
    while receipts(s3, prefix) < count:
        assert time.monotonic() < end, "no receipt appeared"
        time.sleep(0.05)


def finished(
    image: str, s3: dict[str, str], source: str, prefix: str, started: list[Container], folder: Path
) -> dict[str, str]:
    """Run everything that is left, and return the digests of the data set's files."""
    started.append(run(image, s3, "run", "--input", source, "--output", f"s3://{BUCKET}/{prefix}", "--json"))
    assert started[-1].exit_code() == 0, started[-1].log()
    dataset = result(started[-1])["dataset"].removeprefix(f"s3://{BUCKET}/")
    client = s3_client(s3)
    for item in client.list_objects_v2(Bucket=BUCKET, Prefix=f"{dataset}/")["Contents"]:
        client.download_file(BUCKET, item["Key"], str(folder / item["Key"].rpartition("/")[2]))
    return data_digests(folder)


def test_what_the_image_is(image: str) -> None:
    described = json.loads(docker("image", "inspect", image))[0]
    settings = described["Config"]
    assert settings["User"] == "10001:10001"
    assert settings["Entrypoint"] == ["vitalprep"]
    assert settings["Labels"]["org.opencontainers.image.version"] == "0.1.0"
    assert settings["Labels"]["org.opencontainers.image.revision"] == REVISION
    added = described["Size"] - json.loads(docker("image", "inspect", BASE))[0]["Size"]
    assert added / 1e6 + BASE_MB < LARGEST_MB


@pytest.mark.parametrize("module", ["tensorflow", "pandas", "matplotlib", "boto3", "pytest", "uv"])
def test_what_is_not_in_it(image: str, module: str) -> None:
    found = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is not None)"
    docker("run", "--rm", "--entrypoint", "/opt/vitalprep/bin/python", image, "-c", found)


def test_a_shard_stopped_in_the_middle_leaves_143_and_its_receipts_and_is_resumed(
    image: str, s3: dict[str, str], uploaded: str, started: list[Container], undisturbed: Path, tmp_path: Path
) -> None:
    plan = planned(image, s3, uploaded, f"s3://{BUCKET}/stopped", started)
    shard = ("harmonize", "--plan", plan, "--shard", "0", "--workers", "1", "--json")
    started.append(run(image, s3, *shard, options=("--cpus", "0.2")))
    stopped = started[-1]
    wait_for_receipts(s3, "stopped", 2)
    began = time.monotonic()
    docker("stop", "--time", "40", stopped.name)
    assert time.monotonic() - began < 35
    assert stopped.exit_code() == 143, stopped.log()
    done = receipts(s3, "stopped")
    assert 2 <= done < 24
    started.append(run(image, s3, *shard))
    assert started[-1].exit_code() == 0, started[-1].log()
    assert result(started[-1])["already_done"] == done
    assert finished(image, s3, uploaded, "stopped", started, tmp_path) == data_digests(undisturbed)


def test_a_shard_killed_for_its_memory_fails_and_is_resumed(
    image: str, s3: dict[str, str], uploaded: str, started: list[Container], undisturbed: Path, tmp_path: Path
) -> None:
    plan = planned(image, s3, uploaded, f"s3://{BUCKET}/starved", started)
    shard = ("harmonize", "--plan", plan, "--shard", "0", "--workers", "1", "--json")
    starved = run(image, s3, *shard, options=("--memory", "60m", "--memory-swap", "60m"))
    started.append(starved)
    assert starved.exit_code() in (1, 137), starved.log()
    assert starved.state("OOMKilled") == "true" or "exit code -9" in starved.log()
    assert finished(image, s3, uploaded, "starved", started, tmp_path) == data_digests(undisturbed)


def test_two_training_containers_make_the_data_set_also_where_they_may_not_write(
    image: str, s3: dict[str, str], uploaded: str, started: list[Container], undisturbed: Path, tmp_path: Path
) -> None:
    """As SageMaker starts them: /opt/ml mounted, the request's entrypoint in place of the image's, or after it."""
    where = ("--input", uploaded, "--output", f"s3://{BUCKET}/trained", "--shards", "2", "--sharding", "modulo")
    started.append(run(image, s3, "plan", *where, "--json"))
    assert started[-1].exit_code() == 0, started[-1].log()
    hosts = ["algo-1", "algo-2"]
    told = {"command": "run-plan", "plan": str(result(started[-1])["plan"])}
    folders = {host: lay_out(tmp_path / host, host, hosts, told) for host in hosts}
    (folders["algo-1"] / "output" / "data").chmod(0o777)
    (folders["algo-2"] / "output" / "data").chmod(0o755)  # of whoever runs the tests, not of the image's user

    def mounted(host: str) -> tuple[str, ...]:
        variables = ("--env", "AWS_DEFAULT_REGION=eu-north-1", "--env", "TRAINING_JOB_NAME=vitalprep-trained")
        return ("--volume", f"{folders[host]}:/opt/ml", *variables)

    first = run(image, s3, "sagemaker-job", options=mounted("algo-1"))
    started.append(first)
    second = run(image, s3, "sagemaker-job", options=(*mounted("algo-2"), "--entrypoint", "vitalprep"))
    started.append(second)
    assert second.exit_code() == 0, second.log()
    assert first.exit_code() == 0, first.log()
    assert "no log file: /opt/ml/output/data/vitalprep-algo-2.jsonl" in second.log()
    assert "algo-1 has validated the data set" in second.log(), "it did not end before"
    assert (folders["algo-1"] / "output" / "data" / "vitalprep-algo-1.jsonl").read_text()
    assert (result(first)["harmonized"], result(second)["harmonized"]) == (12, 12)

    dataset = result(first)["dataset"].removeprefix(f"s3://{BUCKET}/")
    client = s3_client(s3)
    (tmp_path / "made").mkdir()
    for item in client.list_objects_v2(Bucket=BUCKET, Prefix=f"{dataset}/")["Contents"]:
        client.download_file(BUCKET, item["Key"], str(tmp_path / "made" / item["Key"].rpartition("/")[2]))
    assert data_digests(tmp_path / "made") == data_digests(undisturbed)


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{REPOSITORY / '.venv-infra' / 'bin'}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (make infra)")
    dockerfiles = sorted((REPOSITORY / "docker").glob("Dockerfile.*"))
    answer = subprocess.run([hadolint, *dockerfiles], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
