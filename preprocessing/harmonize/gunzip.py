"""Decompression in bounded memory: every byte of the gzip stream is accounted for, and a bomb is stopped early."""

from __future__ import annotations

from collections.abc import Iterator

from isal import igzip_lib

from preprocessing.arriving import Arriving
from preprocessing.errors import CaseRefused

__all__ = ["gunzip"]

GZIP_MAGIC = b"\x1f\x8b"
INPUT_CHUNK = 1 << 18
OUTPUT_CHUNK = 1 << 20


def gunzip(file: Arriving, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the decompressed bytes of a gzip file of one or several members, at most 1 MiB at a time.

    Parameters
    ----------
    file : Arriving
        The compressed file.
    max_bytes : int
        Refuse a file that decompresses to more.

    Raises
    ------
    CaseRefused
        ``not_vital`` if it is no gzip; ``truncated`` if the stream does not end; ``corrupt`` if it is damaged, its
        checksum is wrong or bytes follow the last member; ``too_large`` beyond `max_bytes`.
    """
    begin = bytes(file.at(0, 4))
    if not begin.startswith(GZIP_MAGIC):
        what = f"begins with {begin!r}" if begin else "is empty"
        raise CaseRefused("not_vital", f"the file {what}; a .vital file is a gzip stream")
    total = 0
    position = 0
    while position < file.size:
        if file.at(position, len(GZIP_MAGIC)) != GZIP_MAGIC:
            raise CaseRefused(
                "corrupt", f"{file.size - position} bytes follow the gzip stream at compressed byte {position}"
            )
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not member.eof:
            block = file.at(position, INPUT_CHUNK) if member.needs_input else b""
            if member.needs_input and not block:
                raise CaseRefused("truncated", f"the gzip stream does not end; the file stops at byte {file.size}")
            position += len(block)
            try:
                chunk = member.decompress(block, OUTPUT_CHUNK)
            except igzip_lib.IsalError as error:  # type: ignore[misc]
                raise CaseRefused(
                    "corrupt", f"the gzip stream is damaged at or before compressed byte {position} ({error})"
                ) from error
            total += len(chunk)
            if total > max_bytes:
                raise CaseRefused("too_large", f"the file decompresses to more than {max_bytes} bytes")
            if chunk:
                yield chunk
        position -= len(member.unused_data)
