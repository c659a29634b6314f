"""A file that is read while the rest of it is still on its way."""

from __future__ import annotations

import time
from collections.abc import Iterable

from isal import isal_zlib

from vitalprep.runtime.errors import RetryableError

__all__ = ["Arriving"]


class Arriving:
    """The bytes of a file, of which no more is held than lies between the last place asked for and what has come.

    Parameters
    ----------
    chunks : iterable of bytes
        The file in pieces of any size.
    size : int
        Bytes in the whole file.
    name : str
        What to call it in an error.

    Attributes
    ----------
    waited : float
        Seconds spent on getting the pieces.
    """

    def __init__(self, chunks: Iterable[bytes | memoryview], size: int, *, name: str = "the file") -> None:
        self.size = size
        self.name = name
        self.waited = 0.0
        self._chunks = iter(chunks)
        self._window = memoryview(b"")
        self._start = 0  # of the window, in the file
        self._arrived = 0
        self._crc = 0

    def at(self, position: int, length: int) -> memoryview:
        """Return up to `length` bytes from `position` on, fewer only at the end of the file.

        Nothing before `position` can be asked for again.

        Raises
        ------
        RetryableError
            If less than `size` bytes come, or more.
        """
        wanted = min(position + length, self.size)
        while self._start + len(self._window) < wanted:
            chunk = self._next_chunk()
            rest = self._window[position - self._start :]
            self._start = position
            self._window = memoryview(b"".join((rest, chunk)) if len(rest) else chunk)
        return self._window[position - self._start : wanted - self._start]

    def checksum(self) -> int:
        """Take in what is left, and return the CRC32 of the whole file. Nothing of it can be asked for afterwards.

        Raises
        ------
        RetryableError
            If less than `size` bytes come, or more.
        """
        while self._arrived < self.size:
            self._next_chunk()
        self._window = memoryview(b"")
        return self._crc

    def _next_chunk(self) -> bytes | memoryview:
        began = time.perf_counter()
        chunk = next(self._chunks, None)
        self.waited += time.perf_counter() - began
        if chunk is None:
            raise self._wrong_size()
        self._arrived += len(chunk)
        if self._arrived > self.size:
            raise self._wrong_size()
        self._crc = isal_zlib.crc32(chunk, self._crc)
        return chunk

    def _wrong_size(self) -> RetryableError:
        return RetryableError(f"{self.name}: {self._arrived} of {self.size} bytes arrived.", fix="retry.")
