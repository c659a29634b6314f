"""The records of a .vital stream, read in C: what `_records.c` promises."""

import numpy as np
from numpy.typing import NDArray

MORE: int
FULL: int
HEADER: int
TOO_LONG: int
NO_HEAD: int
BAD_TIME: int
BAD_SAMPLES: int

def scan_packets(
    buffer: bytes,
    position: int,
    longest: int,
    track_of: NDArray[np.int32],
    tracks: NDArray[np.void],
    track_count: int,
    rows: NDArray[np.void],
    row_count: int,
    /,
) -> tuple[int, int, int, int]:
    """Read records from `position` on. Return (why it stopped, position, row_count, records without a header)."""

def group_rows(
    rows: NDArray[np.void],
    group_of: NDArray[np.int64],
    next_place: NDArray[np.int64],
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    /,
) -> None:
    """Put each row's time and value at its group's next place, in file order."""
