"""Encoded Examples equal those of the slow reference, and decoding is strict."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.design4 import encode_example, encode_feature, field, varint
from tests.tfrecord.records_drawn import FULL, SMALL, WIDTHS, assert_equal, drawn, features_of, made
from vitalprep.contract.record import Record
from vitalprep.tfrecord.example import BadExample, decode_record, encode_record, encoded_size

RECORD = made(SMALL)
DATA = encode_record(RECORD)
FEATURES = features_of(RECORD)


@settings(max_examples=100, deadline=None)
@given(record=drawn(SMALL))
def test_any_record_equals_the_reference_and_round_trips(record: Record) -> None:
    data = encode_record(record)
    assert data == encode_example(features_of(record))
    assert_equal(decode_record(data, SMALL), record)
    assert len(data) == encoded_size(
        SMALL, case_id=record.case_id, subject_id=record.subject_id, start_second=record.start_second
    )


def test_a_record_of_full_size() -> None:
    record = made(FULL)
    data = encode_record(record)
    assert data == encode_example(features_of(record))
    assert_equal(decode_record(data, FULL), record)
    # The bytes follow from the values, not from how the array lies in memory.
    turned = Record(**{**vars(record), "timeseries": np.asfortranarray(record.timeseries)})
    assert encode_record(turned) == data
    big_endian = Record(**{**vars(record), "timeseries": record.timeseries.astype(">f4")})
    assert encode_record(big_endian) == data


def test_a_negative_int64_round_trips_or_is_refused() -> None:
    """The record's integers are int64: TensorFlow reads these bytes as -5."""
    data = encode_example(features_of(made(SMALL, start_second=-5)))
    with contextlib.suppress(BadExample):
        assert decode_record(data, SMALL).start_second == -5


def test_size_without_bytes_for_every_varint_width() -> None:
    for number in WIDTHS:
        for name in ("case_id", "subject_id", "start_second"):
            numbers = {"case_id": 1, "subject_id": 1, "start_second": 0, name: number}
            assert encoded_size(SMALL, **numbers) == len(encode_example(features_of(made(SMALL, **numbers))))
    sizes = {encoded_size(FULL, case_id=a, subject_id=b, start_second=c) for a, b, c in product([5, 300], repeat=3)}
    assert len(sizes) > 1


# Strictness. Each tampering is written with the reference's encoder; none is what `encode_record` writes.


def entry(key: bytes, feature: bytes) -> bytes:
    return field(1, field(1, key) + field(2, feature))


def entries(features: dict[str, object] = FEATURES) -> list[bytes]:
    return [entry(key.encode(), encode_feature(key, features[key])) for key in sorted(features)]


def example(*parts: bytes) -> bytes:
    return field(1, b"".join(parts))


def changed(**features: object) -> bytes:
    return encode_example({key: value for key, value in {**FEATURES, **features}.items() if value is not None})


def replaced(key: str, feature: bytes) -> bytes:
    parts = entries()
    parts[sorted(FEATURES).index(key)] = entry(key.encode(), feature)
    return example(*parts)


