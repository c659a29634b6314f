"""Seeds of the mutator: small recordings with all features of the format, in both layouts, and with hostile names."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from vitalprep.simulate.vital_writer import (
    SAMPLE_DTYPES,
    DeviceHeader,
    FileHeader,
    NumericRecord,
    NumericSeries,
    Packet,
    RawPacket,
    StringRecord,
    Track,
    TrackHeader,
    WaveRecord,
    encode_file,
    encode_interleaved,
    encode_packed,
    encode_packet,
)

__all__ = ["HOSTILE_TEXTS", "START", "Stream", "seeds", "split"]

START = 4102444800.0
Stream = tuple[bytes, ...]  # the file's header and its packets, or what is taken for them

DEVICES = (
    DeviceHeader(device_id=1, typename="Solar8000", name="Solar8000", port="COM1"),
    DeviceHeader(device_id=2, typename="Primus", name=""),
    DeviceHeader(device_id=3, typename="Orchestra", name="Orchestra"),
)
HOSTILE_TEXTS = (
    b"../../../../etc/passwd",
    b"/etc/passwd",
    b"..\\..\\boot.ini",
    b"a\0b",
    b"\0",
    b"..",
    b"Solar8000/HR",
    b"\xed\xa0\x80\xed\xbf\xbf",  # surrogates, which are no UTF-8
    b"\xff\xfe\xc0\xaf\x80",
    b"\x1b]0;title\x07\x1b[2J\x9b31m\r\n",
    "\u202egnp.exe\u2066\u200b\U0001f600".encode(),
    b"%s%n{0}{name}$(id)`id`[bold]",
    b"N" * 10_000,
    b"\xff" * 1000,
)


def split(stream: bytes) -> Stream:
    """Cut a stream into its header and packets. What does not fit stays as one last piece."""
    if len(stream) < 10:
        return (stream,)
    at = 10 + int(struct.unpack_from("<H", stream, 8)[0])
    pieces = [stream[:at]]
    while at < len(stream):
        length = struct.unpack_from("<I", stream, at + 1)[0] if len(stream) - at >= 5 else 0
        end = at + 5 + length
        pieces.append(stream[at:end])
        at = end
    return tuple(pieces)


def seeds() -> list[Stream]:
    """Return decompressed streams of a few kB each."""
    tracks = _tracks()
    header = FileHeader(start=START, end=START + 60)
    streams = [
        encode_interleaved(header, DEVICES, tracks),
        encode_packed(replace(header, packed=True), DEVICES, tracks),
        encode_interleaved(FileHeader(length=10), DEVICES, tracks[:3]),
        encode_file(header, _again(tracks)),
        encode_file(header, [*DEVICES, *_formats()]),
        encode_file(header, _short_waves()),
        encode_file(FileHeader(start=START, length=90), []),
        encode_interleaved(FileHeader(start=START, length=20), DEVICES, tracks[:1]),
    ]
    streams += [encode_file(header, []) + _hostile_track(text) for text in HOSTILE_TEXTS]
    return [split(stream) for stream in streams]


def _tracks() -> list[Track]:
    seconds = START + np.arange(0, 40, 2.0)
    hr = TrackHeader(track_id=1, kind="numeric", name="HR", unit="/min", device_id=1)
    tv = TrackHeader(track_id=2, kind="numeric", name="TV", unit="mL", sample_format=5, gain=0.5, device_id=2)
    rate = TrackHeader(track_id=3, kind="numeric", name="RFTN20_RATE", unit="mL/hr", sample_format=2, device_id=3)
    co2 = TrackHeader(track_id=4, kind="wave", name="CO2", sample_format=6, sample_rate=62.5, gain=0.1, device_id=2)
    note = TrackHeader(track_id=5, kind="string", name="EVENT")
    waves = [WaveRecord(track_id=4, time=at, samples=np.arange(20), sample_format=6) for at in (START, START + 1)]
    return [
        Track(hr, (NumericSeries(track_id=1, times=seconds, values=70 + np.arange(20.0)),)),
        Track(tv, (NumericSeries(track_id=2, times=seconds[::3], values=np.full(7, 900), sample_format=5),)),
        Track(rate, (NumericSeries(track_id=3, times=seconds[::5], values=np.full(4, 24.0), sample_format=2),)),
        Track(co2, tuple(waves)),
        Track(note, (StringRecord(track_id=5, time=START + 3, text="intubation"),)),
    ]


def _again(tracks: list[Track]) -> list[Packet]:
    """A track announced late, again, with another unit, and times that go back."""
    hr = tracks[0].header
    records = [NumericRecord(track_id=1, time=START + at, value=80 + at) for at in (5, 1, 1, 700)]
    return [*DEVICES, *records, hr, *records, hr, records[1], replace(hr, unit="bpm"), *records, RawPacket(77, b"?")]


def _formats() -> list[Packet]:
    packets: list[Packet] = []
    for code in range(1, 9):
        header = TrackHeader(track_id=code, kind="numeric", name=f"N{code}", sample_format=code, gain=2, offset=-1)
        values = (code, SAMPLE_DTYPES[code].type(-100.0 if code in (1, 2, 3, 5, 7) else 200))
        packets += [header]
        packets += [NumericRecord(track_id=code, time=START + code, value=it, sample_format=code) for it in values]
    return packets


def _short_waves() -> list[Packet]:
    """Waves of no, one and two samples, each the last of its recording."""
    header = TrackHeader(track_id=1, kind="wave", name="CO2", sample_format=6, sample_rate=0.5)
    return [
        packet
        for count in range(3)
        for packet in (
            replace(header, track_id=count),
            WaveRecord(track_id=count, time=START + count, samples=np.arange(count), sample_format=6),
        )
    ]


def _hostile_track(text: bytes) -> bytes:
    name = struct.pack("<I", len(text)) + text
    body = struct.pack("<HBB", 7, 2, 1) + name + name + struct.pack("<ffIfddBI", 0, 0, 0, 0, 1, 0, 0, 9)
    device = struct.pack("<I", 9) + name * 3
    packets = [(9, device), (0, body), (1, struct.pack("<HdHf", 10, START, 7, 1.5))]
    known: list[Packet] = [DEVICES[0], TrackHeader(track_id=1, kind="numeric", name="HR", unit="/min", device_id=1)]
    known += [NumericRecord(track_id=1, time=START + 1, value=70)]
    return b"".join(struct.pack("<bI", kind, len(it)) + it for kind, it in packets) + b"".join(
        map(encode_packet, known)
    )
