"""Files parsed while downloading give the same result as complete ones, and never count as truncated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipeline import BUCKET
from tests.vital.recordings import START, comparable, packet_rows
from vitalprep.contract.config import Reading
from vitalprep.runtime.errors import CaseRefused, RetryableError
from vitalprep.simulate.vital_writer import FileHeader, Packet, encode_file, gzip_bytes
from vitalprep.storage import READ_CHUNK, ObjectChanged, ObjectMissing, Storage
from vitalprep.storage.stream import Arriving
from vitalprep.vital.recording import File, read_vital


def pieces(data: bytes, cuts: list[float]) -> list[bytes]:
    edges = sorted([0, len(data), *(int(cut * len(data)) for cut in cuts)])
    return [data[a:b] for a, b in pairwise(edges)]


def outcome(file: File) -> object:
    try:
        return comparable(read_vital(file, reading=Reading(max_decompressed_bytes=1 << 20)))
    except CaseRefused as refusal:
        return refusal.reason, refusal.detail


@settings(max_examples=150, deadline=None)
@given(packets=packet_rows(), cuts=st.lists(st.floats(0, 1), max_size=6), data=st.data())
def test_chunks_of_any_size_read_like_the_whole_file(
    packets: list[Packet], cuts: list[float], data: st.DataObject
) -> None:
    """Several members, cut short, with something behind them, with a flipped byte; empty pieces too."""
    stream = encode_file(FileHeader(start=START), packets)
    half = data.draw(st.integers(0, len(stream)))
    file = bytearray(gzip_bytes(stream[:half]) + gzip_bytes(stream[half:]) + data.draw(st.sampled_from([b"", b"x"])))
    if data.draw(st.booleans()):
        file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    whole = bytes(file[: data.draw(st.just(len(file)) | st.integers(0, len(file)))])
    assert outcome(lambda: Arriving(pieces(whole, cuts), len(whole))) == outcome(whole)


def test_a_large_file_in_chunks() -> None:
    rng = np.random.default_rng(3)
    noise = b"M" + (1_500_000).to_bytes(4, "little") + rng.bytes(1_500_000)
    whole = gzip_bytes(encode_file(FileHeader(start=START), []) + noise) + gzip_bytes(noise)
    for size in (10_007, 1 << 18, (1 << 18) + 1, READ_CHUNK):
        chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert outcome(lambda chunks=chunks: Arriving(chunks, len(whole))) == outcome(whole)


@pytest.mark.parametrize("missing", [1, 9, 100, -1])
def test_a_lost_connection_is_not_a_truncated_file(missing: int) -> None:
    """An exclusion is permanent; a lost connection must be retried."""
    data = gzip_bytes(encode_file(FileHeader(start=START), []) + bytes([77, 0, 0, 0, 0]) * 99)
    sent = data[:-missing] if missing > 0 else data + b"x"
    with pytest.raises(RetryableError, match=rf"{len(sent)} of {len(data)} bytes"):
        read_vital(lambda: Arriving([sent], len(data), name="0001.vital"))


def test_only_a_window_is_buffered() -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield bytes([number]) * 1000

    file = Arriving(chunks(), 100_000)
    for position in range(0, 100_000, 500):
        assert (
            bytes(file.at(position, 700))
            == b"".join(bytes([at // 1000]) for at in range(position, position + 700))[: 100_000 - position]
        )
        assert len(taken) <= position // 1000 + 2
        assert len(file._window) <= 2000


@pytest.fixture(params=["folder", "s3"])
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A storage's URI, with the object ``1.vital`` of 3 MB."""
    folder = tmp_path_factory.mktemp("stored")
    uri = str(folder)
    if request.param == "s3":
        for name, value in request.getfixturevalue("s3_environment").items():
            monkeypatch.setenv(name, value)
        uri = f"s3://{BUCKET}/{folder.name}"
    Storage(uri).put("1.vital", bytes(3 * READ_CHUNK + 1))
    return uri


def test_an_object_of_a_storage(stored: str) -> None:
    storage = Storage(stored)
    planned = storage.head("1.vital")
    assert planned is not None
    file = storage.arriving("1.vital", etag=planned.etag)
    assert file.size == 3 * READ_CHUNK + 1
    assert sum(len(file.at(position, 5000)) for position in range(0, file.size, 5000)) == file.size
    assert file.waited >= 0
    storage.put("1.vital", b"another")
    with pytest.raises(ObjectChanged, match=r"1\.vital"):
        storage.arriving("1.vital", etag=planned.etag)
    with pytest.raises(ObjectMissing, match=r"2\.vital"):
        storage.arriving("2.vital")
