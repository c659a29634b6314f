"""Two versions of Python, pyarrow and NumPy on one output: the same bytes, or a refusal that a retry resolves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.pipeline import COMMAND, data_digests, run_vitalprep
from tests.reliability.in_process import COARSE, short_cases

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "preprocessing")
NOT_AT_HAND = ("offline", "network", "connect", "not found in the cache", "dns", "fetch", "unsatisfiable")
OTHERS = ("pyarrow==24.*", "numpy==2.2.*")  # not those of uv.lock
TRIES = 3


@dataclass(frozen=True)
class Side:
    """An interpreter and how it starts the command."""

    start: Sequence[str | Path]

    def begin(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start the command."""
        return subprocess.Popen(
            [*self.start, *map(str, arguments), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")},
        )

    def done(self, *arguments: str | Path, begun: subprocess.Popen[str] | None = None) -> dict[str, str]:
        """Run the command until it is done; a refusal has to be one that a retry resolves."""
        for _ in range(TRIES):
            process = begun or self.begin(*arguments)
            out, err = process.communicate(timeout=300)
            if process.returncode == 0:
                return dict(json.loads(out.splitlines()[-1]))
            assert process.returncode in (1, 65), err
            assert "Traceback" not in err
            begun = None
        pytest.fail(f"{TRIES} tries have not resolved it: {err}")


THIS = Side(COMMAND)


def _interpreters() -> dict[str, str | None]:
    """Return this interpreter and the other supported one; None where it is not on the machine."""
    version = "3.12" if sys.version_info < (3, 12) else "3.11"
    found = shutil.which(f"python{version}")
    works = found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0
    return {"this Python": sys.executable, f"Python {version}": found if works else None}


@pytest.fixture(scope="module", params=_interpreters())
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Side:
    """This source tree, installed with another pyarrow and another NumPy."""
    python = _interpreters()[request.param]
    uv = shutil.which("uv", path=f"{REPOSITORY / '.uv' / 'bin'}:{os.environ['PATH']}")
    if python is None or uv is None:
        pytest.skip(f"{request.param if python is None else 'uv'} is not on this machine")
    folder = tmp_path_factory.mktemp("other")
    for name in SOURCES:
        unwanted = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__")
        path = REPOSITORY / name
        shutil.copytree(path, folder / name, ignore=unwanted) if path.is_dir() else shutil.copy(path, folder / name)
    environment = os.environ | {
        "VIRTUAL_ENV": str(folder / "venv"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(REPOSITORY / ".uv" / "cache")),
        "UV_PYTHON_DOWNLOADS": "never",
    }

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([uv, *arguments], env=environment, capture_output=True, text=True, check=False)

    made = call("venv", "--python", python, folder / "venv")
    assert made.returncode == 0, made.stderr
    for offline in (["--offline"], []):
        answer = call("pip", "install", *offline, folder, *OTHERS)
        if answer.returncode == 0:
            return Side([folder / "venv/bin/vitalprep"])
    if any(word in answer.stderr.lower() for word in NOT_AT_HAND):
        pytest.skip(f"neither a cache nor a network has the packages: {answer.stderr.strip().splitlines()[-1]}")
    pytest.fail(answer.stderr)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_cases(tmp_path_factory.mktemp("short") / "in", cases=9)


@pytest.fixture(scope="module")
def alone(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this environment makes alone."""
    output = tmp_path_factory.mktemp("alone") / "out"
    assert run_vitalprep("run", "--input", recordings, "--output", output, *COARSE).exit_code == 0
    return output


def _asked(recordings: Path, output: Path) -> list[str | Path]:
    return ["--input", recordings, "--output", output, *COARSE]


def _assert_as_alone(output: Path, alone: Path) -> None:
    latest = json.loads((output / "datasets/latest.json").read_bytes())["dataset_id"]
    assert data_digests(output / "datasets" / latest) == data_digests(alone / "datasets" / latest)
    THIS.done("validate", output)


def test_the_other_writes_tables_in_another_way(other: Side, recordings: Path, alone: Path, tmp_path: Path) -> None:
    """Without this, the tests below would hold one version against itself."""
    other.done("run", *_asked(recordings, tmp_path / "out"))
    _assert_as_alone(tmp_path / "out", alone)
    tables = [next(output.glob("harmonized/*/0001-*.parquet")) for output in (tmp_path / "out", alone)]
    assert tables[0].name == tables[1].name
    assert tables[0].read_bytes() != tables[1].read_bytes()
    assert len({pq.ParquetFile(table).metadata.created_by for table in tables}) == 2


def test_they_share_the_stages(other: Side, recordings: Path, alone: Path, tmp_path: Path) -> None:
    plan = THIS.done("plan", *_asked(recordings, tmp_path / "out"), "--shards", "2")["plan"]
    other.done("harmonize", "--plan", plan, "--shard", "0")
    THIS.done("harmonize", "--plan", plan, "--shard", "1")
    for split, side in (("train", THIS), ("validation", other), ("test", THIS)):
        side.done("build", "--plan", plan, "--split", split)
    dataset = other.done("publish", "--plan", plan)["dataset"]
    THIS.done("validate", dataset)
    other.done("validate", dataset)
    _assert_as_alone(tmp_path / "out", alone)


@pytest.mark.parametrize("attempt", range(3))
def test_both_do_the_same_shard_at_once(
    other: Side, recordings: Path, alone: Path, tmp_path: Path, attempt: int
) -> None:
    plan = THIS.done("plan", *_asked(recordings, tmp_path / "out"))["plan"]
    arguments = ("harmonize", "--plan", plan, "--shard", "0")
    begun = [(side, side.begin(*arguments)) for side in ((THIS, other) if attempt % 2 else (other, THIS))]
    for side, process in begun:
        side.done(*arguments, begun=process)
    for stage in ("build", "publish"):
        other.done(stage, "--plan", plan)
    other.done("validate", tmp_path / "out/datasets" / Path(plan).parent.name)
    _assert_as_alone(tmp_path / "out", alone)


def test_both_run_the_whole_at_once(other: Side, recordings: Path, alone: Path, tmp_path: Path) -> None:
    arguments = ("run", *_asked(recordings, tmp_path / "out"))
    begun = [(side, side.begin(*arguments)) for side in (THIS, other)]
    for side, process in begun:
        side.done(*arguments, begun=process)
    _assert_as_alone(tmp_path / "out", alone)


def test_one_forces_beside_the_other(other: Side, recordings: Path, alone: Path, tmp_path: Path) -> None:
    """The tables of one are replaced by those of the other while it reads them."""
    arguments = ("run", *_asked(recordings, tmp_path / "out"))
    THIS.done(*arguments)
    forced, validated = other.begin(*arguments, "--force"), THIS.begin("validate", tmp_path / "out")
    _, said = validated.communicate(timeout=300)
    assert validated.returncode in (0, 1, 65), said
    assert "Traceback" not in said
    other.done(*arguments, begun=forced)
    THIS.done(*arguments)
    _assert_as_alone(tmp_path / "out", alone)
