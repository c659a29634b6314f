"""Independent random streams of a simulated case.

A draw depends only on seed, case and purpose, not on the number of cases, their order or the number of workers. Each
purpose has its own stream, so that an additional draw for one purpose does not change the others.
"""

from __future__ import annotations

import zlib
from enum import IntEnum

import numpy as np

__all__ = ["Purpose", "case_rng"]


class Purpose(IntEnum):
    """The purpose of a stream. The numbers are part of the seed: add new ones, never change existing ones."""

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
    """Return the generator of one case for one purpose. `name` separates, for example, the devices of a case."""
    sequence = np.random.SeedSequence([seed, case_id], spawn_key=(int(purpose), zlib.crc32(name.encode("utf-8"))))
    return np.random.Generator(np.random.PCG64(sequence))
