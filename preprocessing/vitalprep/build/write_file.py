"""Writes one TFRecord file: reads the harmonized tables of its cases, streams framed records to storage."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import FileSummary
from vitalprep.record_files.content import FileFacts, FileTask, parts_of
from vitalprep.storage import Storage, Writer

__all__ = ["WrittenFile", "write_file"]

BLOCK = 4 * 1024 * 1024  # bytes of frames hashed and written together
GZIP_WINDOW_BITS = 31  # zlib's code for a gzip wrapper; its header has no time and no name, so bytes are reproducible


@dataclass(frozen=True)
class WrittenFile:
    """A file's summary, and what it holds."""

    summary: FileSummary
    facts: FileFacts


def write_file(task: FileTask) -> WrittenFile:
    """Write one file, part by part. The write is atomic."""
    output = Storage(task.output)
    facts = FileFacts()
    with output.writer(task.path) as writer:
        target = _Target(writer, compress=task.config.output.compression == "gzip")
        for part in parts_of(task, output, facts):
            for window in part.order:
                part.put(window, target.room(part.size(window)))
            target.end_part()
    return WrittenFile(target.summary(task.file.name), facts)


class _Target:
    """Counts, hashes and writes the bytes of a file. With `compress`, every part is a separate gzip member."""

    def __init__(self, writer: Writer, *, compress: bool) -> None:
        self._writer = writer
        self._compress = compress
        self._member = self._new_member()
        self._hash = hashlib.sha256()
        self._block = np.empty(BLOCK, dtype=np.uint8)
        self._filled = 0
        self.windows = self.bytes = self.window_bytes = 0

    def room(self, size: int) -> NDArray[np.uint8]:
        """Return a writable uint8 array of shape (size,) for the next frame."""
        if self._filled + size > len(self._block):
            self._flush(at_least=size)
        self.windows += 1
        self.window_bytes += size
        start, self._filled = self._filled, self._filled + size
        return self._block[start : self._filled]

    def end_part(self) -> None:
        self._flush()
        if self._member:
            self._append(self._member.flush())
            self._member = self._new_member()

    def summary(self, name: str) -> FileSummary:
        return FileSummary(
            name=name,
            windows=self.windows,
            bytes=self.bytes,
            window_bytes=self.window_bytes,
            sha256=self._hash.hexdigest(),
        )

    def _new_member(self) -> zlib._Compress | None:
        return zlib.compressobj(6, zlib.DEFLATED, GZIP_WINDOW_BITS) if self._compress else None

    def _flush(self, *, at_least: int = 0) -> None:
        data = self._block[: self._filled].tobytes()
        self._filled = 0
        self._append(self._member.compress(data) if self._member else data)
        if at_least > len(self._block):
            self._block = np.empty(at_least, dtype=np.uint8)

    def _append(self, data: bytes) -> None:
        self._hash.update(data)
        self.bytes += len(data)
        self._writer.write(data)
