"""Harmonizes one case, from its raw object to its receipt. All storage access of harmonizing a case is here."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest

from vitalprep.contract.config import Config
from vitalprep.contract.paths import receipt_path, table_path
from vitalprep.contract.plan import Part, PlannedCase
from vitalprep.contract.receipt import MOST_UNUSED, InputFile, InputObject, Receipt, UnitConflict, UnusedTrack
from vitalprep.contract.table import holds_values, observed_runs, to_parquet, values_sha256
from vitalprep.features.conversion import Body
from vitalprep.features.grid import harmonize, unused_tracks
from vitalprep.features.mapped import of_case
from vitalprep.runtime.console import log
from vitalprep.runtime.errors import CaseRefused, RetryableError
from vitalprep.storage import ObjectChanged, ObjectMissing, Storage
from vitalprep.storage.stream import Arriving
from vitalprep.vital.gunzip import longest_file
from vitalprep.vital.headers import shown
from vitalprep.vital.recording import Numeric, VitalFile, read_vital

__all__ = ["CaseTask", "harmonize_case"]

READINGS = 4
MOST_UNITS = 4  # of one track in a receipt


@dataclass(frozen=True)
class CaseTask:
    """Everything that a worker process needs for one case. `stem` is the path of its table and receipt, no suffix."""

    case: PlannedCase
    config: Config
    harmonize_digest: str
    stem: str
    input: str
    output: str


def harmonize_case(task: CaseTask) -> Receipt | None:
    """Read, harmonize and commit one case. Return its receipt, or None if its object changed since the plan.

    The table is written first, then the receipt. Both are create-only: the second of two concurrent writers returns the
    first one's receipt. An unusable recording gets a receipt with its reason.

    Raises
    ------
    RetryableError
        If the storage fails, or repeated readings of the recording differ.
    UsageError
        If the storage denies access.
    """
    case = task.case
    output = _storage(task.output)
    watch = _Stopwatch()
    try:
        reading = _reading(task, watch)
    except (ObjectChanged, ObjectMissing):
        return None
    if isinstance(reading.recording, CaseRefused):
        return _committed(_excluded(task, reading.recording, reading.hashes, watch.seconds), task, output)
    try:
        series = harmonize(reading.recording, task.config, _body(task), case.cells)
    except CaseRefused as refusal:
        unused = unused_tracks(reading.recording, of_case(task.config, case.cells))
        return _committed(_excluded(task, refusal, reading.hashes, watch.seconds, unused), task, output)
    watch.lap("harmonize")
    names = [item.name for item in task.config.inputs]
    digest = values_sha256(series.values, names)
    _store_table(output, table_path(task.stem, digest), to_parquet(series.values, names), names, digest)
    watch.lap("write")
    receipt = Receipt(
        case_id=case.case_id,
        status="ok",
        input=_input(task, reading.hashes),
        input_id=case.input_id,
        harmonize_digest=task.harmonize_digest,
        seconds=len(series.values),
        values_sha256=digest,
        observed=observed_runs(series.values),
        features=series.quality,
        unit_conflicts=tuple(UnitConflict(track=track, unit=unit) for track, unit in series.unit_conflicts),
        skipped_records=reading.recording.skipped_records,
        clock=reading.recording.set_by,
        untimed=reading.recording.untimed,
        salvaged=reading.recording.salvaged,
        set_back=reading.recording.set_back,
        doubled=dict(reading.recording.doubled),
        unused=_unused(series.unused),
        unused_tracks=len(series.unused),
        timings=watch.seconds,
    )
    return _committed(receipt, task, output)


@dataclass(frozen=True)
class _Reading:
    """A recording, or why it is unusable, and the SHA-256 of each of its files (none where they were not read)."""

    recording: VitalFile | CaseRefused
    hashes: tuple[str, ...] = ()


def _reading(task: CaseTask, watch: _Stopwatch) -> _Reading:
    """Read a case's recording. A refusal is permanent, so it requires two readings with the same bytes."""
    case, most = task.case, task.config.reading.max_decompressed_bytes
    seen: set[tuple[str, ...]] = set()
    for _ in range(READINGS):
        files = [_Opening(task.input, file) for file in case.files]
        watch.lap("read")
        try:
            recording = read_vital(*files, reading=task.config.reading)
        except CaseRefused as refusal:
            if any(file.size > longest_file(most) for file in case.files):
                return _Reading(refusal)  # refused for its size alone, which the plan confirms
            hashes = tuple(file.first.sha256() for file in files)
            del files
            if hashes in seen:
                return _Reading(refusal, hashes)
            seen.add(hashes)
            log(f"case {case.case_id} is read again before it is excluded, {refusal}", case_id=case.case_id)
            continue
        watch.lap("parse")
        watch.move(sum(file.first.waited for file in files), "parse", "read")
        return _Reading(recording, tuple(file.first.sha256() for file in files))
    raise RetryableError(
        f"Case {case.case_id}: {READINGS} readings of {', '.join(file.object for file in case.files)} all differ.",
        fix="check the network and the storage, then run it again: it resumes.",
    )


