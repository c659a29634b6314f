"""A case's records in their frames, put together from bytes that never change and slices of the case's arrays.

All but a few hundred bytes of a record are its time series and their origins, which lie in the case's arrays as they
stand in the record. What is around them is encoded once for each length that the integers can have.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing.config import Config
from preprocessing.records.example import Places, Record, encode_record, payload_places, varint
from preprocessing.records.samples import Samples
from preprocessing.records.tfrecord import FRAME_BYTES, framed, masked_crc32c

__all__ = ["CaseFrames"]

HEAD = FRAME_BYTES - 4  # length and its checksum, before the record
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class _Template:
    """A whole frame of one of the case's records, and where its parts lie in the frame."""

    frame: NDArray[np.uint8]
    places: Places


class CaseFrames:
    """The framed records of one case; equal to `framed(encode_record(samples.record(...)))`, byte for byte."""

    def __init__(self, samples: Samples, *, case_id: int, subject_id: int, config: Config) -> None:
        self._samples = samples
        self._ids = {"case_id": case_id, "subject_id": subject_id}
        self._config = config
        names = [item.name for item in config.inputs]
        outputs = [names.index(target.input) for target in config.targets]
        series = samples.series.astype("<f4", copy=False)
        self._series, self._origin = _flat(series), _flat(samples.origin)
        self._target, self._target_origin = _flat(series[:, outputs]), _flat(samples.origin[:, outputs])
        self._templates: dict[int, _Template] = {}

    def size(self, start: int) -> int:
        """Bytes of the frame of the window that begins at second `start`."""
        return len(self._template(start).frame)

    def put(self, start: int, frame: NDArray[np.uint8]) -> None:
        """Write the frame of the window that begins at second `start` into an array of its size."""
        template = self._template(start)
        places = template.places
        series, origin = places["timeseries"], places["timeseries_origin"]
        windowing = self._config.windowing
        second = start + windowing.window - 1 + windowing.target_horizon
        frame[: series.start] = template.frame[: series.start]
        frame[series] = _slice(self._series, len(self._samples.series), start, windowing.window)
        frame[series.stop : origin.start] = template.frame[series.stop : origin.start]
        frame[origin] = _slice(self._origin, len(self._samples.series), start, windowing.window)
        frame[places["start_second"]] = np.frombuffer(varint(start), dtype=np.uint8)
        frame[places["target"]] = _slice(self._target, len(self._samples.series), second, 1)
        frame[places["target_origin"]] = _slice(self._target_origin, len(self._samples.series), second, 1)
        checksum = _CRC.pack(masked_crc32c(frame[HEAD:-4]))
        frame[-4:] = np.frombuffer(checksum, dtype=np.uint8)

    def _template(self, start: int) -> _Template:
        width = max(start.bit_length() - 1, 0) // 7
        if width not in self._templates:
            record = self._samples.record(start, **self._ids, config=self._config)
            self._templates[width] = _template_of(record)
        return self._templates[width]


def _template_of(record: Record) -> _Template:
    frame = np.frombuffer(framed(encode_record(record)), dtype=np.uint8)
    places = {key: slice(at.start + HEAD, at.stop + HEAD) for key, at in payload_places(record).items()}
    return _Template(frame, places)


def _flat(values: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes of an array of shape (n, columns), row after row."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1)


def _slice(flat: NDArray[np.uint8], rows: int, first: int, count: int) -> NDArray[np.uint8]:
    """The bytes of `count` rows from `first` on."""
    width = len(flat) // rows
    return flat[first * width : (first + count) * width]
