"""MinHash sketch of a case, in a few hundred bytes, to detect duplicate recordings later."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from vitalprep.contract.build_summary import SIZE
from vitalprep.contract.config import Config, Input

__all__ = ["hashes_in", "sketch_of"]

SHINGLE = 16  # consecutive changes, a power of two: unrelated cases share almost none, and a cut destroys few
FEWEST_VALUES = 4  # distinct values in a shingle: 98, 99, 98, 99, ... occurs in every other case
FEWEST_TURNS = 3  # minimum of both rises and falls in a shingle: the ramps of a vaporizer look alike in all cases
PARTS = 4096  # quantization steps of a range; no multiple of a tenth of a unit lies halfway between two steps

_RADIX = 0x9E3779B1  # odd, without a pattern; base of the polynomial hash of a shingle, modulo 2^32
_EVERY = 1 << 32


def sketch_of(table: NDArray[np.float32], config: Config) -> str:
    """Return the sketch of a harmonized table of shape (seconds, inputs) as text; empty if it has too few changes.

    The sketch holds the `SIZE` smallest hashes of the table's shingles (MinHash: Broder, On the resemblance and
    containment of documents, Compression and Complexity of Sequences 1997, pp. 21-29). A shingle is `SHINGLE`
    consecutive values of one input, where repeated values count once. It is therefore independent of the start second
    and of how long a monitor shows a value, so a trimmed or re-exported recording keeps nearly all of its shingles.

    Excluded are inputs that depend on the clinical table (doses by weight, tidal volumes by height), and shingles with
    few distinct values or almost no rise or fall, because they occur in many cases.
    """
    columns = [column for column, item in enumerate(config.inputs) if not _by_body(item)]
    scale = [PARTS / (config.inputs[column].range[1] - config.inputs[column].range[0]) for column in columns]
    steps, column_of = _changes(table.T[columns], np.array(scale, dtype=np.float32))
    if len(steps) < SIZE + SHINGLE:
        return ""
    smallest = _smallest(steps, column_of)
    return base64.b64encode(smallest.astype(">u4").tobytes()).decode() if len(smallest) == SIZE else ""


def hashes_in(sketch: str) -> tuple[int, ...]:
    """Return the hashes of a sketch, in ascending order."""
    return tuple(np.frombuffer(base64.b64decode(sketch), dtype=">u4").tolist())


def _by_body(item: Input) -> bool:
    return any(source.conversion is not None and source.conversion.factor is None for source in item.sources)


def _changes(rows: NDArray[np.float32], scale: NDArray[np.float32]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Return the observed values of all rows that differ from their predecessor, quantized, and the row of each."""
    values = rows.reshape(-1)
    at = np.flatnonzero((values[1:] != values[:-1]) & ~np.isnan(values[1:])) + 1
    row_of = at // rows.shape[1]
    steps = np.rint(values[at] * scale[row_of]).astype(np.int32)
    new = np.flatnonzero((steps[1:] != steps[:-1]) | (row_of[1:] != row_of[:-1])) + 1
    return steps[new].view(np.uint32), row_of[new]


def _smallest(steps: NDArray[np.uint32], row_of: NDArray[np.intp]) -> NDArray[np.uint32]:
    """Return the `SIZE` smallest distinct hashes in ascending order, or fewer if there are not as many."""
    hashes = _mixed(_polynomials(steps + (row_of << 20).astype(np.uint32)))
    share = 4 * SIZE / len(hashes)
    while True:  # only the smallest hashes need the closer check
        starts = np.flatnonzero(hashes < share * _EVERY)
        found = np.unique(hashes[starts[_telling(steps, row_of, starts)]])
        if len(found) >= SIZE or share >= 1:
            return found[:SIZE]
        share *= 8


def _polynomials(steps: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the polynomial hash of each shingle, by combining the hashes of its two halves repeatedly."""
    length, radix, hashes = 1, _RADIX, steps
    while length < SHINGLE:
        hashes = hashes[:-length] * np.uint32(radix) + hashes[length:]
        length, radix = 2 * length, radix * radix % _EVERY
    return hashes


def _mixed(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Distribute hashes evenly, with MurmurHash3's 32-bit finalizer."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


def _telling(steps: NDArray[np.uint32], row_of: NDArray[np.intp], starts: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which shingles lie within one input, have enough rises and falls, and enough distinct values."""
    values = steps.view(np.int32)[starts[:, np.newaxis] + np.arange(SHINGLE)]
    rises = np.count_nonzero(values[:, 1:] > values[:, :-1], axis=1)
    values.sort(axis=1)
    distinct = 1 + np.count_nonzero(values[:, 1:] != values[:, :-1], axis=1)
    of_one_input = row_of[starts] == row_of[starts + SHINGLE - 1]
    turning = (rises >= FEWEST_TURNS) & (rises <= SHINGLE - 1 - FEWEST_TURNS)
    telling: NDArray[np.bool_] = of_one_input & turning & (distinct >= FEWEST_VALUES)
    return telling
