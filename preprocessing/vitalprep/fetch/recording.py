"""Downloads one recording. Only a file that the strict reader accepts is stored."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO, Literal

from vitalprep.contract.config import MOST_DAYS, Reading
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
    """Everything that a worker process needs to fetch one recording.

    `remote` is the path below `base_url`, `path` the path below `output`. `there` is the size in bytes of an existing
    file at that path, or None.
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
    """The outcome for one recording; `detail` gives the reason of a failure.

    `present`: it already exists and is intact. `missing`: the service does not have it. `denied`: the service denies
    access. `refused`: the download is not a valid recording. `failed`: a fault persisted after all retries.
    """

    outcome: Literal["present", "fetched", "missing", "denied", "refused", "failed"]
    size: int = 0
    detail: str = ""


def fetch_recording(task: FetchTask) -> Fetched:
    """Download a recording into a temporary file, validate it with the strict reader, then store it.

    A recording is refused only if two downloads gave the same bytes. An existing file is validated in the same way, and
    downloaded again only if it is damaged.

    Raises
    ------
    UsageError
        If the output cannot be read or written (permissions), or the environment's proxy is not a valid URL.
    RetryableError
        If a transient fault prevents reading or writing the output.
    """
    if task.there is not None and _is_whole(task, task.there):
        return Fetched("present")
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
    except RefusedError as error:  # the file is too large
        return Fetched("refused", detail=error.message)
    except _DownloadFailed as failure:
        return Fetched("failed", detail=failure.error.message)
    except OSError as error:
        raise RetryableError(
            f"Could not buffer case {task.case_id} in the folder for temporary files: {error.strerror}.",
            fix="free space there or set TMPDIR to another folder, then run it again: it resumes.",
        ) from error


def _is_whole(task: FetchTask, size: int) -> bool:
    try:
        read_vital(lambda: _storage(task.output).arriving(task.path, size=size), reading=_any_whole(task))
    except (CaseRefused, ObjectMissing) as refusal:
        log(f"{task.path} is missing or damaged, downloading it again: {refusal}", case_id=task.case_id)
        return False
    return True


def _any_whole(task: FetchTask) -> Reading:
    """Accept every whole recording: how long it lasts and what its clock says is judged where it is used."""
    return Reading(max_decompressed_bytes=task.max_bytes, max_days=MOST_DAYS)


class _DownloadFailed(Exception):  # noqa: N818  ends one recording, not the run
    def __init__(self, error: RetryableError) -> None:
        super().__init__(error.message)
        self.error = error


def _checked_download(task: FetchTask, file: IO[bytes]) -> CaseRefused | None:
    """Download into `file`. Return None if it is a valid recording, otherwise the reason why it is not."""
    seen: set[bytes] = set()
    for _ in range(READINGS):
        try:
            download(task.base_url, task.remote, file, most=longest_file(task.max_bytes))
        except RetryableError as error:
            raise _DownloadFailed(error) from error
        try:
            read_vital(lambda: Arriving(_pieces(file), file.seek(0, 2)), reading=_any_whole(task))
        except CaseRefused as refusal:
            digest = _sha256(file)
            if digest in seen:
                return refusal
            seen.add(digest)
            log(f"case {task.case_id} is downloaded again before it is refused, {refusal}", case_id=task.case_id)
            continue
        return None
    raise _DownloadFailed(
        RetryableError(f"{READINGS} downloads of {task.remote} all differ.", fix="check the network.")
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
