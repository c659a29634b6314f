"""Very large files, each read in a separate process, with its memory, time and outcome.

``python -m tests.reliability.hostile.giants BYTES SECONDS NAME...`` reads some, puts them on the grid, and prints the
figures as lines of JSON. BYTES is the limit for what they decompress to.
"""

from __future__ import annotations

import json
import math
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from tests.reliability.hostile.memory import peak_rss
from vitalprep.contract.config import Reading
from vitalprep.contract.config_file import load_config
from vitalprep.contract.table import to_parquet
from vitalprep.features.conversion import Body
from vitalprep.features.grid import harmonize
from vitalprep.runtime.errors import CaseRefused
from vitalprep.simulate.vital_writer import (
    DeviceHeader,
    FileHeader,
    NumericSeries,
    StringRecord,
    TrackHeader,
    WaveRecord,
    encode_file,
    encode_packet,
    gzip_bytes,
)
from vitalprep.storage.stream import Arriving
from vitalprep.vital.gunzip import MOST_MEMBERS
from vitalprep.vital.headers import MOST_HEADERS
from vitalprep.vital.recording import read_vital
from vitalprep.vital.rows import MOST_SAMPLES

__all__ = ["GIANTS", "LONGEST_TIME", "MOST_MEMORY", "Figures", "measured"]

START = 4102444800.0
MIB = 1 << 20
MOST_MEMORY = 600_000_000  # bytes, resident, of one process
LONGEST_TIME = 5.0  # s of a core, for what decompresses to 64 MiB
Pieces = Iterator[bytes]  # gzip members; the same object many times takes no memory

HEAD = encode_file(FileHeader(start=START), [DeviceHeader(device_id=1, name="Solar8000")])
HR = TrackHeader(track_id=1, kind="numeric", name="HR", unit="/min", sample_format=4, device_id=1)
ECG = TrackHeader(track_id=2, kind="wave", name="ECG_II", sample_format=5, sample_rate=1000, gain=0.01, device_id=1)
TRACKS = encode_packet(HR) + encode_packet(ECG)
WEEK = 604_800
MOST_TRACKS = 60_000  # with short names


def _numbers(count: int, seed: int = 0, *, track_id: int = 1) -> bytes:
    """Heart rates at random times of a week, 18 bytes each: the most samples that fit into a stream, and unsorted."""
    times = START + np.random.default_rng(seed).random(count) * WEEK
    values = np.full(count, 70, dtype=np.uint8)
    return encode_packet(NumericSeries(track_id=track_id, times=times, values=values, sample_format=4))


def _repeated(block: bytes, size: int) -> Pieces:
    member = gzip_bytes(block, level=1)
    yield from [member] * (size // len(block))


def waves(size: int) -> Pieces:
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    samples = np.random.default_rng(1).integers(-3000, 3000, 500)
    records = [WaveRecord(track_id=2, time=START + at, samples=samples, sample_format=5) for at in range(1000)]
    yield from _repeated(b"".join(map(encode_packet, records)), size - 2 * MIB)


def tiny_packets(size: int) -> Pieces:
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    yield from _repeated(bytes([77, 0, 0, 0, 0]) * 200_000, size - MIB)


def records_without_a_track(size: int) -> Pieces:
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    yield from _repeated(_numbers(50_000, track_id=9), size - MIB)


def one_huge_packet(size: int) -> Pieces:
    length = (size - MIB) // MIB * MIB
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000) + struct.pack("<bI", 77, length))
    yield from _repeated(bytes(MIB), length)


def one_huge_wave(size: int) -> Pieces:
    length = (size - MIB) // MIB * MIB
    head = struct.pack("<bIHdHI", 1, 16 + length, 10, START, 2, length // 2)
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000) + head)
    yield from _repeated(bytes(MIB), length)


def huge_texts(size: int) -> Pieces:
    note = TrackHeader(track_id=3, kind="string", name="EVENT")
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000) + encode_packet(note))
    yield from _repeated(encode_packet(StringRecord(track_id=3, time=START, text="\0" * MIB)), size - 2 * MIB)


