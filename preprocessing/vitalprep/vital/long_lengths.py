"""Files whose numbers have 8 bytes where the format has 4.

The Python package vitaldb wrote such files on 64-bit Linux (https://github.com/vitaldb/vitalutils, commit 3ddda36).
"""

from __future__ import annotations

import struct

__all__ = ["BEGIN", "long_lengths"]

BEGIN = 64  # bytes of the decompressed file that tell
HEADER_AT = 14  # after VITA, the version in 8 bytes, and the header's length
LONGER = 8  # two numbers of the header have 8 bytes, too
HEADER_PACKETS = (0, 9)
LONGEST = 1 << 16
_PACKET = struct.Struct("<bQ")


def long_lengths(begin: bytes) -> str | None:
    """Return what is wrong with such a file, by its first bytes; None for any other file."""
    if len(begin) < HEADER_AT or begin[8:12] != bytes(4):
        return None
    packet = HEADER_AT + int.from_bytes(begin[HEADER_AT - 2 : HEADER_AT], "little") + LONGER
    if packet + _PACKET.size > len(begin):
        return None
    kind, length = _PACKET.unpack_from(begin, packet)
    if kind not in HEADER_PACKETS or not 0 < length <= LONGEST:
        return None
    return (
        "its lengths have 8 bytes instead of 4, as the Python package vitaldb wrote them on 64-bit Linux before "
        "version 1.5; write the file again with a newer version of it"
    )
