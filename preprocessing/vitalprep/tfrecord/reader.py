"""Fast strict reader: compares each record with a template instead of parsing it.

A record is valid if all bytes around its payloads are as `encode_record` writes them. They depend only on the varint
lengths of the record's integers, so there is one template per combination of lengths. Payloads are read at the
template's positions. A record that differs from its template goes to `decode_record`, which raises the precise error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from vitalprep.contract.record import Record, RecordShape
from vitalprep.tfrecord.example import (
    BadExample,
    Places,
    decode_record,
    encode_record,
    payload_places,
    read_int64,
    varint,
)

__all__ = ["RecordReader"]

Widths: TypeAlias = tuple[int, int, int]
INTEGERS = ("case_id", "start_second", "subject_id")  # in byte order
LONGEST_VARINT = 10


@dataclass(frozen=True)
class _Template:
    """`constants` are (start, stop, bytes) of everything but payloads; `size` is the record's size in bytes."""

    size: int
    places: Places
    constants: tuple[tuple[int, int, bytes], ...]


class RecordReader:
    """Reads records of one shape."""

    def __init__(self, shape: RecordShape) -> None:
        self._shape = shape
        self._templates: dict[Widths, _Template] = {}
        self._shortest = self._template((1, 1, 1)).places

    def read(self, data: bytes) -> Record:
        """Read a record, with the same results and errors as `decode_record`.

        Raises
        ------
        BadExample
            If a key, type, shape or byte differs from what `encode_record` writes.
        """
        widths = self._widths(data)
        template = self._template(widths) if widths is not None else None
        if template is None or len(data) != template.size:
            return decode_record(data, self._shape)
        places = template.places
        numbers = _integers(data, places)
        if numbers is None or any(data[start:stop] != constant for start, stop, constant in template.constants):
            return decode_record(data, self._shape)
        case_id, start_second, subject_id = numbers
        shape = (self._shape.window, self._shape.inputs)
        return Record(
            case_id=case_id,
            subject_id=subject_id,
            start_second=start_second,
            static=np.frombuffer(data, "<f4", self._shape.statics, places["static"].start),
            static_origin=np.frombuffer(data, np.uint8, self._shape.statics, places["static_origin"].start),
            target=np.frombuffer(data, "<f4", self._shape.targets, places["target"].start),
            target_origin=np.frombuffer(data, np.uint8, self._shape.targets, places["target_origin"].start),
            timeseries=np.frombuffer(data, "<f4", shape[0] * shape[1], places["timeseries"].start).reshape(shape),
            timeseries_origin=np.frombuffer(
                data, np.uint8, shape[0] * shape[1], places["timeseries_origin"].start
            ).reshape(shape),
        )

    def _widths(self, data: bytes) -> Widths | None:
        """Return the varint lengths of the integers, which precede them; None if they cannot be those of a record."""
        found = []
        shift = 0
        for key in INTEGERS:
            before = self._shortest[key].start + shift - 1
            width = data[before] if before < len(data) else 0
            if not 1 <= width <= LONGEST_VARINT:
                return None
            found.append(width)
            shift += width - 1
        return found[0], found[1], found[2]

    def _template(self, widths: Widths) -> _Template:
        if widths not in self._templates:
            self._templates[widths] = _template_of(self._shape, widths)
        return self._templates[widths]


def _integers(data: bytes, places: Places) -> list[int] | None:
    """Return the integers, or None if one is not encoded as `encode_record` does it."""
    numbers = []
    for key in INTEGERS:
        body = data[places[key]]
        try:
            number = read_int64(body)
        except BadExample:
            return None
        if number is None or varint(number) != body:
            return None
        numbers.append(number)
    return numbers


def _template_of(shape: RecordShape, widths: Widths) -> _Template:
    case_id, start_second, subject_id = (-1 if width == LONGEST_VARINT else 1 << 7 * (width - 1) for width in widths)
    record = replace(Record.zeros(shape), case_id=case_id, start_second=start_second, subject_id=subject_id)
    data, places = encode_record(record), payload_places(record)
    ends = [
        0,
        *(edge for place in sorted(places.values(), key=_start) for edge in (place.start, place.stop)),
        len(data),
    ]
    gaps = list(pairwise(ends))[::2]
    return _Template(len(data), places, tuple((start, stop, data[start:stop]) for start, stop in gaps if start < stop))


def _start(place: slice) -> int:
    return int(place.start)
