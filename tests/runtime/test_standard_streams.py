"""Standard output and error that are closed or full, and errors that nobody foresaw: one line and the exit code."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import COMMAND

FULL = Path("/dev/full")
CONFIG = ("config", "--json")
LOST = "The result could not be written to stdout"


def _shell(arguments: tuple[str, ...], redirection: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = f"{shlex.join([*COMMAND, *arguments])} {redirection}"
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, timeout=180, env=os.environ | environment
    )


def _only_line(text: str) -> dict[str, Any]:
    lines = text.splitlines()
    assert len(lines) == 1, text
    line: dict[str, Any] = json.loads(lines[0])
    return line


@pytest.mark.parametrize("arguments", [CONFIG, ("config",), ("--help",)])
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [
        pytest.param(">/dev/full", "No space left", marks=pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")),
        (">&-", "it is closed"),
    ],
)
def test_a_result_that_stdout_does_not_take_is_told(arguments: tuple[str, ...], redirection: str, reason: str) -> None:
    done = _shell(arguments, redirection)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"{LOST} ({reason}" in done.stderr


def test_the_error_keeps_its_exit_code_where_stdout_does_not_take_it(tmp_path: Path) -> None:
    done = _shell(("plan", "--input", str(tmp_path / "absent"), "--output", str(tmp_path), "--json"), ">&-")
    assert done.returncode == 2
    assert "does not exist" in _only_line(done.stderr)["message"]


@pytest.mark.parametrize(
    "redirection",
    [
        "2>&-",
        pytest.param("2>/dev/full", marks=pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")),
        "0<&- 2>&-",
    ],
)
def test_a_run_needs_no_stderr(recordings: Path, tmp_path: Path, redirection: str) -> None:
    where = ("--input", str(recordings), "--output", str(tmp_path / "out"))
    done = _shell(("run", *where, "--json"), redirection)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["written"] == 14
    refused = _shell(("plan", *where, "--cases", "x", "--json"), redirection)
    assert refused.returncode == 2
    assert "Case list 'x'" in json.loads(refused.stdout)["message"]


def test_no_file_takes_the_number_of_a_closed_stream(recordings: Path, tmp_path: Path) -> None:
    where = ("--input", str(recordings), "--output", str(tmp_path / "out"))
    assert _shell(("run", *where), "<&- >&- 2>&-").returncode == 1, "the result could not be told"
    done = _shell(("validate", *map(str, (tmp_path / "out" / "datasets").glob("?" * 12)), "--json"), "")
    assert done.returncode == 0, done.stdout + done.stderr


def _failing(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in which a function of the standard library does not work."""
    program = f"{code}\nfrom vitalprep.cli.main import main; main()"
    return subprocess.run(
        [COMMAND[0], "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=180
    )


BROKEN = "import vitalprep.contract.config_file as c\ndef load_config(*_): raise {}\nc.load_config = load_config"


@pytest.mark.parametrize(
    ("raised", "message", "fix"),
    [
        ("ZeroDivisionError('a\\nb')", "Unexpected error: ZeroDivisionError: a.", "--log-file FILE"),
        ("type('PanicException', (BaseException,), {})('boom')", "Unexpected error: PanicException: boom.", "report"),
        ("MemoryError()", "The system's limits do not suffice: memory.", "ulimit -v"),
        ("OSError(24, 'Too many open files')", "limits do not suffice: [Errno 24] Too many open files.", "ulimit"),
        ('RuntimeError("can\'t start new thread")', "limits do not suffice: can't start new thread.", "ulimit"),
    ],
)
def test_an_error_that_nobody_foresaw_is_one_line(tmp_path: Path, raised: str, message: str, fix: str) -> None:
    log_file = tmp_path / "log"
    done = _failing(BROKEN.format(raised), *CONFIG, "--log-file", str(log_file))
    assert done.returncode == 1
    line, result = _only_line(done.stderr), json.loads(done.stdout)
    assert message in line["message"]
    assert message in result["message"]
    assert fix in result["fix"]
    assert "Traceback" in log_file.read_text()
    shown = _failing(BROKEN.format(raised), *CONFIG, "--log-level", "debug")
    assert "Traceback" in json.loads(shown.stderr.splitlines()[0])["message"]
    assert message in json.loads(shown.stderr.splitlines()[-1])["message"]


@pytest.mark.parametrize("limit", ["-v 200000", "-n 8", "-n 12"])
def test_a_low_limit_ends_with_a_message(recordings: Path, tmp_path: Path, limit: str) -> None:
    where = ("run", "--input", str(recordings), "--output", str(tmp_path / "out"), "--json")
    line = f"ulimit {limit}; exec {shlex.join([*COMMAND, *where])}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert "ulimit" in result["fix"], result


def test_a_log_file_that_is_full_is_told_once(tmp_path: Path) -> None:
    if not FULL.exists():
        pytest.skip("no /dev/full")
    (tmp_path / "in").mkdir()
    done = _shell(
        ("check", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--log-file", "/dev/full"), ""
    )
    assert done.returncode == 65
    assert "Traceback" not in done.stderr
    assert done.stderr.count("the log file /dev/full cannot be written") == 1


def test_a_pipe_without_a_reader_is_no_log_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = _shell((*CONFIG, "--log-file", str(tmp_path / "pipe")), "")
    assert done.returncode == 2
    assert "Could not write the log file" in json.loads(done.stdout)["message"]
