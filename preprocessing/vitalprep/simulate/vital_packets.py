"""The parts of a `.vital` file as plain data: header, packets and sample formats. `vital_writer` encodes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "GAP_VALUES",
    "SAMPLE_DTYPES",
    "DeviceHeader",
    "FileHeader",
    "Kind",
    "NumericRecord",
    "NumericSeries",
    "PackedExtent",
    "Packet",
    "RawPacket",
    "Record",
    "Samples",
    "StringRecord",
    "Track",
    "TrackHeader",
    "TrackOrder",
    "WaveRecord",
]

Samples: TypeAlias = npt.NDArray[Any]
Kind = Literal["wave", "numeric", "string"]

SAMPLE_DTYPES: Final[Mapping[int, np.dtype[Any]]] = {
    code: np.dtype(name) for code, name in enumerate(("<f4", "<f8", "<i1", "<u1", "<i2", "<u2", "<i4", "<u4"), start=1)
}
"""Sample format code -> type of one stored sample."""

GAP_VALUES: Final[Mapping[int, float | int]] = {
    1: float("nan"), 2: float("nan"), 3: -(2**7), 4: 2**8 - 1, 5: -(2**15), 6: 2**16 - 1, 7: -(2**31), 8: 2**32 - 1,
}  # fmt: skip
"""Sample format code -> the value that means "not recorded" in a packed wave."""


@dataclass(frozen=True, kw_only=True)
class FileHeader:
    """The file's header. Times are Unix seconds.

    `length` is the number of bytes written: 10 excludes the start time, 26 the packed flag, 27 is complete. Longer
    headers are padded with zeros, as if a later version of the format had added fields.
    """

    length: int = 27
    start: float = 0.0
    end: float = 0.0
    packed: bool = False
    utc_offset_minutes: int = 0  # UTC minus local time; -540 in Korea
    instance_id: int = 0
    program_version: int = 0
    version: int = 3


@dataclass(frozen=True, kw_only=True)
class DeviceHeader:
    """A device that tracks refer to."""

    device_id: int
    name: str
    typename: str = ""
    port: str = ""


@dataclass(frozen=True, kw_only=True)
class PackedExtent:
    """Extent of a track's records in a packed file: bytes including packet heads, first and last time (Unix s)."""

    record_length: int
    first_time: float
    last_time: float


@dataclass(frozen=True, kw_only=True)
class TrackHeader:
    """A track. `sample_rate` in Hz (0 for numerics), value = stored sample * gain + offset for integer formats."""

    track_id: int
    kind: Kind
    name: str
    sample_format: int = 1
    unit: str = ""
    sample_rate: float = 0.0
    gain: float = 1.0
    offset: float = 0.0
    device_id: int = 0
    display_min: float = 0.0
    display_max: float = 0.0
    colour: int = 0xFFFFFFFF
    monitor_type: int = 0
    extent: PackedExtent | None = None


@dataclass(frozen=True, kw_only=True)
class NumericRecord:
    """One stored sample at a Unix time. It has its own format, because its header may come later or never."""

    track_id: int
    time: float
    value: float | int
    sample_format: int = 1
    extra_info: bytes = b""


@dataclass(frozen=True, kw_only=True)
class NumericSeries:
    """Many numeric records of one track: `times` (n,) float64 Unix seconds, `values` (n,) stored samples."""

    track_id: int
    times: npt.NDArray[np.float64]
    values: Samples
    sample_format: int = 1


@dataclass(frozen=True, kw_only=True)
class WaveRecord:
    """Consecutive stored samples (n,), the first at `time`, evenly spaced by the track's sample rate."""

    track_id: int
    time: float
    samples: Samples
    sample_format: int = 1
    extra_info: bytes = b""


@dataclass(frozen=True, kw_only=True)
class StringRecord:
    """A text at a Unix time."""

    track_id: int
    time: float
    text: str
    extra_info: bytes = b""


@dataclass(frozen=True)
class TrackOrder:
    """A command packet with the display order of the tracks."""

    track_ids: tuple[int, ...]


@dataclass(frozen=True)
class RawPacket:
    """A packet of any type with any body: unknown types, truncated headers and other input a reader must handle."""

    packet_type: int
    body: bytes


Record: TypeAlias = NumericRecord | NumericSeries | WaveRecord | StringRecord
Packet: TypeAlias = DeviceHeader | TrackHeader | Record | TrackOrder | RawPacket


@dataclass(frozen=True)
class Track:
    """One track of a recording: its header and its records, in any order."""

    header: TrackHeader
    records: tuple[Record, ...]
