"""Validates one TFRecord file: reads every record back, checks its values, and holds it against its table."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import FileSummary
from vitalprep.contract.config import Config
from vitalprep.contract.record import Record, record_shape
from vitalprep.features.impute import DEFAULT
from vitalprep.features.normalize import normalize
from vitalprep.record_files.content import FileFacts, FileTask
from vitalprep.storage import READ_CHUNK, ObjectMissing, Storage
from vitalprep.storage.stream import Arriving
from vitalprep.tfrecord.example import BadExample
from vitalprep.tfrecord.framing import BadFrame, records
from vitalprep.tfrecord.reader import RecordReader
from vitalprep.validate.recomputed import Recomputed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["FileFindings", "ValidateTask", "validate_file"]

BLOCK = READ_CHUNK  # bytes of a file read at a time
TOGETHER = 256  # records whose targets and statics are checked together
MOST_PROBLEMS = 5  # limit per file: every record may be wrong, the first few suffice


@dataclass(frozen=True)
class ValidateTask:
    """One file to validate.

    `summary` is the build's description of it; `path` is its path below `output`. `built_from` is what tables and plan
    give for it, None if that is not known.
    """

    summary: FileSummary
    path: str
    config: Config
    output: str
    built_from: FileTask | None


@dataclass(frozen=True)
class FileFindings:
    """The result of reading one file.

    Attributes
    ----------
    windows : ndarray of int64, shape (records, 3)
        case_id, start_second and subject_id of each record, in file order.
    problems : tuple of (str, str)
        Name of the failed check, and the place; at most five per file.
    sha256 : str or None
        SHA-256 of the file as it was read, in hex; None if it is missing.
    facts : FileFacts or None
        What the file holds according to its tables; None where they were not all read.
    replayed : int
        Windows that were computed again from what was known at their target.
    """

    windows: NDArray[np.int64]
    problems: tuple[tuple[str, str], ...]
    sha256: str | None = None
    facts: FileFacts | None = None
    replayed: int = 0


def validate_file(task: ValidateTask) -> FileFindings:
    """Check a file's digest, frames, keys, shapes, values and origins, and return the windows in it.

    Every record is computed anew from its case's table, and has to have the same bytes. A file with problems is read a
    second time, to rule out transfer faults.
    """
    findings = _findings(task)
    return _findings(task) if findings.problems else findings


def _findings(task: ValidateTask) -> FileFindings:
    name = task.summary.name
    none = np.empty((0, 3), dtype=np.int64)
    output = Storage(task.output)
    try:
        file = _Sequential(output.arriving(task.path, hashed=True))
    except ObjectMissing:
        return FileFindings(none, (("files", f"{name} is missing"),))
    problems: list[tuple[str, str]] = []
    windows: list[tuple[int, int, int]] = []
    check = _RecordCheck(task.config)
    recomputed = Recomputed(task.built_from, output, check.reader)
    blocks = file.decompressed() if task.config.output.compression == "gzip" else file.blocks()
    try:
        for index, encoded in enumerate(records(blocks)):
            record = check.reader.read(encoded)
            windows.append((record.case_id, record.start_second, record.subject_id))
            problems += [("values", f"{name}, {problem}") for problem in check.problems(index, record)]
            problems += [
                (check_name, f"{name}, {problem}") for check_name, problem in recomputed.problems(index, encoded)
            ]
            if len(problems) >= MOST_PROBLEMS:
                break
    except (BadFrame, BadExample, gzip.BadGzipFile, EOFError, zlib.error) as error:
        problems.append(("records", f"{name}, record {len(windows)}: {error}"))
    problems += [("values", f"{name}, {problem}") for problem in check.rest()]
    sha256 = file.sha256()
    if file.size != task.summary.bytes or sha256 != task.summary.sha256:
        problems.insert(0, ("files", f"{name} differs from the file that was built (size or SHA-256)"))
    if not problems:
        problems += [(failed, f"{name}, {problem}") for failed, problem in recomputed.rest()]
    if not problems and len(windows) != task.summary.windows:
        problems.append(("counts", f"{name} holds {len(windows)} records, but build wrote {task.summary.windows}"))
    found = np.array(windows, dtype=np.int64) if windows else none
    return FileFindings(found, tuple(problems[:MOST_PROBLEMS]), sha256, recomputed.facts, recomputed.replays.count)


class _Sequential(io.RawIOBase):
    """A file that is read once from start to end."""

    def __init__(self, file: Arriving) -> None:
        self.size = file.size
        self._file = file
        self._position = 0

    def blocks(self) -> Iterator[memoryview]:
        """Yield the rest of the file."""
        while block := self._next(BLOCK):
            yield block

    def decompressed(self) -> Iterator[bytes]:
        """Yield the rest of a gzip file, decompressed."""
        with gzip.GzipFile(fileobj=io.BufferedReader(self, BLOCK)) as source:
            while block := source.read(BLOCK):
                yield block

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        space = memoryview(buffer)
        block = self._next(len(space))
        space[: len(block)] = block
        return len(block)

    def sha256(self) -> str:
        """Read the rest, and return the SHA-256 of the whole file in hex."""
        return self._file.sha256()

    def _next(self, size: int) -> memoryview:
        block = self._file.at(self._position, size)
        self._position += len(block)
        return block


class _RecordCheck:
    """Checks a record's values: finite, in [-1, 1], with known origin codes, and defaults where the origin says so."""

    def __init__(self, config: Config) -> None:
        shape = record_shape(config)
        self.reader = RecordReader(shape)
        by_name = {item.name: normalize(item.default, item.range) for item in config.inputs}
        series = np.array([by_name[item.name] for item in config.inputs])
        self._series = np.tile(series, (shape.window, 1))
        self._targets = np.array([by_name[target.input] for target in config.targets])
        self._statics = np.array([normalize(item.default, item.range) for item in config.statics])
        self._waiting: list[tuple[int, Record]] = []

    def problems(self, index: int, record: Record) -> list[str]:
        """Check a record's series now, and its targets and statics in batches: a batch costs as much as one record."""
        found = _problems("timeseries", record.timeseries, record.timeseries_origin, self._series)
        self._waiting.append((index, record))
        named = [_named(index, record, problem) for problem in found]
        return named + self.rest() if len(self._waiting) == TOGETHER else named

    def rest(self) -> list[str]:
        """Check the targets and statics of the records in the current batch."""
        waiting, self._waiting = self._waiting, []
        if not waiting or not self._small_problems([record for _, record in waiting]):
            return []
        return [_named(index, record, text) for index, record in waiting for text in self._small_problems([record])]

    def _small_problems(self, records: list[Record]) -> list[str]:
        count = len(records)
        targets = np.concatenate([record.target for record in records]).reshape(count, -1)
        target_origins = np.concatenate([record.target_origin for record in records]).reshape(count, -1)
        statics = np.concatenate([record.static for record in records]).reshape(count, -1)
        static_origins = np.concatenate([record.static_origin for record in records]).reshape(count, -1)
        return [
            *_problems("target", targets, target_origins, self._targets),
            *_problems("static", statics, static_origins, self._statics),
        ]


def _named(index: int, record: Record, problem: str) -> str:
    return f"record {index} (case {record.case_id}): {problem}"


def _problems(
    name: str, values: NDArray[np.float32], origin: NDArray[np.uint8], defaults: NDArray[np.float32]
) -> list[str]:
    found = []
    if not (values.min() >= -1 and values.max() <= 1):  # also true if there is a NaN
        found.append(f"{name} is not within [-1, 1]")
    if origin.max() > DEFAULT:
        found.append(f"{name}_origin holds a code above {DEFAULT}")
    if ((values != defaults) & (origin == DEFAULT)).any():
        found.append(f"{name} differs from the default although its origin is default")
    return found
