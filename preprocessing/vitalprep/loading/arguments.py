"""Checks of arguments that `read` and `load` have in common."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from vitalprep.runtime.errors import UsageError

__all__ = ["count_of", "seed_of"]

_TRUTHS = (bool, np.bool_)


def count_of(name: str, value: int) -> int:
    """Return an argument that is a count.

    Raises
    ------
    UsageError
        If it is not an integer, or less than 1.
    """
    count = _integer(name, value, fix="give a whole number, 1 or more.")
    if count < 1:
        raise UsageError(f"{name} is {count}.", fix="give 1 or more.")
    return count


def seed_of(shuffle: int | None) -> int | None:
    """Return the seed given as `shuffle`, or None for no shuffling (None or False).

    Raises
    ------
    UsageError
        If it is True, which names no seed, or not an integer.
    """
    fix = "give a seed, as shuffle=1, or None for the order of the files."
    if shuffle is None or (isinstance(shuffle, _TRUTHS) and not shuffle):
        return None
    return _integer("shuffle", shuffle, fix=fix)


def _integer(name: str, value: Any, *, fix: str) -> int:
    """Return an integer of any library. True and False are refused, although Python counts them as 1 and 0."""
    if not isinstance(value, _TRUTHS):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise UsageError(f"{name} is {value!r}, which is not a whole number.", fix=fix)
