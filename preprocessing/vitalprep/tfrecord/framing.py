"""TFRecord framing: uint64 length, its masked CRC32C, the record, its masked CRC32C (all little-endian).

Format and mask: tensorflow/core/lib/io/record_writer.cc and tensorflow/core/lib/hash/crc32c.h.
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
LONGEST_RECORD = 1 << 26  # bytes; a window of one hour takes 0.3 MB


class BadFrame(ValueError):  # noqa: N818  as BadGzipFile
    """The bytes are not a valid TFRecord file; the message gives the position."""


def masked_crc32c(data: bytes | NDArray[np.uint8]) -> int:
    """Return the CRC32C (Castagnoli) as TFRecord stores it: rotated right by 15 bits, plus 0xA282EAD8, modulo 2^32."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def framed(record: bytes) -> bytes:
    """Return a record with its frame, `FRAME_BYTES` longer."""
    length = _LENGTH.pack(len(record))
    return length + _CRC.pack(masked_crc32c(length)) + record + _CRC.pack(masked_crc32c(record))


def records(blocks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the records of a TFRecord file, after verifying their checksums.

    Parameters
    ----------
    blocks : iterable of bytes
        The file in chunks of any size. Only one chunk is in memory at a time.

    Raises
    ------
    BadFrame
        At the first frame that is truncated, longer than `LONGEST_RECORD`, or has a wrong checksum.
    """
    data = b""
    offset = 0  # position of `data` in the file
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
        raise BadFrame(f"byte {offset}: the file ends inside a record of {length} bytes")
    if data:
        raise BadFrame(f"byte {offset}: the file ends inside a frame header")


def _frame_end(data: bytes, position: int, offset: int) -> int:
    """Return the end of the frame at `position`, or the end of its header if the header is still incomplete."""
    head = data[position : position + _HEAD]
    if len(head) < _HEAD:
        return position + _HEAD
    if _CRC.unpack_from(head, _LENGTH.size)[0] != masked_crc32c(head[: _LENGTH.size]):
        raise BadFrame(f"byte {offset + position}: the checksum of the length is wrong")
    length: int = _LENGTH.unpack_from(head)[0]
    if length > LONGEST_RECORD:
        raise BadFrame(
            f"byte {offset + position}: a record of {length} bytes is longer than the limit of {LONGEST_RECORD}"
        )
    return position + FRAME_BYTES + length