UNPACKED = b"".join(varint(1 * 8 + 5) + struct.pack("<f", value) for value in FEATURES["static"])
TAMPERED: dict[str, bytes] = {
    "nothing": b"",
    "an Example without Features": example(),
    "two Examples": DATA + DATA,
    "bytes behind": DATA + b"\0",
    "another field behind": DATA + field(2, b"x"),
    "Features under another number": field(2, DATA[3:]),
    "keys out of order": example(*reversed(entries())),
    "two keys swapped": example(*entries()[1::-1], *entries()[2:]),
    "a key twice": example(*entries(), entries()[0]),
    "a key twice, first with another value": example(entry(b"case_id", encode_feature("", [99])), *entries()),
    "a key too many": changed(zz_extra=[1]),
    "a key too many in front": changed(a_extra=b"x"),
    "a misspelled key": changed(static=None, statics=FEATURES["static"]),
    "a key in capitals": changed(case_id=None, Case_id=FEATURES["case_id"]),
    "a key that is no text": example(*entries(), entry(b"\xff", encode_feature("", [1]))),
    "a float for an int": changed(case_id=[17.0]),
    "bytes for an int": changed(case_id=b"\x11"),
    "ints for floats": changed(static=[1, 1]),
    "bytes for floats": changed(static=bytes(8)),
    "ints for bytes": changed(static_origin=[0, 1]),
    "two ints": changed(case_id=[17, 17]),
    "no int": replaced("case_id", field(3, field(1, b""))),
    "no value at all": replaced("case_id", field(3, b"")),
    "an empty feature": replaced("case_id", b""),
    "a float too few": changed(static=FEATURES["static"][:-1]),
    "a float too many": changed(timeseries=[*FEATURES["timeseries"], 0.5]),
    "half a float": replaced("static", field(2, field(1, bytes(7)))),
    "an origin too few": changed(target_origin=b""),
    "an origin too many": changed(timeseries_origin=FEATURES["timeseries_origin"] + b"\0"),
    "two byte strings": replaced("static_origin", field(1, field(1, bytes(2)) + field(1, bytes(2)))),
    "two lists in a feature": replaced("static", field(2, field(1, bytes(8))) * 2),
    "floats that are not packed": replaced("static", field(2, UNPACKED)),
    "a varint longer than it need be": replaced("case_id", field(3, field(1, b"\x91\x00"))),
    "a varint of more than 64 bits": replaced("case_id", field(3, field(1, b"\xff" * 9 + b"\x7f"))),
    "a varint without end": replaced("case_id", field(3, field(1, b"\x91"))),
    "value before key": example(
        field(1, field(2, encode_feature("", FEATURES["case_id"])) + field(1, b"case_id")), *entries()[1:]
    ),
    "a third part in an entry": example(
        field(1, field(1, b"case_id") + field(2, encode_feature("", [17])) + field(3, b"")), *entries()[1:]
    ),
    "a length beyond the end": b"\x0a" + varint(len(DATA)) + DATA[3:],
    "a field of another wire type": b"\x08\x01",
}
TAMPERED |= {f"without {key}": changed(**{key: None}) for key in FEATURES}


@pytest.mark.parametrize("tampering", sorted(TAMPERED))
def test_other_encodings_are_refused(tampering: str) -> None:
    assert TAMPERED[tampering] != DATA
    with pytest.raises(BadExample) as caught:
        decode_record(TAMPERED[tampering], SMALL)
    assert str(caught.value)


def test_the_untampered_record_is_read() -> None:
    assert example(*entries()) == changed() == replaced("case_id", field(3, field(1, varint(17)))) == DATA
    assert_equal(decode_record(DATA, SMALL), RECORD)


@pytest.mark.parametrize("key", ["start_second", "static_origin", "timeseries"])
def test_the_message_names_the_key(key: str) -> None:
    for data in (changed(**{key: None}), replaced(key, b"")):
        with pytest.raises(BadExample, match=key):
            decode_record(data, SMALL)


def test_every_truncation_is_detected() -> None:
    for length in range(len(DATA)):
        with pytest.raises(BadExample):
            decode_record(DATA[:length], SMALL)


def test_every_flipped_bit_is_detected_or_changes_a_value() -> None:
    """A flipped bit of a value is for the frame's checksum; all else must not decode."""
    decoded = 0
    for bit in range(8 * len(DATA)):
        flipped = bytearray(DATA)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            record = decode_record(bytes(flipped), SMALL)
        except BadExample:
            continue
        decoded += 1
        assert encode_record(record) == flipped
    values = 4 * (2 + 1 + 6) + (2 + 1 + 6) + 1 + 2 + 2  # floats, origins, and the varints of 17, 300 and 5955
    assert 8 * values - 10 <= decoded <= 8 * values


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=60))
def test_random_bytes_raise_no_other_error(data: bytes) -> None:
    for read in (data, DATA[:20] + data, DATA[: -len(data) or None] + data):
        if read == DATA:
            continue
        assert_refused_or_the_same(read, lambda read=read: decode_record(read, SMALL))


def assert_refused_or_the_same(data: bytes, read: Callable[[], Record]) -> None:
    try:
        record = read()
    except BadExample:
        return
    assert encode_record(record) == data


@pytest.mark.parametrize("name", ["window", "inputs", "statics", "targets"])
def test_a_record_of_another_shape_is_not_read(name: str) -> None:
    for step in (-1, 1):
        shape = type(SMALL)(**{**vars(SMALL), name: getattr(SMALL, name) + step})
        with pytest.raises(BadExample, match="shape"):
            decode_record(DATA, shape)