def as_many_samples_as_are_read(size: int) -> Pieces:
    """Of one track, in no order."""
    yield gzip_bytes(HEAD + TRACKS)
    yield from _repeated(_numbers(MOST_SAMPLES // 160), 18 * MOST_SAMPLES)


def too_many_samples(size: int) -> Pieces:
    yield from as_many_samples_as_are_read(size)
    yield gzip_bytes(_numbers(1))


def as_many_tracks_and_samples_as_are_read(size: int) -> Pieces:
    """The most that is held at a time."""
    yield gzip_bytes(HEAD + TRACKS)
    for unit in ("a", "b"):
        yield from _every_track(MOST_TRACKS // 2, unit=unit)
    yield gzip_bytes(TRACKS)
    yield from _repeated(_numbers(50_000), 18 * (MOST_SAMPLES - 50_000 - MOST_TRACKS))


def many_names_of_two_devices(size: int) -> Pieces:
    """Each of which is compared, second by second."""
    devices = [DeviceHeader(device_id=number, name="Solar8000") for number in (1, 2)]
    yield gzip_bytes(encode_file(FileHeader(start=START), devices))
    for device in (1, 2):
        yield from _every_track(MOST_TRACKS // 2, device_id=device)
    yield gzip_bytes(TRACKS)
    yield from _repeated(_numbers(50_000), size // 2)


def many_tracks_with_long_names(size: int) -> Pieces:
    yield gzip_bytes(HEAD)
    yield from _every_track(15_000, name="N" * 10_000)


def _every_track(count: int, *, name: str = "", unit: str = "", device_id: int = 0) -> Pieces:
    for first in range(0, count, 64):
        packets = [
            encode_packet(
                TrackHeader(
                    track_id=number,
                    kind="numeric",
                    name=f"{number}{name}",
                    unit=unit,
                    device_id=device_id,
                    sample_format=4,
                )
            )
            + _numbers(1, track_id=number)
            for number in range(first, min(first + 64, count))
        ]
        yield gzip_bytes(b"".join(packets), level=1)


def a_device_with_a_long_name(size: int) -> Pieces:
    """Which a thousand tracks would repeat."""
    yield gzip_bytes(HEAD + encode_packet(DeviceHeader(device_id=7, name="\U0001f600" + "N" * 65_000)))
    yield from _every_track(1000, device_id=7)


def names_that_are_no_text(size: int) -> Pieces:
    """As long as a header may be, one after the other, none with a record."""
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    packets = []
    for number in range(20):
        body = struct.pack("<HBBI", 5, 2, 1, 65_000) + bytes([0xFF - number % 2] * 65_000)
        packets.append(struct.pack("<bI", 0, len(body)) + body)
    yield from _repeated(b"".join(packets), size - MIB)


def many_devices(size: int) -> Pieces:
    yield gzip_bytes(HEAD)
    for first in range(0, 160_000, 1000):
        devices = [DeviceHeader(device_id=first + number, name=f"{first + number}") for number in range(1000)]
        yield gzip_bytes(b"".join(map(encode_packet, devices)), level=1)


def a_track_announced_without_end(size: int) -> Pieces:
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    yield from _repeated(encode_packet(HR) * 1000, size - MIB)


def a_track_announced_often(size: int) -> Pieces:
    """As often as is read, never as before, and with a record each time in the end."""
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    others = [encode_packet(TrackHeader(track_id=5, kind="numeric", name=f"{number}")) for number in range(1000)]
    yield from _repeated(b"".join(others), sum(map(len, others)) * (MOST_HEADERS // 1000 - 1))


def tiny_members(size: int) -> Pieces:
    """A million, of one byte each, most of a record that is looked at when 128 KiB of it are there."""
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    length = 130_000
    record = struct.pack("<bIHdHI", 1, 16 + length, 10, START, 2, length // 2)
    for _ in range(MOST_MEMBERS // length - 1):
        yield gzip_bytes(record) + gzip_bytes(b"\0") * length


def empty_members(size: int) -> Pieces:
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    yield gzip_bytes(b"") * MOST_MEMBERS


def bomb(size: int) -> Pieces:
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000))
    yield from _repeated(struct.pack("<bI", 77, MIB - 5) + bytes(MIB - 5), 16 * size)


def nothing_without_end(size: int) -> Pieces:
    """Stored blocks of no bytes, one after the other, as long as a file may be."""
    yield gzip_bytes(b"")[:10]
    yield from [bytes([0, 0, 0, 0xFF, 0xFF]) * 100_000] * (size // 500_000)


def a_gzip_header_without_end(size: int) -> Pieces:
    yield bytes([0x1F, 0x8B, 8, 0b1000]) + bytes(6)
    yield from [b"n" * MIB] * (size // MIB)


def longer_than_any(size: int) -> Pieces:
    yield gzip_bytes(b"")[:10]
    yield from [bytes([0, 0, 0, 0xFF, 0xFF]) * 100_000] * (2 * size // 500_000)


def four_gigabytes_claimed(size: int) -> Pieces:
    yield gzip_bytes(HEAD + TRACKS + _numbers(1000) + struct.pack("<bI", 1, 0xFFFFFFFF))
    yield from _repeated(bytes(MIB), size - 2 * MIB)


GIANTS: dict[str, tuple[Callable[[int], Pieces], str]] = {
    "waves": (waves, "ok"),
    "tiny_packets": (tiny_packets, "ok"),
    "records_without_a_track": (records_without_a_track, "ok"),
    "one_huge_packet": (one_huge_packet, "ok"),
    "one_huge_wave": (one_huge_wave, "ok"),
    "huge_texts": (huge_texts, "ok"),
    "as_many_samples_as_are_read": (as_many_samples_as_are_read, "ok"),
    "too_many_samples": (too_many_samples, "too_large"),
    "as_many_tracks_and_samples_as_are_read": (as_many_tracks_and_samples_as_are_read, "ok"),
    "many_names_of_two_devices": (many_names_of_two_devices, "ok"),
    "many_tracks_with_long_names": (many_tracks_with_long_names, "too_large"),
    "a_device_with_a_long_name": (a_device_with_a_long_name, "too_large"),
    "names_that_are_no_text": (names_that_are_no_text, "too_large"),
    "many_devices": (many_devices, "too_large"),
    "a_track_announced_without_end": (a_track_announced_without_end, "too_large"),
    "a_track_announced_often": (a_track_announced_often, "ok"),
    "tiny_members": (tiny_members, "ok"),
    "empty_members": (empty_members, "too_large"),
    "bomb": (bomb, "too_large"),
    "nothing_without_end": (nothing_without_end, "truncated"),
    "a_gzip_header_without_end": (a_gzip_header_without_end, "truncated"),
    "longer_than_any": (longer_than_any, "too_large"),
    "four_gigabytes_claimed": (four_gigabytes_claimed, "corrupt"),
}
"""Each with what it must come to."""


@dataclass(frozen=True)
class Figures:
    """What became of a file: the reason or ``ok``, seconds of a core, peak of the process's resident bytes."""

    name: str
    outcome: str
    detail: str
    seconds: float
    peak_rss: int

    @property
    def right(self) -> bool:
        """Whether it is the outcome that it must be, in as much memory as there is."""
        return self.outcome == GIANTS[self.name][1] and self.peak_rss < MOST_MEMORY


def measured(names: Iterable[str], size: int, *, longest: float) -> list[Figures]:
    """Read giants in a process of their own, which is killed if one of them takes `longest` seconds of a core.

    The peak of one is at least that of those before it.
    """
    command = [sys.executable, "-m", "tests.reliability.hostile.giants", str(size), str(math.ceil(longest)), *names]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return [Figures(**json.loads(line)) for line in answer.stdout.splitlines()]


def _read(name: str, size: int, longest: int) -> Figures:
    chunks = list(GIANTS[name][0](size))
    began = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(began) + longest, resource.RLIM_INFINITY))
    try:
        recording = read_vital(
            lambda: Arriving(chunks, sum(map(len, chunks))), reading=Reading(max_decompressed_bytes=size)
        )
        config = load_config()
        series = harmonize(recording, config, Body(sex=1, height=180, weight=80))
        to_parquet(series.values, [item.name for item in config.inputs])
        outcome, detail = "ok", f"{len(recording.numerics)} tracks, {len(series.values)} s"
    except CaseRefused as refusal:
        outcome, detail = refusal.reason, refusal.detail
    taken = time.process_time() - began
    return Figures(name, outcome, detail, taken, peak_rss())


if __name__ == "__main__":
    for _name in sys.argv[3:]:
        print(json.dumps(asdict(_read(_name, int(sys.argv[1]), int(sys.argv[2])))))
