"""TFRecord framing: uint64 length, its masked CRC32C, the record, its masked CRC32C (all little-endian).

The format and the mask are TensorFlow's (tensorflow/core/lib/io/record_writer.cc, tensorflow/core/lib/hash/crc32c.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import google_crc32c
import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_BYTES", "BadFrame", "framed", "masked_crc32c", "records"]

FRAME_BYTES = 16
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEAD = _LENGTH.size + _CRC.size
_MASK_DELTA = 0xA282EAD8
LONGEST_RECORD = 1 << 26  # bytes; a window of an hour has 0.3 MB


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


def records(blocks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the records of a TFRecord file, every checksum checked.

    Parameters
    ----------
    blocks : iterable of bytes
        The file in pieces of any size, of which one is held at a time.

    Raises
    ------
    BadFrame
        At the first frame that is cut short or too long, or whose checksum is wrong.
    """
    data = b""
    offset = 0  # of `data` in the file
    for block in blocks:
        data += block
        position = 0
        while (end := _frame_end(data, position, offset)) <= len(data):
            record = data[position + _HEAD : end - _CRC.size]
            if _CRC.unpack_from(data, end - _CRC.size)[0] != masked_crc32c(record):
                raise BadFrame(f"byte {offset + position}: the checksum of the record is wrong")
            yield record
            position = end
        data = data[position:]
        offset += position
    if len(data) >= _HEAD:
        length = _LENGTH.unpack_from(data)[0]
        raise BadFrame(f"byte {offset}: a record of {length} bytes runs over the end of the file")
    if data:
        raise BadFrame(f"byte {offset}: the file ends inside a frame's head")


def _frame_end(data: bytes, position: int, offset: int) -> int:
    """Return where the frame at `position` ends, or where its head does, if that is not there whole."""
    head = data[position : position + _HEAD]
    if len(head) < _HEAD:
        return position + _HEAD
    if _CRC.unpack_from(head, _LENGTH.size)[0] != masked_crc32c(head[: _LENGTH.size]):
        raise BadFrame(f"byte {offset + position}: the checksum of the length is wrong")
    length: int = _LENGTH.unpack_from(head)[0]
    if length > LONGEST_RECORD:
        raise BadFrame(f"byte {offset + position}: a record of {length} bytes is longer than any of a data set")
    return position + FRAME_BYTES + length
