"""A case's content in a few hundred bytes: enough to find out later which recordings are there twice."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import SIZE
from vitalprep.contract.config import Config, Input

__all__ = ["hashes_in", "sketch_of"]

SHINGLE = 16  # changes in a row, a power of two: unrelated cases share next to none, and a cut costs no more than these
FEWEST_VALUES = 4  # distinct ones in a shingle: 98, 99, 98, 99, ... stands in every other case
FEWEST_TURNS = 3  # rises and falls in a shingle, of each: what a gas does when the vaporizer is turned on is a ramp
PARTS = 4096  # of a range, to tell values apart; no multiple of a unit's tenth lies halfway between two of them

_RADIX = 0x9E3779B1  # odd, without a pattern: of a polynomial over the values of a shingle, modulo 2^32
_EVERY = 1 << 32


def sketch_of(table: NDArray[np.float32], config: Config) -> str:
    """Return the sketch of a harmonized table of shape (seconds, inputs), as text; empty if it has too few changes.

    The `SIZE` smallest hashes of its shingles, by which Broder estimates the resemblance of two documents (On the
    resemblance and containment of documents, Compression and Complexity of Sequences 1997, pp. 21-29). A shingle is
    `SHINGLE` values in a row of one input, counting those alone that differ from the one before. So neither the first
    second nor how long a monitor shows a value is in it, and what was cut or exported again keeps nearly all of them.
    Left out are inputs that depend on the clinical table (doses by weight, tidal volumes by height), and shingles of
    few distinct values or with next to no rise or fall, which are those of many cases.
    """
    columns = [column for column, item in enumerate(config.inputs) if not _by_body(item)]
    scale = [PARTS / (config.inputs[column].range[1] - config.inputs[column].range[0]) for column in columns]
    steps, column_of = _changes(table.T[columns], np.array(scale, dtype=np.float32))
    if len(steps) < SIZE + SHINGLE:
        return ""
    smallest = _smallest(steps, column_of)
    return base64.b64encode(smallest.astype(">u4").tobytes()).decode() if len(smallest) == SIZE else ""


def hashes_in(sketch: str) -> tuple[int, ...]:
    """Return the hashes of a sketch, the smallest one first."""
    return tuple(np.frombuffer(base64.b64decode(sketch), dtype=">u4").tolist())


def _by_body(item: Input) -> bool:
    return any(source.conversion is not None and source.conversion.factor is None for source in item.sources)


def _changes(rows: NDArray[np.float32], scale: NDArray[np.float32]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Return of all rows, one after the other, what was observed and differs from the one before, and its row."""
    values = rows.reshape(-1)
    at = np.flatnonzero((values[1:] != values[:-1]) & ~np.isnan(values[1:])) + 1
    row_of = at // rows.shape[1]
    steps = np.rint(values[at] * scale[row_of]).astype(np.int32)
    new = np.flatnonzero((steps[1:] != steps[:-1]) | (row_of[1:] != row_of[:-1])) + 1
    return steps[new].view(np.uint32), row_of[new]


def _smallest(steps: NDArray[np.uint32], row_of: NDArray[np.intp]) -> NDArray[np.uint32]:
    """Return the `SIZE` smallest hashes, in order, or fewer where there are not as many."""
    hashes = _mixed(_polynomials(steps + (row_of << 20).astype(np.uint32)))
    share = 4 * SIZE / len(hashes)
    while True:  # to look closely at few is enough
        starts = np.flatnonzero(hashes < share * _EVERY)
        found = np.unique(hashes[starts[_telling(steps, row_of, starts)]])
        if len(found) >= SIZE or share >= 1:
            return found[:SIZE]
        share *= 8


def _polynomials(steps: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return for each shingle the polynomial of its values: of two halves that are known, the whole."""
    length, radix, hashes = 1, _RADIX, steps
    while length < SHINGLE:
        hashes = hashes[:-length] * np.uint32(radix) + hashes[length:]
        length, radix = 2 * length, radix * radix % _EVERY
    return hashes


def _mixed(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread hashes evenly: MurmurHash3's finalizer for 32 bits."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


def _telling(steps: NDArray[np.uint32], row_of: NDArray[np.intp], starts: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which shingles are of one input, rise and fall, and have enough distinct values."""
    values = steps.view(np.int32)[starts[:, np.newaxis] + np.arange(SHINGLE)]
    rises = np.count_nonzero(values[:, 1:] > values[:, :-1], axis=1)
    values.sort(axis=1)
    distinct = 1 + np.count_nonzero(values[:, 1:] != values[:, :-1], axis=1)
    of_one_input = row_of[starts] == row_of[starts + SHINGLE - 1]
    turning = (rises >= FEWEST_TURNS) & (rises <= SHINGLE - 1 - FEWEST_TURNS)
    telling: NDArray[np.bool_] = of_one_input & turning & (distinct >= FEWEST_VALUES)
    return telling
