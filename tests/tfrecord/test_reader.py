"""The fast reader gives the same records and errors as `decode_record`, on any bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tfrecord.records_drawn import FULL, SMALL, WIDTHS, assert_equal, drawn, made
from tests.tfrecord.test_example import DATA, TAMPERED
from vitalprep.contract.record import Record
from vitalprep.tfrecord.example import BadExample, decode_record, encode_record
from vitalprep.tfrecord.reader import RecordReader

READER = RecordReader(SMALL)


def outcome(read: Callable[[bytes], Record], data: bytes) -> Record | str:
    try:
        return read(data)
    except BadExample as error:
        return str(error)


def assert_agrees(data: bytes) -> None:
    wanted, found = outcome(lambda given: decode_record(given, SMALL), data), outcome(READER.read, data)
    if isinstance(wanted, str) or isinstance(found, str):
        assert found == wanted
    else:
        assert_equal(found, wanted)


@settings(max_examples=100, deadline=None)
@given(record=drawn(SMALL))
def test_any_record_round_trips(record: Record) -> None:
    data = encode_record(record)
    assert_equal(READER.read(data), record)
    assert_agrees(data)


def test_records_of_every_varint_width_round_trip() -> None:
    reader = RecordReader(FULL)
    for number in (*WIDTHS, -1, -5):
        for name in ("case_id", "subject_id", "start_second"):
            record = made(FULL, **{name: number})
            assert_equal(reader.read(encode_record(record)), record)


@pytest.mark.parametrize("tampering", sorted(TAMPERED))
def test_tampered_records_give_the_same_error(tampering: str) -> None:
    assert_agrees(TAMPERED[tampering])
    with pytest.raises(BadExample):
        READER.read(TAMPERED[tampering])


def test_every_cut_and_every_flipped_bit_agrees() -> None:
    for length in range(len(DATA)):
        assert_agrees(DATA[:length])
    for bit in range(8 * len(DATA)):
        flipped = bytearray(DATA)
        flipped[bit // 8] ^= 1 << bit % 8
        assert_agrees(bytes(flipped))


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=60), at=st.integers(0, len(DATA)), other=st.integers(0, len(DATA)))
def test_noise_agrees(data: bytes, at: int, other: int) -> None:
    for noisy in (data, DATA[:at] + data + DATA[at + len(data) :], DATA[:at] + data + DATA[other:]):
        assert_agrees(noisy)
