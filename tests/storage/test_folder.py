"""A local folder that disappears, and the temporary files of killed writers."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline import run_vitalprep
from vitalprep.runtime.errors import RefusedError, RetryableError
from vitalprep.storage import WRITE_BUFFER, Storage, read_uri
from vitalprep.storage.folder import Folder
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
    arriving = Storage(str(tmp_path)).arriving("0001.vital", hashed=True)
    arriving.at(0, 10)
    _changes()[change](tmp_path / "0001.vital")
    with pytest.raises((ObjectChanged, RetryableError), match=r"0001\.vital"):
        arriving.sha256()


def test_a_file_that_is_removed_during_a_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "0001.vital").write_bytes(b"x" * 5_000_000)
    arriving = Storage(str(tmp_path)).arriving("0001.vital", hashed=True)
    arriving.at(0, 10)
    (tmp_path / "0001.vital").unlink()
    with pytest.raises(ObjectMissing, match=r"0001\.vital"):
        arriving.sha256()


def test_what_is_no_regular_file_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder" / "loop").symlink_to(tmp_path)
    storage = Storage(tmp_path)
    for reading in (storage.get, storage.head, storage.arriving, lambda name: read_uri(str(tmp_path / name))):
        with pytest.raises(RefusedError, match=r"/pipe is a pipe \(FIFO\), not a regular file"):
            reading("pipe")
        with pytest.raises(RefusedError, match=r"/zero is a device, not a regular file"):
            reading("zero")
    assert set(storage.odd_files()) == {"pipe", "zero"}
    assert storage.get("file") == b"x"
    assert storage.head("absent") is None


@pytest.fixture
def unlimited(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that keeps any time: tmpfs does, ext4 does not."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("needs tmpfs at /dev/shm")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        (folder / "old").touch()
        os.utime(folder / "old", (0, 2**62))
        if (folder / "old").stat().st_mtime < 2**61:
            pytest.skip("/dev/shm does not keep any time")
        yield folder
    finally:
        shutil.rmtree(folder)


def test_a_file_of_an_impossible_time_is_listed_and_deleted_but_not_read(unlimited: Path) -> None:
    (unlimited / "sub").mkdir()
    (unlimited / "sub" / "new").write_bytes(b"xyz")
    (unlimited / "sub" / "new#1").write_bytes(b"unfinished")
    storage = Storage(unlimited)
    listed = {found.path: found for found in storage.list()}
    assert sorted(listed) == ["old", "sub/new"]
    assert (listed["old"].etag, listed["old"].modified) == ("", None)
    assert listed["sub/new"] == storage.head("sub/new")
    for reading in (storage.get, storage.head, storage.arriving):
        with pytest.raises(RefusedError, match="modification time outside the years 1 to 9999") as caught:
            reading("old")
        assert "touch" in caught.value.fix
    storage.delete(["old"])
    assert [found.path for found in storage.list()] == ["sub/new"]


def test_status_and_clean_work_beside_a_file_of_an_impossible_time(unlimited: Path, recordings: Path) -> None:
    arguments = ("--input", recordings, "--output", unlimited / "out")
    made = run_vitalprep("run", *arguments)
    assert made.exit_code == 0, made.result
    odd = next((unlimited / "out" / "datasets").glob("*/report.html"))
    os.utime(odd, (0, 2**62))
    for command in (("status",), ("clean", "--dry-run", "--output")):
        answer = run_vitalprep(*command, unlimited / "out")
        assert answer.exit_code == 0, answer.result


@pytest.mark.parametrize("error", [errno.EROFS, errno.EMFILE, errno.EIO])
def test_a_disk_that_became_read_only_is_no_denial_of_access(tmp_path: Path, error: int) -> None:
    folder = Folder(str(tmp_path), create=False)

    def fail() -> None:
        raise OSError(error, os.strerror(error))

    with pytest.raises(RetryableError, match=os.strerror(error)):
        folder.do(fail, verb="write", uri="x")
