"""The storage API over a local folder and over a real S3 API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.pipeline import BUCKET
from vitalprep.runtime.errors import UsageError
from vitalprep.storage import ObjectChanged, ObjectMissing, Storage, normalized_uri, read_uri


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "folder":
        return Storage(str(tmp_path / "root"), create=True)
    for name, value in request.getfixturevalue("s3_environment").items():
        monkeypatch.setenv(name, value)
    return Storage(f"s3://{BUCKET}/{tmp_path.name}")


def test_get_returns_what_put_wrote(storage: Storage) -> None:
    storage.put("a/b.bin", b"\x00\x01" * 500)
    assert storage.get("a/b.bin") == b"\x00\x01" * 500
    assert read_uri(storage.uri_of("a/b.bin")) == b"\x00\x01" * 500
    storage.put("a/b.bin", b"new")
    assert storage.get("a/b.bin") == b"new"


def test_create_writes_once(storage: Storage) -> None:
    assert storage.create("receipt.json", b"first") is True
    assert storage.create("receipt.json", b"second") is False
    assert storage.get("receipt.json") == b"first"


def test_exactly_one_of_many_concurrent_creates_wins(storage: Storage) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda index: storage.create("race.json", str(index).encode()), range(8)))
    assert won.count(True) == 1
    assert storage.get("race.json") == str(won.index(True)).encode()


def test_get_checks_the_etag(storage: Storage) -> None:
    storage.put("case.vital", b"planned")
    head = storage.head("case.vital")
    assert head is not None
    assert head.size == 7
    assert storage.get("case.vital", etag=head.etag) == b"planned"
    storage.put("case.vital", b"another")
    with pytest.raises(ObjectChanged, match=r"case\.vital"):
        storage.get("case.vital", etag=head.etag)


def test_a_missing_object_is_named(storage: Storage) -> None:
    assert storage.head("nothing.json") is None
    with pytest.raises(ObjectMissing, match=r"nothing\.json"):
        storage.get("nothing.json")
    storage.delete(["nothing.json"])


def test_listing_is_by_whole_path_segments(storage: Storage) -> None:
    for path in ("raw/1.vital", "raw/deep/2.vital", "rawer/3.vital"):
        storage.put(path, b"12345")
    listed = {stored.path: stored.size for stored in storage.list("raw")}
    assert listed == {"raw/1.vital": 5, "raw/deep/2.vital": 5}
    etags = {stored.path: stored.etag for stored in storage.list()}
    head = storage.head("raw/1.vital")
    assert head is not None
    assert etags["raw/1.vital"] == head.etag
    storage.delete(["raw/1.vital"])
    assert [stored.path for stored in storage.list("raw")] == ["raw/deep/2.vital"]


def test_a_writer_is_atomic(storage: Storage) -> None:
    with storage.writer("big.bin") as writer:
        for index in range(40):
            writer.write(bytes([index]) * 1_000_000)
    assert storage.get("big.bin") == b"".join(bytes([index]) * 1_000_000 for index in range(40))
    with pytest.raises(RuntimeError), storage.writer("half.bin") as writer:  # noqa: PT012
        writer.write(b"x" * 20_000_000)
        raise RuntimeError
    assert storage.head("half.bin") is None


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Storage(str(tmp_path / "absent"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Could not create or open"):
        Storage(str(tmp_path / "file" / "below"), create=True)


def test_a_missing_bucket_is_a_usage_error(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    for action in (lambda store: list(store.list()), lambda store: store.put("a", b"")):
        with pytest.raises(UsageError, match="no-such-bucket") as caught:
            action(Storage("s3://no-such-bucket/prefix"))
        assert "permissions" in caught.value.fix


@pytest.mark.parametrize(
    ("uri", "normalized"),
    [
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("s3://bucket", "s3://bucket"),
        ("file:///data/raw/", "/data/raw"),
        ("file:///data/with%20space", "/data/with space"),
        ("/data/../raw", "/raw"),
    ],
)
def test_locations_are_normalized(uri: str, normalized: str) -> None:
    assert normalized_uri(uri) == normalized


@pytest.mark.parametrize(
    "uri", ["", "  ", "s3://", "gs://bucket/x", "https://example.org/x", "s3://b--use1-az4--x-s3/x"]
)
def test_invalid_locations_are_refused(uri: str) -> None:
    with pytest.raises(UsageError):
        normalized_uri(uri)
