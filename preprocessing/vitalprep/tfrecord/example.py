"""Deterministic encoding and strict decoding of `tf.train.Example`, without TensorFlow.

An Example is a protocol buffer: Example{1: Features{1: map entry {1: key, 2: Feature}}}, where a Feature is one of
{1: BytesList{1: bytes}}, {2: FloatList{1: packed float32}}, {3: Int64List{1: packed varints}}
(tensorflow/core/example/example.proto and feature.proto). Keys are in alphabetical order (docs/design.md, 4).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.record import Record, RecordShape

__all__ = [
    "BadExample",
    "Places",
            "decode_record",
    "encode_record",
    "encoded_size",
    "payload_places",
    "read_int64",
        "varint",
]  # fmt: skip

_LENGTH_DELIMITED = 2
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


class BadExample(ValueError):  # noqa: N818  as BadGzipFile
    """The bytes are not a record of this data set; the message says where they differ."""


Places: TypeAlias = dict[str, slice]
"""Key -> position of its payload (a varint, packed floats or bytes) in the record's bytes."""


def encode_record(record: Record) -> bytes:
    """Return the record as a serialized Example. Equal records give equal bytes."""
    return _field(1, b"".join(entry for _, entry, _ in _entries(record)))


def payload_places(record: Record) -> Places:
    """Return the position of each payload in the bytes of `encode_record`. A payload is always the end of its entry."""
    entries = _entries(record)
    body = sum(len(entry) for _, entry, _ in entries)
    end = len(_field(1, bytes(body))) - body
    places = {}
    for key, entry, size in entries:
        end += len(entry)
        places[key] = slice(end - size, end)
    return places


def _entries(record: Record) -> list[tuple[str, bytes, int]]:
    """Return (key, entry, payload size in bytes) in the fixed order."""
    integers = {"case_id": record.case_id, "start_second": record.start_second, "subject_id": record.subject_id}
    floats = {"static": record.static, "target": record.target, "timeseries": record.timeseries}
    origins = {
        "static_origin": record.static_origin,
        "target_origin": record.target_origin,
        "timeseries_origin": record.timeseries_origin,
    }
    entries = [(key, _int64(value), len(varint(value))) for key, value in integers.items()]
    entries += [(key, _floats(values), 4 * values.size) for key, values in floats.items()]
    entries += [(key, _bytes(codes), codes.size) for key, codes in origins.items()]
    return [(key, _entry(key.encode(), feature), size) for key, feature, size in sorted(entries)]


def encoded_size(shape: RecordShape, *, case_id: int, subject_id: int, start_second: int) -> int:
    """Return the size in bytes of a record with these integers, whatever its other values."""
    ids = {"case_id": case_id, "subject_id": subject_id, "start_second": start_second}
    return len(encode_record(Record.zeros(shape, **ids)))


def decode_record(data: bytes, shape: RecordShape) -> Record:
    """Decode a record strictly.

    Raises
    ------
    BadExample
        If a key, type, shape or byte differs from what `encode_record` writes.
    """
    features = dict(_features(data))
    record = Record(
        case_id=_take_int64(features, "case_id"),
        start_second=_take_int64(features, "start_second"),
        static=_take_floats(features, "static", (shape.statics,)),
        static_origin=_take_bytes(features, "static_origin", (shape.statics,)),
        subject_id=_take_int64(features, "subject_id"),
        target=_take_floats(features, "target", (shape.targets,)),
        target_origin=_take_bytes(features, "target_origin", (shape.targets,)),
        timeseries=_take_floats(features, "timeseries", (shape.window, shape.inputs)),
        timeseries_origin=_take_bytes(features, "timeseries_origin", (shape.window, shape.inputs)),
    )
    if features:
        raise BadExample(f"unknown key {next(iter(features))!r}")
    if encode_record(record) != data:
        raise BadExample("the bytes are not in the fixed order (keys alphabetical, nothing else)")
    return record


def varint(value: int) -> bytes:
    """Return an integer as a protocol buffers varint; a negative one as its 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(body)) + body


def _entry(key: bytes, feature: bytes) -> bytes:
    return _field(1, _field(1, key) + _field(2, feature))


def _int64(value: int) -> bytes:
    return _field(_INT64_LIST, _field(1, varint(value)))


def _floats(values: NDArray[np.float32]) -> bytes:
    return _field(_FLOAT_LIST, _field(1, values.astype("<f4", copy=False).tobytes()))


def _bytes(values: NDArray[np.uint8]) -> bytes:
    return _field(_BYTES_LIST, _field(1, values.tobytes()))


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise BadExample(f"byte {position}: incomplete or too long varint")


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Split a message into (field number, body). An Example has only length-delimited fields."""
    fields = []
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        if tag & 7 != _LENGTH_DELIMITED:
            raise BadExample(f"byte {position}: wire type {tag & 7} does not occur in an Example")
        length, position = _read_varint(data, position)
        if position + length > len(data):
            raise BadExample(f"byte {position}: a field of {length} bytes extends beyond the end")
        fields.append((tag >> 3, data[position : position + length]))
        position += length
    return fields


def _only(data: bytes, number: int, what: str) -> bytes:
    fields = _fields(data)
    if len(fields) != 1 or fields[0][0] != number:
        raise BadExample(f"{what}: expected one field {number}")
    return fields[0][1]


def _features(data: bytes) -> list[tuple[str, bytes]]:
    features = []
    for number, entry in _fields(_only(data, 1, "Example")):
        parts = _fields(entry)
        if number != 1 or [part[0] for part in parts] != [1, 2]:
            raise BadExample("Features: expected a map entry of key and value")
        features.append((parts[0][1].decode("utf-8", errors="backslashreplace"), parts[1][1]))
    return features


def _take(features: dict[str, bytes], key: str, kind: int) -> bytes:
    if key not in features:
        raise BadExample(f"key {key!r} is missing")
    return _only(_only(features.pop(key), kind, key), 1, key)


def read_int64(body: bytes) -> int | None:
    """Return the bytes of one varint as a signed integer; None if they hold more than one.

    Raises
    ------
    BadExample
        If the varint is incomplete or too long.
    """
    value, end = _read_varint(body, 0)
    if end != len(body):
        return None
    return value - (1 << 64) if value >> 63 else value


def _take_int64(features: dict[str, bytes], key: str) -> int:
    value = read_int64(_take(features, key, _INT64_LIST))
    if value is None:
        raise BadExample(f"{key} holds more than one value")
    return value


def _take_floats(features: dict[str, bytes], key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    body = _take(features, key, _FLOAT_LIST)
    if len(body) != 4 * int(np.prod(shape)):
        raise BadExample(f"{key} holds {len(body)} bytes, not float32 of shape {shape}")
    return np.frombuffer(body, dtype="<f4").reshape(shape)


def _take_bytes(features: dict[str, bytes], key: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    body = _take(features, key, _BYTES_LIST)
    if len(body) != int(np.prod(shape)):
        raise BadExample(f"{key} holds {len(body)} bytes, not uint8 of shape {shape}")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)
