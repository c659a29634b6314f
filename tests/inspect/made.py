"""Small recordings whose tracks are known exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vitalprep.simulate.vital_writer import (
    DeviceHeader,
    FileHeader,
    NumericSeries,
    Packet,
    TrackHeader,
    encode_file,
    gzip_bytes,
)

START = 1_700_000_000.0
Series = tuple[str, Sequence[float], float]
"""Unit, values, and seconds between them."""


def write(path: Path, tracks: Mapping[str, Series]) -> Path:
    """Write a recording of numeric tracks, given by ``Device/NAME``."""
    devices = {name: number for number, name in enumerate(dict.fromkeys(t.partition("/")[0] for t in tracks), start=1)}
    packets: list[Packet] = [DeviceHeader(device_id=number, name=name) for name, number in devices.items()]
    for number, (track, (unit, values, every)) in enumerate(tracks.items(), start=1):
        device, _, name = track.partition("/")
        header = TrackHeader(track_id=number, kind="numeric", name=name, unit=unit, device_id=devices[device])
        times = START + every * np.arange(len(values))
        packets += [header, NumericSeries(track_id=number, times=times, values=np.array(values, dtype="<f4"))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip_bytes(encode_file(FileHeader(start=START), packets)))
    return path
