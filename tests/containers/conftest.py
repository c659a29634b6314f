"""The worker's image, built once, where there is a container engine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGE = "vitalprep-worker:test"
REVISION = "0123456789abcdef"
THIS_MACHINE = "host.docker.internal"  # as containers call it
LOCKED_DOWN = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "1g")


def docker(*arguments: str | Path, check: bool = True) -> str:
    """Run one docker command and return what it printed."""
    answer = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=900)
    assert answer.returncode == 0 or not check, answer.stdout + answer.stderr
    return answer.stdout.strip()


@dataclass
class Container:
    """A container that was started."""

    name: str

    def exit_code(self) -> int:
        """Wait for its end."""
        return int(docker("wait", self.name))

    def log(self) -> str:
        """What it printed to both streams."""
        answer = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=True, timeout=60)
        return answer.stdout + answer.stderr

    def state(self, field: str) -> str:
        """A field of its state, such as ``OOMKilled``."""
        return docker("inspect", "--format", f"{{{{.State.{field}}}}}", self.name)


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip where there is none."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no container engine answers (docker info)")


@pytest.fixture(scope="session")
def image(engine: None) -> str:
    """The worker's image, of this tree."""
    docker(
        "build", "--quiet", "--file", REPOSITORY / "docker" / "Dockerfile.worker", "--tag", IMAGE,
        "--build-arg", "VERSION=0.1.0", "--build-arg", f"REVISION={REVISION}", REPOSITORY,
    )  # fmt: skip
    return IMAGE


@pytest.fixture
def started(image: str) -> Iterator[list[Container]]:
    """Containers that are removed after the test."""
    containers: list[Container] = []
    yield containers
    for container in containers:
        docker("rm", "--force", container.name, check=False)


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings that take one slow core some seconds."""
    folder = tmp_path_factory.mktemp("cases")
    simulate_folder(folder, SimulationOptions(seed=5, cases=24, hours=0.5, spread=0.3))
    return folder


@pytest.fixture(scope="session")
def undisturbed(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of the same recordings made by a process on this machine."""
    answer = run_vitalprep("run", "--input", cases, "--output", tmp_path_factory.mktemp("undisturbed"))
    assert answer.exit_code == 0, answer.result
    return Path(answer.result["dataset"])
