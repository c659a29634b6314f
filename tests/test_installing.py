"""Installing: what is missing is named before anything starts, and without a compiler data sets can still be loaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep

REPOSITORY = Path(__file__).parents[1]
CHECK = [sys.executable, REPOSITORY / ".ci" / "check_machine.py"]
NOT_AT_HAND = ("offline", "network", "connect", "not found in the cache", "dns", "fetch")
SOURCES = ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "preprocessing")


@dataclass(frozen=True)
class Installed:
    """An environment with vitalprep and without its compiled reader, and what this one has made."""

    python: Path
    recordings: Path
    output: Path
    plan: str

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command that was installed."""
        command = [self.python.with_name("vitalprep"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=_bare())


def _bare() -> dict[str, str]:
    """The environment without what would lead another interpreter to this one's packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


@pytest.fixture(scope="module")
def installed(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """vitalprep as `pip install` leaves it on a machine whose C compiler fails."""
    uv = shutil.which("uv", path=f"{REPOSITORY / '.uv' / 'bin'}:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed (make develop)")
    folder = tmp_path_factory.mktemp("installed")
    for name in SOURCES:
        path = REPOSITORY / name
        unwanted = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__")
        shutil.copytree(path, folder / name, ignore=unwanted) if path.is_dir() else shutil.copy(path, folder / name)
    environment = _bare() | {
        "CC": "/bin/false",
        "UV_PROJECT_ENVIRONMENT": str(folder / "venv"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(REPOSITORY / ".uv" / "cache")),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    sync = [uv, "sync", "--locked", "--no-default-groups", "--no-editable", "--python", sys.executable]
    for more in (["--offline"], []):
        answer = subprocess.run(
            [*sync, *more], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        if answer.returncode == 0:
            break
    else:
        if any(word in answer.stderr.lower() for word in NOT_AT_HAND):
            pytest.skip(f"neither a cache nor a network has the packages: {answer.stderr.strip().splitlines()[-1]}")
        pytest.fail(answer.stderr)
    output = folder / "output"
    made = run_vitalprep("run", "--input", recordings, "--output", output)
    assert made.exit_code == 0, made.result
    return Installed(folder / "venv" / "bin" / "python", recordings, output, made.result["plan"])


def test_without_a_compiler_data_sets_are_loaded(installed: Installed) -> None:
    code = (
        "import importlib.util, sys, vitalprep\n"
        "assert importlib.util.find_spec('vitalprep.vital._records') is None\n"
        "about = vitalprep.describe(sys.argv[1])\n"
        "windows = sum(1 for _ in vitalprep.read(sys.argv[1], 'test'))\n"
        "print(windows == about.windows['test'] > 0)"
    )
    command = [installed.python, "-c", code, installed.output]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=_bare())
    assert (answer.returncode, answer.stdout) == (0, "True\n"), answer.stderr


def test_without_a_compiler_what_reads_recordings_says_so(installed: Installed, tmp_path: Path) -> None:
    for command in (
        ("run", "--input", installed.recordings, "--output", tmp_path / "out"),
        ("harmonize", "--plan", installed.plan),
        ("fetch", "--cases", "1", "--output", tmp_path / "raw", "--accept-licence", "--base-url", "http://127.0.0.1:1"),
    ):
        answer = installed.run(*command)
        assert answer.returncode == 2, answer.stderr
        assert "The compiled reader of recordings is not installed" in answer.stderr
        assert "apt-get install gcc python3-dev" in answer.stderr
        assert "Traceback" not in answer.stderr


def test_without_a_compiler_all_else_works(installed: Installed, tmp_path: Path) -> None:
    for path in installed.output.glob("datasets/*/build-*.json"):
        path.unlink()
    for command in (
        ("build", "--plan", installed.plan, "--workers", "1"),
        ("publish", "--plan", installed.plan),
        ("validate", installed.output, "--workers", "1"),
        ("report", "--dataset", installed.output, "--output", tmp_path / "report.html"),
        ("status", installed.output),
    ):
        answer = installed.run(*command)
        assert answer.returncode == 0, (command, answer.stderr)


def _checked(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHECK, *arguments], capture_output=True, text=True, check=False, env=os.environ | environment
    )


def test_a_missing_compiler_is_named_in_one_line() -> None:
    assert _checked("--compiler").returncode == 0
    answer = _checked("--compiler", CC="/nowhere/cc")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.splitlines() == [
        "vitalprep cannot be installed yet. Debian and Ubuntu: sudo apt-get install gcc libc6-dev"
    ]
    assert _checked(CC="/nowhere/cc").returncode == 0, "Airflow alone needs no compiler"


def test_an_unusable_venv_and_missing_headers_are_named(tmp_path: Path) -> None:
    code = (
        "import importlib.util, runpy, sys, sysconfig\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'ensurepip' else found(name, *a)\n"
        "sysconfig.get_path = lambda name: sys.argv[2]\n"
        "sys.argv = [sys.argv[1], '--compiler', sys.argv[2]]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(CHECK[1]), str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.rstrip().endswith(f"apt-get install {version}-venv {version}-dev")


def test_make_stops_where_the_reader_was_not_compiled() -> None:
    """What `make worker` and `make develop` run after the installation, and what both images run."""
    for target in ("worker", "develop"):
        made = subprocess.run(
            ["make", "--dry-run", "--always-make", target], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        assert "import vitalprep.vital._records" in made
        assert "exit 2" in made
    for name in ("worker", "airflow"):
        dockerfile = (REPOSITORY / "docker" / f"Dockerfile.{name}").read_text()
        steps = re.split(r"\n(?=[A-Z]+ )", re.sub(r"(?m)^#.*\n", "", dockerfile))
        checked = [step for step in steps if '/opt/vitalprep/bin/python -c "import vitalprep.vital._records"' in step]
        assert len(checked) == 1
        assert re.match(r"RUN ((?!;|\|\|).)*$", checked[0], re.DOTALL), "where it fails, so does the step"


def test_an_interpreter_without_the_worker_s_packages_is_told_which_one_to_take() -> None:
    code = "import sys; sys.modules['moto'] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "-p", "no:cacheprovider", "tests/contract/test_splits.py"]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    said = [line for line in (answer.stdout + answer.stderr).splitlines() if "make test-worker" in line]
    assert len(said) == 1
    assert ".venv" in said[0]
    assert "Traceback" not in answer.stdout + answer.stderr
