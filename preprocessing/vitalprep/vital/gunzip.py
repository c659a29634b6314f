"""Strict gzip decompression in bounded memory. It rejects trailing bytes and stops decompression bombs early."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isal import igzip_lib

from vitalprep.runtime.errors import CaseRefused
from vitalprep.storage.stream import Arriving

__all__ = ["MOST_MEMBERS", "gunzip", "longest_file"]

GZIP_MAGIC = b"\x1f\x8b"
LAST_FLAG = b"\x1f"  # RFC 1952: reserved flags may announce unknown header fields
FIRST_INPUT, INPUT_CHUNK = 1 << 10, 1 << 18  # input left over by a member is copied, so short members get small chunks
OUTPUT_CHUNK = 1 << 20
SMALLEST_CHUNK = 1 << 16
MOST_MEMBERS = 1 << 20  # each costs two microseconds; real files have one


def gunzip(file: Arriving, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the decompressed bytes of a gzip file with one or more members, in chunks of 64 KiB to 1 MiB.

    Parameters
    ----------
    file : Arriving
        The compressed file.
    max_bytes : int
        Largest decompressed size in bytes. A file is also refused if its compressed size exceeds
        ``longest_file(max_bytes)``.

    Raises
    ------
    CaseRefused
        ``not_vital`` if the file is not gzip; ``truncated`` if the stream is incomplete; ``corrupt`` if it is damaged,
        its checksum is wrong or bytes follow the last member; ``too_large`` beyond `max_bytes` or `MOST_MEMBERS`.
    """
    begin = bytes(file.at(0, 4))
    if not begin.startswith(GZIP_MAGIC):
        what = f"begins with {begin!r}" if begin else "is empty"
        raise CaseRefused("not_vital", f"the file {what}; a .vital file is a gzip stream")
    if file.size > longest_file(max_bytes):  # empty deflate blocks could otherwise keep the reader busy for hours
        raise CaseRefused(
            "too_large", f"the file has {file.size} bytes, more than {max_bytes} decompressed bytes can occupy"
        )
    return _gathered(_decompressed(file, max_bytes))


def longest_file(max_bytes: int) -> int:
    """Return an upper bound in bytes for a gzip file that decompresses to `max_bytes`, with a wide margin."""
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
                raise CaseRefused("truncated", f"the gzip stream is incomplete; the file ends at byte {file.size}")
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
    """Join small chunks, so that many tiny gzip members do not cause per-chunk work for every byte.

    Data before a fault is yielded before the fault is raised.
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
            yield chunk  # not joined, so that its memory can be freed before the next chunk
    except CaseRefused:
        yield b"".join(waiting)
        raise
    yield b"".join(waiting)
