"""Simulated recordings for the whole-run tests, and the real ones where they are at hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

try:
    from hypothesis import settings
    from moto.server import ThreadedMotoServer

    from tests.pipeline import BUCKET, s3_client
    from vitalprep.simulate.simulate import SimulationOptions, simulate_folder
except ImportError as error:  # before any test is collected, so that one line says it
    print(
        f"{sys.prefix} lacks what the worker's tests need ({error}): run them in .venv, as `make test-worker` does "
        "(tests/airflow has an environment of its own: make test-airflow).",
        file=sys.stderr,
    )
    sys.exit(2)  # pytest.exit here would be shown as a failed import

# A busy machine is no reason to fail: no example has a time limit.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Other people's recordings, which are never part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real recordings (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen simulated cases of about twelve minutes."""
    folder = tmp_path_factory.mktemp("recordings")
    simulate_folder(folder, SimulationOptions(seed=11, cases=14, hours=0.2, spread=0.3))
    return folder


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """The environment under which S3 is a server on this machine, with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-north-1",
    }
    location = {"LocationConstraint": environment["AWS_REGION"]}
    s3_client(environment).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    yield environment
    server.stop()
