"""Complete runs on a disk that is full, read-only or disappears in the middle of a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import COMMAND, data_digests, run_vitalprep
from tests.reference.table_digest import values_digest
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder


class Mounts:
    """A mount namespace of its own, in which a disk can be mounted without being root.

    `disk` is where commands that are run in it see the disk, `seen` is the same from outside.
    """

    def __init__(self, folder: Path) -> None:
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo $$; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        self.pid = self.holder.stdout.readline().strip()
        if not self.pid:
            pytest.skip("this machine allows no mount namespaces")
        self.seen = Path(f"/proc/{self.pid}/root{self.disk}")
        self("mount", "-t", "tmpfs", "-o", "size=50m", "vitalprep-test", str(self.disk))

    def command(self, *command: str) -> list[str]:
        enter = ["nsenter", "--target", self.pid, "--user", "--mount", "--preserve-credentials", f"--wd={Path.cwd()}"]
        return [*enter, *command]

    def __call__(self, *command: str) -> None:
        done = subprocess.run(self.command(*command), capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{' '.join(command)}: {done.stderr.strip()}")

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*COMMAND, *arguments, "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        return ended(self.begin(*arguments))


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the result of a command."""
    stdout, stderr = process.communicate(timeout=120)
    assert "Traceback" not in stderr
    return process.returncode, json.loads(stdout.splitlines()[-1])


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("mount namespaces are Linux's")
    made = Mounts(tmp_path)
    yield made
    made.holder.communicate("")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    simulate_folder(folder, SimulationOptions(seed=5, cases=10, hours=0.1, spread=0))
    return folder


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    output = tmp_path_factory.mktemp("undisturbed")
    answer = run_vitalprep("run", "--input", source, "--output", output, "--workers", "1")
    assert answer.exit_code == 0, answer.result
    return data_digests(answer.result["dataset"])


def tables_of_receipts(output: Path) -> list[str]:
    """Return the stems that have a receipt; each must be whole and have the table that it names."""
    stems = []
    for path in output.glob("harmonized/*/*.json"):
        receipt = json.loads(path.read_bytes())
        digest = receipt["values_sha256"]
        assert values_digest(path.with_name(f"{path.stem}-{digest[:12]}.parquet").read_bytes()) == digest
        stems.append(path.stem)
    return stems


def resumed(mounts: Mounts, command: tuple[str, ...], before: list[str]) -> dict[str, str]:
    """Run the command again, and return the digests of the data set; what was done before is left as it is."""
    kept = {path: path.stat().st_mtime_ns for path in mounts.seen.rglob("*.json") if path.stem in before}
    exit_code, result = mounts.run(*command)
    assert exit_code == 0, result
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not [path.name for path in mounts.seen.rglob("*#*")], "no staging file is left"
    return data_digests(mounts.seen / Path(result["dataset"]).relative_to(mounts.disk))


@pytest.mark.parametrize(
    ("size", "stage"), [("96k", "harmonized/"), ("340k", "datasets/")], ids=["in harmonize", "in build"]
)
def test_a_full_disk(mounts: Mounts, source: Path, undisturbed: dict[str, str], size: str, stage: str) -> None:
    mounts("mount", "-o", f"remount,size={size}", str(mounts.disk))
    command = ("run", "--input", str(source), "--output", str(mounts.disk), "--workers", "1")
    exit_code, result = mounts.run(*command)
    assert exit_code == 1
    assert "No space left on device" in result["message"]
    assert f"{mounts.disk}/" in result["message"], "the path is named"
    assert "free space" in result["fix"]
    done = tables_of_receipts(mounts.seen)
    assert len(done) == 10 if stage == "datasets/" else 0 < len(done) < 10
    mounts("mount", "-o", "remount,size=50m", str(mounts.disk))
    assert resumed(mounts, command, done) == undisturbed


def test_a_read_only_disk(mounts: Mounts, source: Path, undisturbed: dict[str, str]) -> None:
    command = ("run", "--input", str(source), "--output", str(mounts.disk), "--workers", "1")
    mounts("mount", "-o", "remount,ro", str(mounts.disk))
    exit_code, result = mounts.run(*command)
    assert exit_code == 1, "a disk that is mounted again needs no other command"
    assert "Read-only file system" in result["message"]
    assert str(mounts.disk) in result["message"]
    assert "mount that disk for writing" in result["fix"]
    assert not list(mounts.seen.iterdir())


def until(happened: list[Path] | Any, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_disk_that_vanishes(mounts: Mounts, source: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    """It is unmounted between two instructions of the run, and nothing is written to the disk below."""
    output = tmp_path / "output"
    output.mkdir()
    mounts("mount", "--bind", str(mounts.disk), str(output))
    command = ("run", "--input", str(source), "--output", str(output), "--workers", "1")
    process = mounts.begin(*command)
    until(lambda: len(list(mounts.seen.glob("harmonized/*/*.json"))) >= 2)
    os.killpg(process.pid, signal.SIGSTOP)
    mounts("umount", "--lazy", str(output))
    os.killpg(process.pid, signal.SIGCONT)
    exit_code, result = ended(process)
    assert exit_code == 1
    assert f"The folder {output} disappeared while it was in use" in result["message"]
    assert "mount" in result["fix"]
    assert not list(output.iterdir())
    done = tables_of_receipts(mounts.seen)
    assert len(done) >= 2
    mounts("mount", "--bind", str(mounts.disk), str(output))
    exit_code, result = mounts.run(*command)
    assert exit_code == 0, result
    assert data_digests(mounts.seen / Path(result["dataset"]).relative_to(output)) == undisturbed
