"""Invalid paths and keys are refused immediately with a clear message, over S3 and in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline import BUCKET, s3_client
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.storage import Storage, normalized_uri


@pytest.mark.parametrize("path", ["a/../b", "a//b", "./a", "..", "a/."])
def test_a_path_with_empty_or_dot_segments_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match=r"must not have an empty, '\.' or '\.\.' segment"):
        Storage(str(tmp_path)).get(path)


@pytest.mark.parametrize("key", ["dots/../1.vital", "empty//1.vital", "dot/./1.vital"])
def test_a_listed_key_with_dot_segments_is_named_without_retries(
    key: str, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    s3_client(s3_environment).put_object(Bucket=BUCKET, Key=key, Body=b"")
    with pytest.raises(RefusedError, match=key.replace(".", r"\.")):
        list(Storage(f"s3://{BUCKET}/{key.partition('/')[0]}").list())
    assert "retry" not in caplog.text


@pytest.mark.parametrize("pages", [1, 3])
def test_odd_keys_are_left_out_by_name_and_the_rest_is_listed(
    pages: int, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Names that sort before an odd segment in its own folder (``a/-x``) are hidden; the warning says so."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    root = f"odd{pages}"
    first = ["-/-/1", "-/1", "0", "0001.vital", "0/1", "a!/b", "a", "a/0", "a/0/x", "a/2.vital", "b/..0", "b/1"]
    many = [f"a0/{number:04d}.vital" for number in range(1000 * (pages - 1))]
    listed = [*first, *many, "b/.1", "c/d/1", "é/1", "é/z/3", "x y/1.vital", "z/1.vital"]
    odd = ["a//n.txt", "b/../9.vital", "c/d/./1", "zz/.", "é//1"]
    others = ["a//0001.vital", "a//c/d", "b/../x", "é//z"]
    client = s3_client(s3_environment)
    for key in (*listed, *odd, *others, "a/-x"):
        client.put_object(Bucket=BUCKET, Key=f"{root}/{key}", Body=b"1")
    for storage, prefix in ((Storage(f"s3://{BUCKET}/{root}"), ""), (Storage(f"s3://{BUCKET}"), root)):
        left_out: list[str] = []
        found = [stored.path for stored in storage.list(prefix, odd=left_out)]
        start = f"{root}/" if prefix else ""
        assert sorted(found) == sorted(start + key for key in listed)
        assert left_out == [f"{start}a//0001.vital", *(start + key for key in odd[1:])]
    assert f"left out: the key '{root}/a//0001.vital'" in caplog.text
    assert "retry" not in caplog.text
    with pytest.raises(RefusedError, match="a//0001"):
        list(Storage(f"s3://{BUCKET}/{root}").list())


def test_an_odd_key_below_a_folder_with_one_is_refused_by_name(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies between both cannot be listed, so nothing is left out unseen."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    for key in ("a//1", "a/b/1.vital", "a/c//2"):
        s3_client(s3_environment).put_object(Bucket=BUCKET, Key=f"nested/{key}", Body=b"1")
    with pytest.raises(RefusedError, match="the key 'nested/a//'"):
        list(Storage(f"s3://{BUCKET}/nested").list(odd=[]))


def test_keys_with_special_characters_are_listed_and_read(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    key = "signs/a b%25#?ü.vital"
    s3_client(s3_environment).put_object(Bucket=BUCKET, Key=key, Body=b"x" * 3_000_000)
    (tmp_path / "signs").mkdir()
    (tmp_path / key).write_bytes(b"x" * 3_000_000)
    for storage in (Storage(f"s3://{BUCKET}/signs"), Storage(str(tmp_path / "signs"))):
        [found] = storage.list()
        assert storage.arriving(found.path, etag=found.etag, size=found.size).at(2_999_990, 99) == b"x" * 10
        assert len(storage.get(found.path, etag=found.etag)) == 3_000_000


def test_a_file_name_with_a_control_character_is_not_listed_but_named(tmp_path: Path) -> None:
    (tmp_path / "1\x01.vital").touch()
    (tmp_path / "2.vital").touch()
    storage = Storage(str(tmp_path))
    assert [stored.path for stored in storage.list()] == ["2.vital"]
    assert storage.odd_names() == ("1\x01.vital",)


def test_a_path_object_means_a_folder_and_never_a_bucket(tmp_path: Path) -> None:
    assert Storage(tmp_path).uri == Storage(str(tmp_path)).uri
    assert normalized_uri(Path("file:") / "a") == str(Path.cwd() / "file:" / "a"), "a Path is never a URI"
    with pytest.raises(UsageError, match=r"collapses the slashes of s3://.*as str"):
        Storage(Path("s3://bucket/prefix"))
    for other in (7, None, b"folder"):
        with pytest.raises(UsageError, match="is not a storage location"):
            Storage(other)  # type: ignore[arg-type]


def test_a_location_with_a_query() -> None:
    with pytest.raises(UsageError, match="has a query"):
        Storage("s3://bucket/prefix?versionId=1")
