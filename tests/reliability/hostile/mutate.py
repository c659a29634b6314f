"""Mutates recordings. Most mutations change the decompressed packets, so that gzip's checksum stays valid."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.reliability.hostile.seeds import HOSTILE_TEXTS, START, Stream, split
from vitalprep.simulate.vital_writer import gzip_bytes

__all__ = ["Mutant", "mutant"]

LONGEST = 24_000  # bytes of a mutant: the smaller, the more of them
MOST_PACKETS = 400
DAMAGED_GZIP = 0.1
SEEDS = 20  # about; the pool begins with them
U8 = (0, 1, 2, 3, 5, 8, 9, 127, 128, 255)
U16 = (0, 1, 2, 9, 10, 11, 12, 255, 256, 32767, 32768, 65530, 65535)
U32 = (0, 1, 2, 3, 4, 11, 12, 13, 65535, 65536, 65537, 131071, 131072, 1 << 30, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
F32 = (0.0, -500.0, -0.0, 1.0, 62.5, -1.0, 1e-45, 3.4e38, math.nan, math.inf, -math.inf)
F64 = (*F32[:-4], 5e-324, 1.7e308, -1.7e308, 1e18, -1e18, math.nan, math.inf, -math.inf)
TIMES = (*F64, START, START - 1, START - 1e-4, START + 1, START + 3600, START + 604800, START + 604800.9999, START * 2)
Fields = tuple[tuple[int, str, tuple[float, ...]], ...]
# Where fields begin in a packet, and what they may be: (from the packet's begin, from the end of a track's strings).
RECORD_FIELDS: Fields = (
    (5, "<H", U16),
    (7, "<d", TIMES),
    (15, "<H", U16),
    (17, "<I", U32),
    (17, "<f", F32),
    (17, "<d", F64),
)
TRACK_FIELDS: Fields = ((5, "<H", U16), (7, "<B", U8), (8, "<B", U8), (9, "<I", U32))
AFTER_STRINGS: Fields = ((12, "<f", F32), (16, "<d", F64), (24, "<d", F64), (33, "<I", U32))
HEADER_LENGTHS = (0, 10, 17, 18, 25, 26, 27, 28, 34, 35, 90, 65535)
HEADER_FIELDS: Fields = (
    (4, "<I", U32),
    (8, "<H", HEADER_LENGTHS),
    (20, "<d", TIMES),
    (28, "<d", TIMES),
    (36, "<B", U8),
)
DEVICE_FIELDS: Fields = ((5, "<I", U32), (9, "<I", U32))


@dataclass(frozen=True)
class Mutant:
    """A file, and the stream that it decompresses to, unless the gzip layer is damaged too."""

    file: bytes
    pieces: Stream
    stream: bytes | None


def mutant(random: Random, pool: Sequence[Stream]) -> Mutant:
    """Return one to four mutations of one of the pool: of a seed, of any, or rather of a late one."""
    first, any_, another = (random.randrange(size) for size in (min(SEEDS, len(pool)), len(pool), len(pool)))
    index = random.choice((first, any_, max(any_, another)))
    pieces = list(pool[index])
    for _ in range(random.choice((1, 1, 2, 2, 3, 4))):
        random.choice(MUTATIONS)(random, pieces, pool)
    stream = b"".join(pieces)[:LONGEST]
    if random.random() < 0.02:
        stream = stream[: random.randrange(len(stream) + 1)]
    file = _compressed(random, stream)
    if random.random() < DAMAGED_GZIP:
        return Mutant(_damaged_gzip(random, file), split(stream), None)
    return Mutant(file, split(stream), stream)


def _flip(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    at = random.randrange(len(pieces))
    data = bytearray(pieces[at])
    for _ in range(random.choice((1, 1, 2, 4))):
        if data:
            data[random.randrange(len(data))] ^= random.choice((1 << random.randrange(8), random.randrange(256)))
    pieces[at] = bytes(data)


def _cut(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    """A body cut or lengthened, its length field told or not."""
    at = random.randrange(len(pieces))
    data = pieces[at]
    end = random.randrange(len(data) + 1)
    data = data[:end] if random.random() < 0.7 else data + random.randbytes(random.randrange(1, 24))
    if at and len(data) >= 5 and random.random() < 0.8:
        data = data[:1] + struct.pack("<I", len(data) - 5) + data[5:]
    pieces[at] = data


def _length(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    at = random.randrange(len(pieces))
    data = pieces[at]
    if at and len(data) >= 5:
        near = max(0, len(data) - 5 + random.randrange(-3, 4))
        pieces[at] = data[:1] + struct.pack("<I", random.choice((near, random.choice(U32)))) + data[5:]


def _field(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    at = random.randrange(len(pieces)) if random.random() < 0.95 else 0
    data = bytearray(pieces[at])
    fields: Fields = HEADER_FIELDS
    begin = 0
    if at:
        kind = data[0] if data else 77
        fields = {0: TRACK_FIELDS, 1: RECORD_FIELDS, 9: DEVICE_FIELDS}.get(kind, TRACK_FIELDS[:1])
        if kind == 0 and random.random() < 0.5:
            fields, begin = AFTER_STRINGS, _end_of_strings(data)
    place, code, values = random.choice(fields)
    if begin + place + struct.calcsize(code) <= len(data):
        struct.pack_into(code, data, begin + place, random.choice(values))
        pieces[at] = bytes(data)


def _end_of_strings(data: bytes | bytearray) -> int:
    at = 9
    for _ in range(2):
        if at + 4 > len(data):
            return at
        at += 4 + int(struct.unpack_from("<I", data, at)[0])
    return at


def _text(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    """Another name for a track or a device."""
    heads = [at for at, piece in enumerate(pieces) if at and piece[:1] in (b"\0", b"\x09") and len(piece) > 13]
    if not heads:
        return
    at = random.choice(heads)
    data = pieces[at]
    length = struct.unpack_from("<I", data, 9)[0]
    text = random.choice(HOSTILE_TEXTS)
    body = data[5:9] + struct.pack("<I", len(text)) + text + data[13 + length :]
    pieces[at] = data[:1] + struct.pack("<I", len(body)) + body


def _again(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    at = random.randrange(len(pieces))
    times = random.choice((1, 1, 2, 7, 50))
    if len(pieces) + times <= MOST_PACKETS and (len(pieces[at]) + 1) * times < LONGEST // 2:
        to = random.randrange(1, len(pieces) + 1)
        pieces[to:to] = [pieces[at]] * times


def _drop(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    if len(pieces) > 1:
        del pieces[random.randrange(len(pieces))]


def _move(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    piece = pieces.pop(random.randrange(len(pieces)))
    pieces.insert(random.randrange(len(pieces) + 1), piece)


def _splice(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    other = random.choice(pool)
    begin = random.randrange(len(other))
    part = other[begin : begin + random.randrange(1, 9)]
    if len(pieces) + len(part) <= MOST_PACKETS:
        to = random.randrange(len(pieces) + 1)
        pieces[to : to + random.choice((0, 0, len(part)))] = part


def _packet(random: Random, pieces: list[bytes], pool: Sequence[Stream]) -> None:
    """A packet of any type with any body."""
    kind = random.choice((0, 1, 1, 6, 9, 77, -1))
    body = random.randbytes(random.choice((0, 1, 8, 12, 13, 20, 60)))
    pieces.insert(random.randrange(len(pieces) + 1), struct.pack("<bI", kind, len(body)) + body)


Mutation = Callable[[Random, list[bytes], Sequence[Stream]], None]
MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _flip, _cut, _length, _field, _field, _field, _field),
    *(_text, _again, _drop, _move, _splice, _splice, _packet),
)


def _compressed(random: Random, stream: bytes) -> bytes:
    level = random.choice((0, 1))
    if random.random() < 0.85:
        return gzip_bytes(stream, level=level)
    edges = sorted(random.randrange(len(stream) + 1) for _ in range(random.choice((1, 2, 9))))
    parts = [stream[a:b] for a, b in zip([0, *edges], [*edges, len(stream)], strict=True)]
    return b"".join(gzip_bytes(part, level=level) for part in parts)


def _damaged_gzip(random: Random, file: bytes) -> bytes:
    """The compressed bytes flipped, cut, lengthened, or with a header that is rarely seen."""
    data = bytearray(file)
    match random.randrange(6):
        case 0:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        case 1:
            del data[random.randrange(len(data)) :]
        case 2:
            data += random.choice((b"\0", b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(20), file[:20], random.randbytes(9)))
        case 3:
            data[random.choice((2, 3, -8, -4, -1))] = random.randrange(256)  # method, flags, checksum, size
        case 4:
            data = bytearray(_with_optional_fields(random, file))
        case _:
            at = random.randrange(len(data))
            data[at : at + random.randrange(9)] = random.randbytes(random.randrange(9))
    return bytes(data)


def _with_optional_fields(random: Random, file: bytes) -> bytes:
    """A gzip header with its extra field, name, comment and checksum, which is wrong now and then."""
    extra, text = random.randbytes(random.randrange(40)), b"n" * random.choice((0, 1, 300)) + b"\0"
    head = file[:3] + bytes([0b11110 | random.choice((0, 1, 32))]) + file[4:10]
    head += struct.pack("<H", len(extra)) + extra + text + text
    return head + struct.pack("<H", (zlib.crc32(head) ^ random.choice((0, 0, 1))) & 0xFFFF) + file[10:]
