"""A local folder that disappears, and the temporary files of killed writers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vitalprep.runtime.errors import RetryableError
from vitalprep.storage import WRITE_BUFFER, Storage
from vitalprep.storage.object_errors import ObjectChanged, ObjectMissing

OPERATIONS: dict[str, Callable[[Storage], object]] = {
    "get": lambda storage: storage.get("a/b.json"),
    "list": lambda storage: list(storage.list()),
    "put": lambda storage: storage.put("a/b.json", b"x"),
    "create": lambda storage: storage.create("a/c.json", b"x"),
    "delete": lambda storage: storage.delete(["a/b.json"]),
    "sweep": lambda storage: storage.sweep("a", of=bool),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_lost_folder_is_reported_and_not_recreated(tmp_path: Path, operation: str) -> None:
    """`obstore` would recreate the folders of a lost mount on the underlying disk, and list them as empty."""
    storage = Storage(str(tmp_path / "out"), create=True)
    storage.put("a/b.json", b"x")
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(RetryableError, match="disappeared while it was in use") as caught:
        OPERATIONS[operation](storage)
    assert str(tmp_path / "out") in caught.value.message
    assert "mount" in caught.value.fix
    with pytest.raises(RetryableError, match="disappeared while it was in use"):
        Storage(str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_writer_reports_a_lost_folder(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "out"), create=True)
    with pytest.raises(RetryableError, match="disappeared while it was in use"), storage.writer("a/b.bin") as writer:  # noqa: PT012
        writer.write(bytes(20_000_000))
        shutil.rmtree(tmp_path / "out")
    assert not list(tmp_path.rglob("b.bin*"))


WRITE = """
import sys
from vitalprep.storage import Storage
with Storage(sys.argv[1]).writer("datasets/0/big.bin") as writer:
    writer.write(bytes(20_000_000))
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of a write, with a staging file that looks two hours old."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    deadline = time.monotonic() + 30
    staged = tmp_path / "datasets" / "0" / "big.bin#1"
    while not staged.exists() or staged.stat().st_size < WRITE_BUFFER:  # written in the background
        assert time.monotonic() < deadline
        time.sleep(0.01)
    long_ago = time.time() - 7200
    os.utime(staged, (long_ago, long_ago))
    yield process
    process.kill()
    process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whether a file is being written")
def test_sweep_removes_only_files_without_an_open_writer(tmp_path: Path, writing: subprocess.Popen[str]) -> None:
    storage = Storage(str(tmp_path))
    assert storage.sweep("datasets", of=bool) == 0, "a process has it open"
    writing.kill()
    writing.wait()
    assert storage.sweep("harmonized", of=bool) == 0, "another prefix"
    assert storage.sweep("datasets", of=bool) == 1
    assert not list(tmp_path.glob("datasets/0/*"))


def test_a_writer_continues_during_a_sweep(tmp_path: Path, writing: subprocess.Popen[str]) -> None:
    storage = Storage(str(tmp_path))
    storage.sweep("datasets", of=bool)
    _, _ = writing.communicate("")
    assert writing.returncode == 0
    assert storage.get("datasets/0/big.bin") == bytes(20_000_000)


def test_sweep_keeps_recent_files_and_other_files(tmp_path: Path) -> None:
    """A writer on another machine shows only by the file's modification time."""
    (tmp_path / "runs").mkdir()
    long_ago = time.time() - 7200
    for name in ("new.json#1", "old.json", "old#notes.json", "#1"):
        (tmp_path / "runs" / name).write_bytes(b"x")
        if not name.startswith("new"):
            os.utime(tmp_path / "runs" / name, (long_ago, long_ago))
    assert Storage(str(tmp_path)).sweep("runs", of=bool) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 4
    os.utime(tmp_path / "runs" / "new.json#1", (long_ago, long_ago))
    assert Storage(str(tmp_path)).sweep("runs", of=lambda path: path != "runs/new.json") == 0, "not ours"
    assert Storage(str(tmp_path)).sweep("runs", of=lambda path: path == "runs/new.json") == (
        1 if sys.platform == "linux" else 0
    )


def _changes() -> dict[str, Callable[[Path], object]]:
    def replace(path: Path) -> None:
        path.with_name("new").write_bytes(bytes(5_000_000))
        path.with_name("new").replace(path)

    return {
        "is replaced": replace,
        "grows": lambda path: path.open("ab").write(b"more"),
        "is cut": lambda path: os.truncate(path, 4_000_000),
        "is written over": lambda path: path.write_bytes(b"y" * 5_000_000),
    }


@pytest.mark.parametrize("change", _changes())
def test_a_file_that_changes_during_a_read_is_an_error(tmp_path: Path, change: str) -> None:
    (tmp_path / "0001.vital").write_bytes(b"x" * 5_000_000)
    arriving = Storage(str(tmp_path)).arriving("0001.vital")
    arriving.at(0, 10)
    _changes()[change](tmp_path / "0001.vital")
    with pytest.raises((ObjectChanged, RetryableError), match=r"0001\.vital"):
        arriving.sha256()


def test_a_file_that_is_removed_during_a_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "0001.vital").write_bytes(b"x" * 5_000_000)
    arriving = Storage(str(tmp_path)).arriving("0001.vital")
    arriving.at(0, 10)
    (tmp_path / "0001.vital").unlink()
    with pytest.raises(ObjectMissing, match=r"0001\.vital"):
        arriving.sha256()
