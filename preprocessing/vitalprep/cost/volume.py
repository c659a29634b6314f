"""Volume of a run, from the sizes of the recordings alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vitalprep.contract.config import Config
from vitalprep.contract.record import record_shape
from vitalprep.features.windows import window_starts
from vitalprep.tfrecord.example import encoded_size
from vitalprep.tfrecord.framing import FRAME_BYTES

__all__ = ["Load", "Volume", "record_bytes", "volume_of"]

_TYPICAL = {"case_id": 3000, "subject_id": 3000, "start_second": 5000}  # all lengths are within 3 bytes of theirs


@dataclass(frozen=True, kw_only=True)
class Load:
    """Volume on which CPU seconds depend: cases, MB read, recorded hours, GB of records written."""

    cases: float = 0.0
    mb_in: float = 0.0
    hours: float = 0.0
    gb_out: float = 0.0

    def times(self, share: float) -> Load:
        """Return a share of the load."""
        return Load(
            cases=self.cases * share, mb_in=self.mb_in * share, hours=self.hours * share, gb_out=self.gb_out * share
        )


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Volume of a whole run.

    Attributes
    ----------
    sizes : mapping of int to int
        Bytes of every case's recording.
    mb_per_minute : float
        MB in a recorded minute.
    windows : int
        Records in all.
    gb_out : float
        10^9 bytes of framed records, before compression.
    """

    sizes: Mapping[int, int]
    mb_per_minute: float
    windows: int
    gb_out: float

    @property
    def load(self) -> Load:
        """The whole volume as a load."""
        part = self.part(self.sizes)
        return Load(cases=part.cases, mb_in=part.mb_in, hours=part.hours, gb_out=self.gb_out)

    def part(self, cases: Iterable[int]) -> Load:
        """Return the load of harmonizing some cases."""
        sizes = [self.sizes[case] for case in cases]
        megabytes = sum(sizes) / 1e6
        return Load(cases=len(sizes), mb_in=megabytes, hours=megabytes / self.mb_per_minute / 60)

    def minutes(self, case: int) -> float:
        """Return the recorded minutes of a case."""
        return self.sizes[case] / 1e6 / self.mb_per_minute


def volume_of(sizes: Mapping[int, int], config: Config, *, mb_per_minute: float) -> Volume:
    """Estimate the windows and records of some recordings.

    Parameters
    ----------
    sizes : mapping of int to int
        Bytes of every case's recording.
    mb_per_minute : float
        Size of a recorded minute, in 10^6 bytes.
    """
    seconds = (math.floor(60 * size / 1e6 / mb_per_minute) for size in sizes.values())
    windows = sum(len(window_starts(length, config.windowing)) for length in seconds)
    return Volume(
        sizes=sizes, mb_per_minute=mb_per_minute, windows=windows, gb_out=windows * record_bytes(config) / 1e9
    )


def record_bytes(config: Config) -> int:
    """Return the bytes of a typical framed record."""
    return FRAME_BYTES + encoded_size(record_shape(config), **_TYPICAL)
