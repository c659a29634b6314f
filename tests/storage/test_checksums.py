"""Uploads carry checksums, unless the server takes none."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from tests.pipeline import BUCKET
from tests.reliability.faulty_s3 import FaultyS3, Rule
from tests.storage.aws import KEYS, Profiles
from vitalprep.runtime.errors import UsageError
from vitalprep.storage import Storage
from vitalprep.storage import storage as storage_module

PART = 5 * 1024 * 1024  # the least that S3 takes
NONE = "AWS_REQUEST_CHECKSUM_CALCULATION"


def checksum(data: bytes) -> str:
    return f"sha256 {base64.b64encode(hashlib.sha256(data).digest()).decode()}"


@pytest.fixture
def opened(tmp_path: Path) -> str:
    """A location that a test opens after it has set the environment."""
    return f"s3://{BUCKET}/{tmp_path.name}"


def sent(faulty: FaultyS3) -> set[str]:
    return {request.checksum for request in faulty.requests if request.method in ("PUT", "POST")}


def test_every_upload_has_the_sha_256_of_its_bytes(
    opened: str, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "WRITE_BUFFER", PART)
    storage, large = Storage(opened), bytes(PART + 1)
    storage.put("a", b"put")
    assert sent(faulty) == {checksum(b"put")}
    assert storage.create("b", b"created")
    assert not storage.create("b", b"again")
    faulty.requests.clear()
    with storage.writer("c") as writer:
        writer.write(large)
    assert sent(faulty) == {"algorithm SHA256", checksum(large[:PART]), checksum(large[PART:]), ""}
    assert [storage.get(path) for path in "abc"] == [b"put", b"created", large]


@pytest.mark.parametrize("unsigned", ["", "true"])
def test_an_algorithm_of_ones_own(
    opened: str, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch, unsigned: str
) -> None:
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "CRC64NVME")
    monkeypatch.setenv(NONE, "when_required")
    if unsigned:
        monkeypatch.setenv("AWS_UNSIGNED_PAYLOAD", unsigned)
    Storage(opened).put("a", b"x")
    assert {text.partition(" ")[0] for text in sent(faulty)} == {"crc64nvme"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({NONE: "when_required"}, ""),
        ({NONE: "WHEN_REQUIRED"}, ""),
        ({NONE: "when_supported"}, checksum(b"x")),
        ({NONE: ""}, checksum(b"x")),
        ({"AWS_CHECKSUM_ALGORITHM": ""}, checksum(b"x")),
        ({"AWS_UNSIGNED_PAYLOAD": "true"}, checksum(b"x")),
        ({"AWS_SKIP_SIGNATURE": "true"}, checksum(b"x")),
    ],
)
def test_what_the_environment_says(
    opened: str, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Storage(opened).put("a", b"x")
    assert sent(faulty) == {expected}


def test_a_profile_says_that_its_server_takes_none(opened: str, faulty: FaultyS3, profiles: Profiles) -> None:
    said = "[profile study]\nregion = eu-west-3\nrequest_checksum_calculation = when_required\n"
    profiles("study", credentials=KEYS.format("study", "AKISTUDY"), config=said)
    Storage(opened).put("a", b"x")
    assert sent(faulty) == {""}


def test_the_default_profile_says_so_beside_keys(
    opened: str, faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles(config="[default]\nrequest_checksum_calculation = when_required\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "eu-north-1")
    Storage(opened).put("a", b"x")
    assert sent(faulty) == {""}


@pytest.mark.parametrize(("name", "value"), [("AWS_CHECKSUM_ALGORITHM", "none"), (NONE, "never")])
def test_other_values_are_refused(
    opened: str, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=value):
        Storage(opened)


@pytest.mark.parametrize("fault", ["400 checksum", "501 checksum"])
@pytest.mark.parametrize("multipart", [False, True])
def test_a_server_that_takes_none(
    opened: str, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch, fault: str, multipart: bool
) -> None:
    monkeypatch.setattr(storage_module, "WRITE_BUFFER", PART)
    faulty.rules.append(Rule(fault, method="P*", times=None))
    data = bytes(PART + 1) if multipart else b"x"
    with pytest.raises(UsageError, match="x-amz-checksum") as caught:
        Storage(opened).put("a", data)
    name, _, value = caught.value.fix.partition("set ")[2].partition(",")[0].partition("=")
    monkeypatch.setenv(name, value)
    Storage(opened).put("a", data)
    assert Storage(opened).get("a") == data


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"])
def test_bytes_that_changed_on_the_way_are_sent_again(opened: str, faulty: FaultyS3, code: str) -> None:
    faulty.rules.append(Rule(f"400 {code}", method="PUT"))
    Storage(opened).put("a", b"x")
    assert faulty.count() == 1
    assert Storage(opened).get("a") == b"x"


def test_a_bucket_that_demands_one(opened: str, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty.rules.append(Rule("Object Lock", method="PUT", times=None))
    storage = Storage(opened)
    storage.put("a", b"x")
    assert storage.create("b", b"x")
    monkeypatch.setenv(NONE, "when_required")
    with pytest.raises(UsageError, match="Object Lock") as caught:
        Storage(opened).put("a", b"x")
    assert f"unset {NONE}" in caught.value.fix


def test_a_server_that_takes_none_when_objects_are_removed(
    opened: str, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(opened)
    storage.put("a", b"x")
    faulty.rules.append(Rule("400 checksum", times=None))
    with pytest.raises(UsageError) as caught:
        storage.delete(["a"])
    name, _, value = caught.value.fix.partition("set ")[2].rstrip(".").partition("=")
    monkeypatch.setenv(name, value)
    Storage(opened).delete(["a"])
    assert storage.head("a") is None