class _Opening:
    """Opens a file from its begin each time. `first` is the first reading, of which the digest is computed."""

    def __init__(self, location: str, file: Part) -> None:
        self._location, self._file = location, file
        self.first = self._begun(hashed=True)
        self._next: Arriving | None = self.first

    def __call__(self) -> Arriving:
        data, self._next = self._next or self._begun(hashed=False), None
        return data

    def _begun(self, *, hashed: bool) -> Arriving:
        file = self._file
        return _storage(self._location).arriving(file.object, etag=file.etag or None, size=file.size, hashed=hashed)


def _store_table(output: Storage, path: str, parquet: bytes, names: list[str], digest: str) -> None:
    """Write a table unless its values are there. One that holds other values than its name says is damaged."""
    if not output.create(path, parquet) and not holds_values(output.get(path), names, digest):
        log(f"{output.uri_of(path)} was damaged; it is written anew", level=logging.WARNING)
        output.put(path, parquet)


@cache
def _storage(uri: str) -> Storage:
    return Storage(uri)


def _committed(receipt: Receipt, task: CaseTask, output: Storage) -> Receipt:
    path = receipt_path(task.stem)
    if output.create(path, receipt.to_bytes()):
        return receipt
    return Receipt.from_bytes(output.get(path), uri=output.uri_of(path))


def _body(task: CaseTask) -> Body:
    return Body(**task.case.settled_body(task.config))


def _input(task: CaseTask, hashes: tuple[str, ...]) -> InputObject:
    case, stamp = task.case, task.case.stamp
    first, *further = (
        InputFile(uri=f"{task.input}/{file.object}", size=known.size, etag=known.etag, sha256=sha256)
        for file, known, sha256 in zip_longest(case.files, (stamp, *stamp.parts), hashes)
    )
    return InputObject(**dict(first), parts=tuple(further))


def _unused(tracks: Sequence[Numeric]) -> tuple[UnusedTrack, ...]:
    return tuple(
        UnusedTrack(
            track=shown(track.name), units=tuple(map(shown, track.units[:MOST_UNITS])), records=len(track.times)
        )
        for track in tracks[:MOST_UNUSED]
    )


def _excluded(
    task: CaseTask,
    refusal: CaseRefused,
    hashes: tuple[str, ...],
    timings: dict[str, float],
    unused: Sequence[Numeric] = (),
) -> Receipt:
    return Receipt(
        case_id=task.case.case_id,
        status="excluded",
        reason=refusal.reason,
        detail=refusal.detail,
        input=_input(task, hashes),
        input_id=task.case.input_id,
        harmonize_digest=task.harmonize_digest,
        unused=_unused(unused),
        unused_tracks=len(unused),
        timings=timings,
    )


class _Stopwatch:
    """Seconds spent in each named step; `lap` ends a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 4)
        self._last = now

    def move(self, seconds: float, taken_from: str, to: str) -> None:
        """Move seconds from one step to another, for steps that overlap."""
        self.seconds[taken_from] = round(self.seconds[taken_from] - seconds, 4)
        self.seconds[to] = round(self.seconds[to] + seconds, 4)
