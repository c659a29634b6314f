"""Seconds in which two devices of one name recorded different values (docs/design.md, ruling 13)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from vitalprep.vital.clock import seconds_of
from vitalprep.vital.headers import NUMERIC
from vitalprep.vital.rows import Samples
from vitalprep.vital.scan import VitalScan

__all__ = ["doubled_seconds"]


def doubled_seconds(scans: Sequence[VitalScan], start: float | None) -> dict[str, int]:
    """Return how often two devices contradict each other, by ``Device/NAME``; only names with a contradiction.

    What a device says in a second is its last finite value in it.
    """
    found: dict[str, int] = defaultdict(int)
    for scan in scans:
        devices: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for track in scan.tracks():
            if track.header.kind == NUMERIC:
                devices[scan.name_of(track.header)][track.header.device_id].append(track.index)
        doubled = {name: list(tracks_of.values()) for name, tracks_of in devices.items() if len(tracks_of) > 1}
        if doubled and start is not None:
            samples = iter(_samples(scan, [tracks for own in doubled.values() for tracks in own]))
            for name, own in doubled.items():
                found[name] += _contradictions(list(islice(samples, len(own))), start)
    return {name: count for name, count in sorted(found.items()) if count}


def _samples(scan: VitalScan, devices: Sequence[Sequence[int]]) -> list[Samples]:
    """Return the samples of each device, by the indices of its tracks."""
    group_of = np.full(scan.track_count, -1, dtype=np.int32)
    for group, tracks in enumerate(devices):
        group_of[tracks] = group
    return scan.rows.copied(group_of, len(devices))


def _contradictions(samples: Sequence[Samples], start: float) -> int:
    latest = [_latest(times, values, start) for times, values in samples]
    seconds = np.concatenate([own for own, _ in latest])
    values = np.concatenate([own for _, own in latest])
    order = np.argsort(seconds, kind="stable")
    seconds, values = seconds[order], values[order]
    differs = (seconds[1:] == seconds[:-1]) & (values[1:] != values[:-1])
    return len(np.unique(seconds[1:][differs]))


def _latest(
    times: NDArray[np.float64], values: NDArray[np.float64], start: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the seconds in which a device recorded, and its last value in each."""
    finite = np.isfinite(values)
    times, values = times[finite], values[finite]
    order = np.argsort(times, kind="stable")
    seconds = seconds_of(times[order], start)
    last = np.append(seconds[1:] != seconds[:-1], True)[: len(seconds)] & (seconds >= 0)
    return seconds[last], values[order][last]
