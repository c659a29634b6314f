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


def test_a_file_name_with_a_control_character_is_named_and_stops_no_other(tmp_path: Path) -> None:
    for name in ("1\x01.vital", "2.vital"):
        (tmp_path / name).touch()
    storage = Storage(str(tmp_path))
    assert [found.path for found in storage.list()] == ["2.vital"]
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
