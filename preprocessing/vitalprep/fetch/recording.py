"""One recording from the service to its final name, under which only what the strict reader accepts ever stands."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO, Literal

from vitalprep.fetch.website import PIECE, Denied, NotThere, download
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import CaseRefused, RefusedError, RetryableError
from vitalprep.storage import ObjectMissing, Storage
from vitalprep.storage.stream import Arriving
from vitalprep.vital.gunzip import longest_file
from vitalprep.vital.recording import read_vital

__all__ = ["FetchTask", "Fetched", "fetch_recording"]

READINGS = 4


@dataclass(frozen=True)
class FetchTask:
    """All that a worker process needs for one recording: `remote` below `base_url`, `path` below `output`.

    `there` is the size of the file that has this path already, or None.
    """

    case_id: int
    base_url: str
    remote: str
    output: str
    path: str
    max_bytes: int
    there: int | None = None


@dataclass(frozen=True)
class Fetched:
    """What became of one recording; `detail` says why it did not come.

    `there`: it lies there, whole. `missing`: the service does not have it. `denied`: it does not give it. `refused`:
    what came is no recording. `failed`: a fault outlasted the retries.
    """

    outcome: Literal["there", "fetched", "missing", "denied", "refused", "failed"]
    size: int = 0
    detail: str = ""


def fetch_recording(task: FetchTask) -> Fetched:
    """Download a recording into a temporary file, read it strictly, and only then write it where it belongs.

    It is refused only when two readings gave the same bytes. What is there already is read as strictly, and is not
    asked for again if it is whole.

    Raises
    ------
    UsageError
        If the output cannot be read or written, or the environment's proxy is no URL.
    RetryableError
        If the output cannot be read or written now.
    """
    if task.there is not None and _is_whole(task, task.there):
        return Fetched("there")
    try:
        with tempfile.TemporaryFile() as file:
            refusal = _checked_download(task, file)
            if refusal is not None:
                return Fetched("refused", detail=str(refusal))
            size = file.seek(0, 2)
            file.seek(0)
            _storage(task.output).put(task.path, file)
            return Fetched("fetched", size)
    except NotThere as error:
        return Fetched("missing", detail=error.message)
    except Denied as error:
        return Fetched("denied", detail=error.message)
    except RefusedError as error:  # it is too large
        return Fetched("refused", detail=error.message)
    except _DownloadFailed as failure:
        return Fetched("failed", detail=failure.error.message)
    except OSError as error:
        raise RetryableError(
            f"Case {task.case_id} could not be kept in the folder for temporary files: {error.strerror}.",
            fix="free space there or set TMPDIR to another, then run it again: it resumes.",
        ) from error


def _is_whole(task: FetchTask, size: int) -> bool:
    try:
        read_vital(_storage(task.output).arriving(task.path, size=size), max_bytes=task.max_bytes)
    except (CaseRefused, ObjectMissing) as refusal:
        log(f"{task.path} is no whole recording and is fetched again: {refusal}", case_id=task.case_id)
        return False
    return True


class _DownloadFailed(Exception):  # noqa: N818  it ends one recording, not the run
    def __init__(self, error: RetryableError) -> None:
        super().__init__(error.message)
        self.error = error


def _checked_download(task: FetchTask, file: IO[bytes]) -> CaseRefused | None:
    """Return None when the file holds a whole recording, or why what comes is none."""
    seen: set[bytes] = set()
    for _ in range(READINGS):
        try:
            download(task.base_url, task.remote, file, most=longest_file(task.max_bytes))
        except RetryableError as error:
            raise _DownloadFailed(error) from error
        try:
            read_vital(Arriving(_pieces(file), file.seek(0, 2)), max_bytes=task.max_bytes)
        except CaseRefused as refusal:
            digest = _sha256(file)
            if digest in seen:
                return refusal
            seen.add(digest)
            log(f"case {task.case_id} is fetched again before it is refused, {refusal}", case_id=task.case_id)
            continue
        return None
    raise _DownloadFailed(
        RetryableError(f"{READINGS} downloads of {task.remote} gave other bytes each.", fix="check the network.")
    )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(PIECE):
        yield piece


def _sha256(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in _pieces(file):
        digest.update(piece)
    return digest.digest()


@cache
def _storage(uri: str) -> Storage:
    return Storage(uri)
