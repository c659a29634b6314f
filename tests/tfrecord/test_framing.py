"""TFRecord framing equals that of the slow reference, and all damage is detected."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import design4
from vitalprep.tfrecord.framing import FRAME_BYTES, BadFrame, framed, masked_crc32c, records

THREE = [b"first record", b"", bytes(range(40))]
FILE = b"".join(map(framed, THREE))
EDGES = {0: 0, 28: 1, 44: 2, 100: 3}  # position -> whole records before it
DAMAGED = FILE[:60] + b"?" + FILE[61:]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_frame_and_checksum_equal_the_reference(data: bytes) -> None:
    assert framed(data) == design4.frame(data)
    assert masked_crc32c(data) == design4.masked_crc32c(data)
    assert len(framed(data)) == len(data) + FRAME_BYTES


def test_known_checksums() -> None:
    assert masked_crc32c(b"123456789") == 0xC78AB0E5
    # RFC 3720, B.4: CRC32C of 32 zeros is 8a9136aa
    assert masked_crc32c(bytes(32)) == ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) % 2**32


@settings(max_examples=50, deadline=None)
@given(written=st.lists(st.binary(max_size=50), max_size=6))
def test_framed_records_round_trip(written: list[bytes]) -> None:
    assert list(records([b"".join(map(framed, written))])) == written


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 80))
def test_chunks_of_any_size_give_the_same_records(size: int) -> None:
    assert list(records(FILE[start : start + size] for start in range(0, len(FILE), size))) == THREE
    stream = records(DAMAGED[start : start + size] for start in range(0, len(DAMAGED), size))
    assert [next(stream), next(stream)] == THREE[:2]
    with pytest.raises(BadFrame, match=r"byte 44\b"):
        next(stream)


def test_every_truncation_is_detected_except_between_records() -> None:
    for length in range(len(FILE)):
        if length in EDGES:
            assert list(records([FILE[:length]])) == THREE[: EDGES[length]]
        else:
            assert_bad(FILE[:length])


def test_every_flipped_bit_is_detected() -> None:
    for bit in range(8 * len(FILE)):
        flipped = bytearray(FILE)
        flipped[bit // 8] ^= 1 << bit % 8
        assert_bad(bytes(flipped))


def test_extra_bytes_between_and_after_records_are_detected() -> None:
    for damaged in (FILE + b"\0", FILE + bytes(11), FILE + bytes(12), FILE + bytes(16), b"\0" + FILE, FILE[1:]):
        assert_bad(damaged)


def test_a_length_beyond_the_file_with_a_right_checksum() -> None:
    for length in (1, 2**31, 2**63, 2**64 - 1):
        head = struct.pack("<Q", length)
        assert_bad(FILE + head + struct.pack("<I", design4.masked_crc32c(head)) + bytes(4))


def test_records_before_damage_are_read_and_the_error_has_its_position() -> None:
    stream = records([DAMAGED])
    assert [next(stream), next(stream)] == THREE[:2]
    with pytest.raises(BadFrame, match=r"byte 44\b"):
        next(stream)


def assert_bad(data: bytes) -> None:
    with pytest.raises(BadFrame) as caught:
        list(records([data]))
    assert re.search(r"\bbyte \d+", str(caught.value))
