"""Order of windows: file by file, or shuffled by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

__all__ = ["FILES_AT_ONCE", "in_drawn_order", "in_order"]

FILES_AT_ONCE = 4  # files read in turn when shuffling, since one file holds the windows of few cases

File = TypeVar("File")
Item = TypeVar("Item")


def in_order(files: Sequence[File], items_of: Callable[[File], Iterator[Item]]) -> Iterator[Item]:
    """Yield the items of one file after the other."""
    for file in files:
        yield from items_of(file)


def in_drawn_order(
    files: Sequence[File], items_of: Callable[[File], Iterator[Item]], *, seed: int, buffer: int
) -> Iterator[Item]:
    """Yield every item once, in an order that depends on the seed only.

    The files are shuffled and `FILES_AT_ONCE` of them are read in turn. Each item is drawn from a buffer of `buffer`
    items.

    Parameters
    ----------
    buffer : int
        Size of the buffer; 1 shuffles the files only.
    """
    # Only `random()` is promised to give the same numbers in every version of Python.
    drawn = random.Random(seed).random
    held: list[Item] = []
    for item in _in_turn(_shuffled(files, drawn), items_of):
        held.append(item)
        if len(held) == buffer:
            yield _taken(held, drawn)
    while held:
        yield _taken(held, drawn)


def _taken(held: list[Item], drawn: Callable[[], float]) -> Item:
    at = int(drawn() * len(held))
    held[at], held[-1] = held[-1], held[at]
    return held.pop()


def _shuffled(files: Sequence[File], drawn: Callable[[], float]) -> list[File]:
    left = list(files)
    return [_taken(left, drawn) for _ in files]


def _in_turn(files: Sequence[File], items_of: Callable[[File], Iterator[Item]]) -> Iterator[Item]:
    waiting = iter(files)
    going = [items_of(file) for file in islice(waiting, FILES_AT_ONCE)]
    turn = 0
    while going:
        turn %= len(going)
        try:
            item = next(going[turn])
        except StopIteration:
            going[turn : turn + 1] = [items_of(file) for file in islice(waiting, 1)]
            continue
        yield item
        turn += 1
