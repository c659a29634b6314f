"""Assembles a case's framed records from encoded templates and slices of the case's arrays.

All but a few hundred bytes of a record are its time series and their origins, which have the same byte layout in the
case's arrays. The bytes around them are encoded once for each varint length of the start second, and then filled in
for all windows of the case at once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.config import Config
from vitalprep.contract.record import Record
from vitalprep.features.samples import Samples
from vitalprep.features.windows import target_second
from vitalprep.tfrecord.example import encode_record, payload_places, varint
from vitalprep.tfrecord.framing import FRAME_BYTES, framed, masked_crc32c

__all__ = ["HEAD", "CaseFrames"]

HEAD = FRAME_BYTES - 4  # bytes before the record: its length and the checksum of the length
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class _Windows:
    """The windows of a case whose start seconds have the same varint length, and the bytes around their series.

    Attributes
    ----------
    heads : ndarray of uint8, shape (windows, bytes)
        Each frame up to its series: frame head, integers, statics and target.
    between : ndarray of uint8
        The bytes between series and origins, the same in every frame.
    series, origin : slice
        Position of series and origins in the frame. The checksum follows the origins.
    """

    heads: NDArray[np.uint8]
    between: NDArray[np.uint8]
    series: slice
    origin: slice

    @property
    def size(self) -> int:
        return int(self.origin.stop) + _CRC.size


class CaseFrames:
    """The framed records of one case, byte for byte equal to `framed(encode_record(samples.record(...)))`."""

    def __init__(self, samples: Samples, *, case_id: int, subject_id: int, config: Config) -> None:
        self._series, self._origin = _rows(samples.series.astype("<f4", copy=False)), _rows(samples.origin)
        self._window = config.windowing.window
        self._place: dict[int, tuple[_Windows, int]] = {}
        by_width: dict[int, list[int]] = {}
        for start in samples.starts.tolist():
            by_width.setdefault(len(varint(start)), []).append(start)
        for starts in by_width.values():
            record = samples.record(starts[0], case_id=case_id, subject_id=subject_id, config=config)
            windows = _windows(record, starts, samples, config)
            self._place |= {start: (windows, row) for row, start in enumerate(starts)}

    def size(self, start: int) -> int:
        """Return the size in bytes of the frame of the window that begins at second `start`."""
        return self._place[start][0].size

    def put(self, start: int, frame: NDArray[np.uint8]) -> None:
        """Write the frame of the window that begins at second `start` into `frame`, uint8 of shape (size(start),)."""
        end = self.put_record(start, frame)
        _CRC.pack_into(frame.data, end, masked_crc32c(frame[HEAD:end]))

    def put_record(self, start: int, frame: NDArray[np.uint8]) -> int:
        """Write the frame but for the record's checksum, and return where the record ends in it."""
        windows, row = self._place[start]
        series, origin = windows.series, windows.origin
        stop = start + self._window
        frame[: series.start] = windows.heads[row]
        frame[series] = self._series[start:stop].reshape(-1)
        frame[series.stop : origin.start] = windows.between
        frame[origin] = self._origin[start:stop].reshape(-1)
        return int(origin.stop)


def _windows(first: Record, starts: list[int], samples: Samples, config: Config) -> _Windows:
    """Lay out the windows of some starts, with the record of the first one as the template."""
    frame = np.frombuffer(framed(encode_record(first)), dtype=np.uint8)
    at = {key: slice(place.start + HEAD, place.stop + HEAD) for key, place in payload_places(first).items()}
    series, origin = at["timeseries"], at["timeseries_origin"]
    seconds = target_second(np.array(starts, dtype=np.int64), config.windowing)
    targets = np.ix_(seconds, np.array(config.target_columns))
    heads = np.tile(frame[: series.start], (len(starts), 1))
    heads[:, at["start_second"]] = [list(varint(start)) for start in starts]
    heads[:, at["target"]] = _rows(samples.series[targets].astype("<f4", copy=False))
    heads[:, at["target_origin"]] = samples.origin[targets]
    return _Windows(heads, frame[series.stop : origin.start], series, origin)


def _rows(values: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an array of shape (n, columns) as uint8 of shape (n, bytes per row)."""
    return np.ascontiguousarray(values).view(np.uint8)
