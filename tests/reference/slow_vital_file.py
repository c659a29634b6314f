"""Reference implementation of `vitalprep.vital.recording`. It can also decode waves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.reference.slow_scan import NUMERIC, WAVE, TrackRecords, VitalScan
from vitalprep.runtime.errors import CaseRefused
from vitalprep.storage.stream import Arriving
from vitalprep.vital.gunzip import gunzip
from vitalprep.vital.headers import memory_of, shown
from vitalprep.vital.long_lengths import BEGIN, long_lengths
from vitalprep.vital.recording import Numeric, VitalFile

__all__ = ["SlowVitalFile", "Wave", "read_stream_slowly", "read_vital_slowly"]

LONGEST_SPAN = 7 * 24 * 3600.0  # s


@dataclass(frozen=True)
class Wave:
    """A wave track: `blocks` of (Unix time of the first sample in s, rate in Hz, samples as float64 with NaN gaps)."""

    name: str
    units: tuple[str, ...]
    blocks: tuple[tuple[float, float, NDArray[np.float64]], ...]


@dataclass(frozen=True)
class SlowVitalFile(VitalFile):
    """A recording with its waves by ``Device/NAME``; empty unless requested."""

    waves: dict[str, Wave] = field(default_factory=dict)


def read_vital_slowly(data: bytes, *, max_bytes: int = 1 << 30, waves: bool = False) -> SlowVitalFile:
    """Read a recording from the bytes of its file.

    Parameters
    ----------
    data : bytes
        The ``.vital`` file, compressed as it is stored.
    max_bytes : int
        Largest decompressed size in bytes.
    waves : bool
        Also decode wave samples. If false, only their times are used, and memory stays small.

    Raises
    ------
    CaseRefused
        With reason ``not_vital``, ``truncated``, ``corrupt`` or ``too_large``, and the byte position.
    """
    return read_stream_slowly(
        gunzip(Arriving([data], len(data)), max_bytes=max_bytes), max_bytes=max_bytes, waves=waves
    )


def read_stream_slowly(pieces: Iterable[bytes], *, max_bytes: int = 1 << 30, waves: bool = False) -> SlowVitalFile:
    """Read a recording from the chunks of its decompressed stream."""
    scan = VitalScan(keep_waves=waves, max_bytes=max_bytes)
    begin = b""
    try:
        for piece in pieces:
            begin += piece[: BEGIN - len(begin)]
            scan.feed(piece)
        scan.finish()
    except CaseRefused as refusal:
        known = long_lengths(begin)
        raise (CaseRefused("corrupt", known) if known else refusal) from refusal
    return _recording(scan)


def _recording(scan: VitalScan) -> SlowVitalFile:
    recorded = [track for track in scan.tracks if track.times]
    first = min((min(track.times) for track in recorded), default=None)
    last, latest = max(((track.last_sample_time(), track.name) for track in recorded), default=(None, ""))
    _refuse_span(scan.start_time if scan.start_time is not None else first, last, latest)
    by_name: dict[tuple[int, str], list[TrackRecords]] = {}
    for track in recorded:
        device = scan.devices.get(track.device_id, "")
        if track.kind == NUMERIC:
            scan.memory.hold(memory_of(device, track.name))
        by_name.setdefault((track.kind, f"{device}/{track.name}"), []).append(track)
    return SlowVitalFile(
        start_time=scan.start_time,
        first_time=first,
        last_time=last,
        numerics={name: _numeric(name, parts) for (kind, name), parts in by_name.items() if kind == NUMERIC},
        waves={name: _wave(name, parts) for (kind, name), parts in by_name.items() if kind == WAVE and scan.keep_waves},
        skipped_records=scan.skipped_records,
    )


def _refuse_span(start: float | None, last: float | None, latest: str) -> None:
    if start is None or last is None:
        return
    span = last - start
    if not span <= LONGEST_SPAN:
        raise CaseRefused(
            "too_long",
            f"the recording spans {span / 86400:.6g} days, up to the last sample of {shown(latest)}; "
            "reading.max_days is 7",
        )


def _units(parts: Iterable[TrackRecords]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.unit for part in parts))


def _numeric(name: str, parts: list[TrackRecords]) -> Numeric:
    times = np.concatenate([np.asarray(part.times) for part in parts])
    order = np.concatenate([np.asarray(part.order, dtype=np.int64) for part in parts])
    values = np.concatenate([part.decoded() for part in parts])
    sequence = np.lexsort((order, times))
    return Numeric(name, _units(parts), times[sequence], values[sequence])


def _wave(name: str, parts: list[TrackRecords]) -> Wave:
    blocks = [(order, block) for part in parts for order, block in zip(part.order, part.blocks(), strict=True)]
    blocks.sort(key=lambda item: (item[1][0], item[0]))
    return Wave(name, _units(parts), tuple(block for _, block in blocks))
