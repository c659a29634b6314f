"""Types of `_records.c`, the compiled scan of the records in a .vital stream."""

import numpy as np
from numpy.typing import NDArray

MORE: int
FULL: int
HEADER: int
TOO_LONG: int
NO_HEAD: int
BAD_TIME: int
BAD_SAMPLES: int
FELL: int

def scan_packets(
    buffer: bytes,
    position: int,
    longest: int,
    track_of: NDArray[np.int32],
    tracks: NDArray[np.void],
    track_count: int,
    rows: NDArray[np.void],
    row_count: int,
    near_first: float,
    near_last: float,
    is_disordered: bool,
    /,
) -> tuple[int, int, int, int, int]:
    """Read records starting at `position`.

    Return (stop reason, position, row_count, records without a header, records between near_first and near_last). It
    does not stop where the clock of a stream that is disordered falls.
    """

def group_rows(
    rows: NDArray[np.void],
    group_of: NDArray[np.int64],
    next_place: NDArray[np.int64],
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    /,
) -> None:
    """Copy each row's time and value to the next free place of its group, in file order."""
