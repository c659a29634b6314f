"""Judges the reader's result for a file: the true values, as given by slow reference readers, or a reason.

The file's stream is known, or comes from Python's own zlib, which shares nothing with the reader's decompressor; its
packets are read by `tests.reference.slow_scan`, and its table is worked out by `tests.reference.design4`.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from tests.features.test_grid import SOURCES, reference_table
from tests.reference import design4
from tests.reference.slow_vital_file import read_stream_slowly
from tests.reliability.hostile.outcomes import MAX_BYTES, OUTCOMES
from tests.vital.recordings import comparable
from vitalprep.contract.config import Config, Reading
from vitalprep.contract.config_file import load_config
from vitalprep.features.conversion import Body
from vitalprep.features.grid import harmonize
from vitalprep.runtime.errors import CaseRefused
from vitalprep.vital.recording import VitalFile, read_vital

__all__ = ["Verdict", "WrongAnswer", "harmonized", "judged"]


BODY = Body(sex=1, height=180, weight=80)
LONGEST_TABLE = 800  # s; the slow reference takes its time
_VARYING = re.compile(r"b?'[^']*'|b\"[^\"]*\"|\([^)]*\)|of .*;|-?\d[\d.e+]*|nan|inf")


class WrongAnswer(AssertionError):
    """The reader gave something else than the truth or a reason."""


@dataclass(frozen=True)
class Verdict:
    """What became of a file. `signature` is the same for files that are alike to the reader."""

    outcome: str
    signature: tuple[object, ...]
    recording: VitalFile | None = None


def judged(file: bytes, stream: bytes | None) -> Verdict:
    """Read a file and compare with the truth. `stream` is what it decompresses to, if that is known.

    Raises
    ------
    WrongAnswer
        If the reader accepts what is damaged, refuses what is not, or gives other values or words.
    """
    if stream is None:
        stream = _gunzip(file)
    wanted = None if stream is None else _answer(stream)
    try:
        recording = read_vital(file, reading=Reading(max_decompressed_bytes=MAX_BYTES))
    except CaseRefused as refusal:
        if refusal.reason not in OUTCOMES or not refusal.detail:
            raise WrongAnswer(f"refused without a known reason: {refusal}") from refusal
        if wanted is not None and wanted != (refusal.reason, refusal.detail):
            raise WrongAnswer(f"refused ({refusal}), where the reference finds {wanted}") from refusal
        return Verdict(refusal.reason, (refusal.reason, _VARYING.sub("#", refusal.detail)))
    if wanted is None:
        raise WrongAnswer("read, though zlib finds the file damaged")
    if comparable(recording) != wanted:
        raise WrongAnswer(f"read as {comparable(recording)}, where the reference finds {wanted}")
    return Verdict("ok", ("ok", *_sizes(recording)), recording)


def _answer(stream: bytes) -> tuple[object, ...]:
    try:
        return comparable(read_stream_slowly([stream], max_bytes=MAX_BYTES))
    except CaseRefused as refusal:
        return refusal.reason, refusal.detail


def _gunzip(file: bytes) -> bytes | None:
    """Return what all members of a gzip file hold, or None if it is damaged or more than the limit."""
    pieces: list[bytes] = []
    while file or not pieces:
        member = zlib.decompressobj(wbits=31)
        try:
            pieces.append(member.decompress(file, MAX_BYTES + 1))
        except zlib.error:
            return None
        if not member.eof or sum(map(len, pieces)) > MAX_BYTES:
            return None
        file = member.unused_data
    return b"".join(pieces)


def _sizes(recording: VitalFile) -> tuple[int, ...]:
    samples = [len(track.times) for track in recording.numerics.values()]
    span = 0.0 if recording.last_time is None else recording.last_time - (recording.first_time or 0)
    numbers = len(samples), sum(samples), recording.skipped_records, int(span)
    mixed_units = sum(len(track.units) > 1 for track in recording.numerics.values())
    return (*((number.bit_length() + 1) // 2 for number in numbers), mixed_units.bit_length())


def harmonized(recording: VitalFile) -> str:
    """Put a recording on the grid, compare a short one with the slow reference, and return what became of it."""
    config = _config()
    try:
        found = harmonize(recording, config, BODY)
    except CaseRefused as refusal:
        if refusal.reason not in OUTCOMES:
            raise WrongAnswer(f"refused without a known reason: {refusal}") from refusal
        return refusal.reason
    if len(found.values) <= LONGEST_TABLE and not found.unit_conflicts:
        assert recording.first_time is not None
        assert recording.last_time is not None
        assert recording.start is not None
        start = recording.start
        wanted = _table(recording, start, len(found.values))
        if not np.allclose(found.values, wanted, rtol=1e-6, atol=0, equal_nan=True):
            raise WrongAnswer("another table than the reference's")
    return "ok"


@cache
def _config() -> Config:
    return load_config()


def _table(recording: VitalFile, start: float, seconds: int) -> np.ndarray:
    sources = {track for text in SOURCES.values() for track in text.split("; ")}
    records = {
        name: list(zip(track.times.tolist(), track.values.tolist(), strict=True))
        for name, track in recording.numerics.items()
        if name in sources
    }
    assert design4.seconds_of_recording(start, recording.last_time or start) == seconds
    return reference_table(records, BODY, start, seconds)
