"""Where a simulated case's chance comes from.

Every draw depends on the seed, the case and what it is for, never on how many cases are made, in which order or by how
many workers. Separate purposes have separate streams, so that a new draw in one place leaves the rest as it was.
"""

from __future__ import annotations

import zlib
from enum import IntEnum

import numpy as np

__all__ = ["Purpose", "case_rng"]


class Purpose(IntEnum):
    """What a stream is for. The numbers enter the seed: add to them, do not change them."""

    SUBJECT = 0
    PATIENT = 1
    LENGTH = 2
    COURSE = 3
    MONITOR = 4
    WAVE = 5
    FILE = 6
    ATTACHED = 7
    DAMAGE = 8


def case_rng(seed: int, case_id: int, purpose: Purpose, name: str = "") -> np.random.Generator:
    """Random numbers of one case for one purpose; `name` tells apart, say, the devices of a case."""
    sequence = np.random.SeedSequence([seed, case_id], spawn_key=(int(purpose), zlib.crc32(name.encode("utf-8"))))
    return np.random.Generator(np.random.PCG64(sequence))
