"""Encodes a case's tracks as one `.vital` file, in one of the layouts found in practice.

Odd cases are packed, as written by tools that re-encode recordings. Even cases are interleaved, as Vital Recorder
writes them while recording, with the three header lengths in rotation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vitalprep.simulate.course import Phases
from vitalprep.simulate.signals import NumericTrack
from vitalprep.simulate.streams import Purpose, case_rng
from vitalprep.simulate.vital_writer import (
    DeviceHeader,
    FileHeader,
    NumericSeries,
    StringRecord,
    Track,
    TrackHeader,
    WaveRecord,
    encode_interleaved,
    encode_packed,
    gzip_bytes,
)
from vitalprep.simulate.waves.tracks import WaveTrack

__all__ = ["SHORTEST_WITH_START", "FileForm", "encode_recording", "file_form"]

_EPOCH: Final = 4102444800.0  # 2100-01-01 UTC, the date that de-identified recordings are shifted to
_HEADER_LENGTHS: Final = (10, 26, 27)
SHORTEST_WITH_START: Final = 26  # bytes of a header with both times
_GZIP_LEVEL: Final = 4  # for waves: 2 % larger than level 6 in a third of the time
_FLOAT32, _INT16 = 1, 5  # sample formats


@dataclass(frozen=True, kw_only=True)
class FileForm:
    """The form of a case's file: `start` in Unix seconds (whole milliseconds), layout, and header length in bytes.

    `clock_error`, in s, is added to the times in the header alone.
    """

    start: float
    packed: bool
    header_length: int
    clock_error: float = 0.0

    @property
    def has_start(self) -> bool:
        """Whether the header is long enough for the start time, and the time is right."""
        return self.header_length >= SHORTEST_WITH_START and not self.clock_error


def file_form(seed: int, case_id: int) -> FileForm:
    """Return the form of a case's file."""
    packed = case_id % 2 == 1
    return FileForm(
        start=_EPOCH + round(case_rng(seed, case_id, Purpose.FILE).uniform(0, 86400), 3),
        packed=packed,
        header_length=27 if packed else _HEADER_LENGTHS[case_id // 2 % 3],
    )


def encode_recording(
    seed: int,
    case_id: int,
    phases: Phases,
    numerics: Sequence[NumericTrack],
    waves: Iterable[WaveTrack],
    form: FileForm | None = None,
) -> bytes:
    """Return the complete gzipped file of one case, with a start in 2100. `form` is by default the case's own."""
    form = form or file_form(seed, case_id)
    start, packed = form.start, form.packed
    drawn = tuple(waves)
    numbered = [(track.device, track.device_number) for track in numerics] + [(track.form.device, 1) for track in drawn]
    device_ids = {device: number for number, device in enumerate(dict.fromkeys(numbered), start=1)}
    devices = [DeviceHeader(device_id=number, typename=name, name=name) for (name, _), number in device_ids.items()]

    tracks: list[Track] = []
    for numeric in numerics:
        tracks.append(
            _numeric_track(len(tracks) + 1, device_ids[numeric.device, numeric.device_number], start, numeric)
        )
    for wave in drawn:
        tracks.append(_wave_track(len(tracks) + 1, device_ids[wave.form.device, 1], start, wave))
    tracks.append(_event_track(len(tracks) + 1, start, phases))

    header = FileHeader(
        length=form.header_length,
        start=start + form.clock_error,
        end=start + form.clock_error + _length(phases, numerics),
        packed=packed,
        utc_offset_minutes=-540,
    )
    return gzip_bytes((encode_packed if packed else encode_interleaved)(header, devices, tracks), level=_GZIP_LEVEL)


def _length(phases: Phases, numerics: Sequence[NumericTrack]) -> float:
    """Return the length of the recording in s, which is longer than the case if the recording paused."""
    return max([phases.end, *(float(track.times.max()) for track in numerics if len(track.times))])


def _numeric_track(track_id: int, device_id: int, start: float, track: NumericTrack) -> Track:
    header = TrackHeader(track_id=track_id, kind="numeric", name=track.name, unit=track.unit, device_id=device_id)
    series = NumericSeries(track_id=track_id, times=start + track.times, values=track.values.astype(np.float32))
    return Track(header, (series,))


def _wave_track(track_id: int, device_id: int, start: float, track: WaveTrack) -> Track:
    form = track.form
    header = TrackHeader(
        track_id=track_id,
        kind="wave",
        sample_format=_INT16,
        name=form.name,
        unit=form.unit,
        sample_rate=form.sample_rate,
        gain=form.gain,
        offset=form.offset,
        display_min=form.display_min,
        display_max=form.display_max,
        device_id=device_id,
    )
    records = tuple(
        WaveRecord(track_id=track_id, time=start + seconds, samples=piece, sample_format=_INT16)
        for seconds, piece in zip(track.starts.tolist(), track.samples, strict=True)
    )
    return Track(header, records)


def _event_track(track_id: int, start: float, phases: Phases) -> Track:
    """Return the annotation track, with the notes typed during a case. It has no device."""
    notes = (
        (phases.induction, "Induction"),
        (phases.intubation, "Intubation"),
        (phases.incision, "Incision"),
        (phases.extubation, "Extubation"),
    )
    header = TrackHeader(track_id=track_id, kind="string", sample_format=_FLOAT32, name="EVENT")
    return Track(
        header,
        tuple(StringRecord(track_id=track_id, time=start + round(at, 3), text=text) for at, text in notes),
    )
