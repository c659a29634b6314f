"""TFRecord framing: uint64 length, its masked CRC32C, the record, its masked CRC32C (all little-endian).

The format and the mask are TensorFlow's (tensorflow/core/lib/io/record_writer.cc, tensorflow/core/lib/hash/crc32c.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import google_crc32c
import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_BYTES", "BadFrame", "framed", "masked_crc32c", "records"]

FRAME_BYTES = 16
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


class BadFrame(ValueError):  # noqa: N818  as BadGzipFile
    """The bytes are no TFRecord file; the message gives the position."""


def masked_crc32c(data: bytes | NDArray[np.uint8]) -> int:
    """Return CRC32C (Castagnoli), rotated right by 15 bits plus a constant, as TFRecord stores it."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def framed(record: bytes) -> bytes:
    """Return a record in its frame."""
    length = _LENGTH.pack(len(record))
    return length + _CRC.pack(masked_crc32c(length)) + record + _CRC.pack(masked_crc32c(record))


def records(data: bytes) -> Iterator[bytes]:
    """Yield the records of a TFRecord file's bytes, every checksum checked.

    Raises
    ------
    BadFrame
        At the first frame that is cut short or whose checksum is wrong.
    """
    position = 0
    while position < len(data):
        head = data[position : position + 12]
        if len(head) < 12:
            raise BadFrame(f"byte {position}: the file ends inside a frame's head")
        if _CRC.unpack_from(head, 8)[0] != masked_crc32c(head[:8]):
            raise BadFrame(f"byte {position}: the checksum of the length is wrong")
        length = _LENGTH.unpack(head[:8])[0]
        start, end = position + 12, position + 12 + length
        if end + 4 > len(data):
            raise BadFrame(f"byte {position}: a record of {length} bytes runs over the end of the file")
        record = data[start:end]
        if _CRC.unpack_from(data, end)[0] != masked_crc32c(record):
            raise BadFrame(f"byte {position}: the checksum of the record is wrong")
        yield record
        position = end + 4
