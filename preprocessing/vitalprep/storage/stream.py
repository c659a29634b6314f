"""Sequential reading of a file that is still downloading."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable

from vitalprep.runtime.errors import RetryableError

__all__ = ["Arriving"]


class Arriving:
    """Forward-only view of a file that is still downloading. It buffers only the bytes after the last offset read.

    Parameters
    ----------
    chunks : iterable of bytes
        The file in chunks of any size.
    size : int
        Size of the whole file in bytes.
    name : str
        Name to show in error messages.
    hashed : bool
        Compute the SHA-256 of the chunks as they come, which costs a second per gigabyte.

    Attributes
    ----------
    waited : float
        Seconds spent waiting for chunks.
    """

    def __init__(
        self, chunks: Iterable[bytes | memoryview], size: int, *, name: str = "the file", hashed: bool = False
    ) -> None:
        self.size = size
        self.name = name
        self.waited = 0.0
        self._chunks = iter(chunks)
        self._window = memoryview(b"")
        self._start = 0  # offset of the window in the file
        self._arrived = 0
        self._hash = hashlib.sha256() if hashed else None

    def at(self, position: int, length: int) -> memoryview:
        """Return up to `length` bytes from offset `position`; fewer only at the end of the file.

        Later calls must not ask for bytes before `position`.

        Raises
        ------
        RetryableError
            If the chunks hold fewer or more than `size` bytes.
        """
        wanted = min(position + length, self.size)
        while self._start + len(self._window) < wanted:
            chunk = self._next_chunk()
            rest = self._window[position - self._start :]
            self._start = position
            self._window = memoryview(b"".join((rest, chunk)) if len(rest) else chunk)
        return self._window[position - self._start : wanted - self._start]

    def sha256(self) -> str:
        """Consume the rest of the file, and return the SHA-256 of the whole file in hex. `at` must not be called then.

        Raises
        ------
        ValueError
            If the file was not opened with `hashed`.
        RetryableError
            If the chunks hold fewer or more than `size` bytes.
        """
        if self._hash is None:
            raise ValueError(f"{self.name} was opened without `hashed`")
        while self._arrived < self.size:
            self._next_chunk()
        self._window = memoryview(b"")
        return self._hash.hexdigest()

    def _next_chunk(self) -> bytes | memoryview:
        began = time.perf_counter()
        chunk = next(self._chunks, None)
        self.waited += time.perf_counter() - began
        if chunk is None:
            raise self._wrong_size()
        self._arrived += len(chunk)
        if self._arrived > self.size:
            raise self._wrong_size()
        if self._hash is not None:
            self._hash.update(chunk)
        return chunk

    def _wrong_size(self) -> RetryableError:
        return RetryableError(
            f"{self.name}: received {self._arrived} of {self.size} bytes.", fix="run it again: it resumes."
        )
