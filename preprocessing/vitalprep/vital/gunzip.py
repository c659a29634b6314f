"""Decompression in bounded memory: every byte of the gzip stream is accounted for, and a bomb is stopped early."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isal import igzip_lib

from vitalprep.runtime.errors import CaseRefused
from vitalprep.storage.stream import Arriving

__all__ = ["MOST_MEMBERS", "gunzip", "longest_file"]

GZIP_MAGIC = b"\x1f\x8b"
LAST_FLAG = b"\x1f"  # RFC 1952: with others set, what follows the header cannot be known
FIRST_INPUT, INPUT_CHUNK = 1 << 10, 1 << 18  # what a member leaves of its last input is copied: small ones get little
OUTPUT_CHUNK = 1 << 20
SMALLEST_CHUNK = 1 << 16
MOST_MEMBERS = 1 << 20  # each takes two microseconds, however short it is; real files have one


def gunzip(file: Arriving, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the decompressed bytes of a gzip file of one or several members, 64 KiB to 1 MiB at a time.

    Parameters
    ----------
    file : Arriving
        The compressed file.
    max_bytes : int
        Refuse a file that decompresses to more, or that is itself longer than so many bytes can take.

    Raises
    ------
    CaseRefused
        ``not_vital`` if it is no gzip; ``truncated`` if the stream does not end; ``corrupt`` if it is damaged, its
        checksum is wrong or bytes follow the last member; ``too_large`` beyond `max_bytes` or `MOST_MEMBERS`.
    """
    begin = bytes(file.at(0, 4))
    if not begin.startswith(GZIP_MAGIC):
        what = f"begins with {begin!r}" if begin else "is empty"
        raise CaseRefused("not_vital", f"the file {what}; a .vital file is a gzip stream")
    if file.size > longest_file(max_bytes):  # blocks of nothing decompress to nothing, for hours
        raise CaseRefused("too_large", f"the file has {file.size} bytes, more than {max_bytes} bytes can compress to")
    return _gathered(_decompressed(file, max_bytes))


def longest_file(max_bytes: int) -> int:
    """Return how long a gzip file that decompresses to `max_bytes` can be, by a wide margin."""
    return max_bytes + (max_bytes >> 7) + OUTPUT_CHUNK


def _decompressed(file: Arriving, max_bytes: int) -> Iterator[bytes]:
    total = position = members = 0
    while position < file.size:
        head = bytes(file.at(position, 4))
        if not head.startswith(GZIP_MAGIC):
            raise CaseRefused(
                "corrupt", f"{file.size - position} bytes follow the gzip stream at compressed byte {position}"
            )
        if head[3:] > LAST_FLAG:
            raise CaseRefused("corrupt", f"the gzip member at compressed byte {position} has unknown flags {head[3]}")
        members += 1
        if members > MOST_MEMBERS:
            raise CaseRefused("too_large", f"the file has more than {MOST_MEMBERS} gzip members")
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        size = FIRST_INPUT
        while not member.eof:
            block = file.at(position, size) if member.needs_input else b""
            if member.needs_input and not block:
                raise CaseRefused("truncated", f"the gzip stream does not end; the file stops at byte {file.size}")
            position += len(block)
            size = min(4 * size, INPUT_CHUNK)
            try:
                chunk = member.decompress(block, OUTPUT_CHUNK)
            except igzip_lib.IsalError as error:  # type: ignore[misc]
                raise CaseRefused(
                    "corrupt", f"the gzip stream is damaged at or before compressed byte {position} ({error})"
                ) from error
            total += len(chunk)
            if total > max_bytes:
                raise CaseRefused("too_large", f"the file decompresses to more than {max_bytes} bytes")
            yield chunk
        position -= len(member.unused_data)


def _gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join small chunks: what is done once a chunk must not be done once a byte, as members of one byte would have it.

    What came before a fault is handed on before the fault.
    """
    waiting: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            size += len(chunk)
            if size < SMALLEST_CHUNK:
                waiting.append(chunk)
                continue
            if waiting:
                yield b"".join(waiting)
            waiting, size = [], 0
            yield chunk  # at once, so that its memory is free for the next
    except CaseRefused:
        yield b"".join(waiting)
        raise
    yield b"".join(waiting)
