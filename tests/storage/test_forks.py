"""A process forked from one that has used the storage gets an error instead of a deadlock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PARENT = """
import os, sys
from vitalprep.runtime.errors import UsageError
from vitalprep.storage import Storage
if sys.argv[2] == "used":
    Storage(sys.argv[1]).get("name")
child = os.fork()
if child == 0:
    try:
        print(Storage(sys.argv[1]).get("name").decode(), flush=True)
    except UsageError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize(("parent", "said"), [("unused", "content"), ("used", "multiprocessing_context='spawn'")])
def test_a_forked_process_reads_or_gets_an_error(tmp_path: Path, parent: str, said: str) -> None:
    (tmp_path / "name").write_text("content")
    answer = subprocess.run(
        [sys.executable, "-c", PARENT, str(tmp_path), parent], capture_output=True, text=True, check=True, timeout=60
    )
    assert said in answer.stdout
