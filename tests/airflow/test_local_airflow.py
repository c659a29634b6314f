"""The commands behind `make up` and `make demo`: what they say where they cannot start, and after the demo."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from conftest import REPOSITORY


def local_airflow(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local_airflow", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("port", ["99999", "0", "-1", "eighty"])
def test_a_number_that_is_no_port(port: str) -> None:
    answer = local_airflow("up", f"--port={port}")
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line == f"{port!r} is not a port. Fix: choose one from 1 to 65535: make up PORT=8080"


def test_a_port_in_use(tmp_path: object) -> None:
    from local_airflow.server import ServerError, start

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=rf"Port {port} cannot be used \(.*in use\)\. Fix: choose another one"):
            start(tmp_path, port=port, environment={})  # type: ignore[arg-type]


def test_the_demo_ends_with_what_to_do_next() -> None:
    from local_airflow.demo import next_steps

    report, load, keep = next_steps("/demo/output/datasets/5").splitlines()
    assert report.endswith("/demo/output/datasets/5/report.html")
    assert "import vitalprep; vitalprep.describe('/demo/output/datasets/5')" in load
    assert keep.endswith("make up")
