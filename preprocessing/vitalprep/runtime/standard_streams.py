"""Standard output and error that may be closed, full or a pipe whose reader has left."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO

from vitalprep.runtime.errors import RetryableError

__all__ = ["secure_standard_streams"]

_LOST = "write to a file or pipe that takes it, then run it again: finished work is not repeated."


def secure_standard_streams() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams on which no write ends in a traceback.

    A result that stdout does not take is a `RetryableError`, raised once; what follows is discarded. What stderr does
    not take is discarded: exit code and JSON result still tell a failure. Closed descriptors are opened on the null
    device, so that no other file takes their numbers.
    """
    for descriptor in (0, 1, 2):
        _open_if_closed(descriptor)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Standard(1, is_result=True), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Standard(2, is_result=False), sys.stderr)


class _Standard(io.FileIO):
    """The bytes of stdout or stderr."""

    def __init__(self, descriptor: int, *, is_result: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._is_result = is_result
        self._lost = False

    def write(self, data: object, /) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]  # typeshed's Buffer has no name in Python 3.11
        if self._lost:
            return size
        try:
            return super().write(data) or 0  # type: ignore[arg-type]
        except OSError as error:
            self._lost = True
            if not self._is_result:
                return size
            reason = "it is closed" if error.errno == errno.EBADF else os.strerror(error.errno or 0)
            raise RetryableError(f"The result could not be written to stdout ({reason}).", fix=_LOST) from error


def _open_if_closed(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        # In the wrong direction, so that a write to stdout is an error, as to a closed one.
        null = os.open(os.devnull, os.O_WRONLY if descriptor in (0, 2) else os.O_RDONLY)
        os.set_inheritable(null, True)


def _text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    encoding = before.encoding if before else "utf-8"
    buffered = io.BufferedWriter(raw)
    lines = raw.isatty() or raw.fileno() == 2
    return io.TextIOWrapper(buffered, encoding=encoding, errors="backslashreplace", line_buffering=lines)
