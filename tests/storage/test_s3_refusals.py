"""Permanent S3 errors: raised immediately, with S3's code, the key and the fix, and without credentials."""

from __future__ import annotations

import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline import BUCKET, s3_client
from tests.reliability.faulty_s3 import PERMANENT, FaultyS3, Rule
from tests.storage.conftest import Lines
from vitalprep.runtime.errors import UsageError, VitalprepError
from vitalprep.storage import ObjectChanged, ObjectMissing, Storage, normalized_uri

FIXES = {
    "AccessDenied": "permissions",
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "clock",
    "ExpiredToken": "renew the credentials",
    "AuthorizationHeaderMalformed": "AWS_REGION",
    "NoSuchBucket": "bucket's name",
    "PermanentRedirect": "AWS_REGION",
}
OPERATIONS: dict[str, Callable[[Storage], object]] = {
    "get": lambda storage: storage.get("a/b.json"),
    "arriving": lambda storage: storage.arriving("a/b.json"),
    "list": lambda storage: list(storage.list("a/b.json")),
    "put": lambda storage: storage.put("a/b.json", b"x"),
    "create": lambda storage: storage.create("a/b.json", b"x"),
    "delete": lambda storage: storage.delete(["a/b.json"]),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", PERMANENT)
def test_a_permanent_fault_ends_at_once(
    storage: Storage, faulty: FaultyS3, lines: Lines, fault: str, operation: str
) -> None:
    faulty.rules.append(Rule(fault, times=None))
    with pytest.raises(UsageError) as caught:
        OPERATIONS[operation](storage)
    assert caught.value.exit_code == 2
    assert f"S3 answered {fault}" in caught.value.message
    assert f"{storage.uri}/a/b.json" in caught.value.message
    assert FIXES[fault.split()[1]] in caught.value.fix
    looked_up = fault == "403 AccessDenied" and operation in ("get", "arriving")  # in a listing: it may be missing
    assert faulty.count() == 1 + looked_up
    assert not lines.records


def test_a_refused_multipart_upload(storage: Storage, faulty: FaultyS3) -> None:
    faulty.rules.append(Rule("403 AccessDenied", method="POST", times=None))
    with pytest.raises(UsageError, match="403 AccessDenied"), storage.writer("big.bin") as writer:  # noqa: PT012
        for _ in range(20):
            writer.write(bytes(1_000_000))
    assert storage.head("big.bin") is None


def test_a_missing_and_a_changed_object(storage: Storage, faulty: FaultyS3, lines: Lines) -> None:
    faulty.rules.append(Rule("404 NoSuchKey", method="GET", times=None))
    for read in (storage.get, storage.arriving):
        with pytest.raises(ObjectMissing, match=r"a\.vital") as missing:
            read("a.vital")
        assert missing.value.exit_code == 65
    faulty.rules[:] = [Rule("412 PreconditionFailed", method="GET", times=None)]
    for read in (storage.get, storage.arriving):
        with pytest.raises(ObjectChanged, match=r"a\.vital"):
            read("a.vital", etag='"0"')
    assert not lines.records


def test_a_create_whose_response_was_lost_succeeds(storage: Storage, faulty: FaultyS3, lines: Lines) -> None:
    faulty.rules.append(Rule("lost", method="PUT"))
    assert storage.create("receipt.json", b"mine") is True
    assert faulty.count("lost") == len(lines.retries) == 1
    assert storage.create("receipt.json", b"mine") is False


def test_a_create_whose_response_was_lost_may_have_lost_the_race(storage: Storage, faulty: FaultyS3) -> None:
    faulty.rules.append(Rule("reset", method="PUT", skip=1))
    assert storage.create("receipt.json", b"theirs") is True
    assert storage.create("receipt.json", b"mine") is False
    assert faulty.count("reset") == 1
    assert storage.get("receipt.json") == b"theirs"


@pytest.mark.parametrize("fault", ["409 ConditionalRequestConflict", "412 PreconditionFailed"])
def test_a_409_conflict_is_decided_by_the_stored_object(
    storage: Storage, faulty: FaultyS3, lines: Lines, fault: str
) -> None:
    """S3 also answers so if the other writer fails or the object was just deleted: then the object is missing."""
    faulty.rules.append(Rule(fault, method="PUT", times=2))
    assert storage.create("receipt.json", b"mine") is True
    assert faulty.count(fault) == len(lines.retries) == 2
    faulty.rules[:] = [Rule(fault, method="PUT", times=None)]
    assert storage.create("receipt.json", b"other") is False
    assert len(lines.retries) == 2
    assert storage.get("receipt.json") == b"mine"


@pytest.mark.parametrize("boto3", [True, False])
def test_missing_credentials_fail_fast(
    faulty: FaultyS3, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boto3: bool
) -> None:
    if not boto3:
        monkeypatch.setitem(sys.modules, "boto3", None)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        for name in ("AWS_METADATA_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT"):  # obstore's, boto3's
            monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(UsageError, match="no AWS credentials were found") as caught:
            Storage(f"s3://{BUCKET}/x").get("a")
    assert "AWS_ACCESS_KEY_ID" in caught.value.fix
    assert len(lines.retries) == 2
    assert not faulty.requests


SECRETS = ("AKIDOFTHISTEST", "secretofthistest", "tokenofthistest")


@pytest.mark.parametrize("fault", [*PERMANENT, "503 SlowDown", "reset"])
def test_errors_and_log_lines_hold_no_credentials(
    faulty: FaultyS3, lines: Lines, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    for name, value in zip(("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"), SECRETS, strict=True):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("VITALPREP_S3_RETRY_SECONDS", "0.05")
    faulty.rules.append(Rule(fault, times=None))
    with pytest.raises(VitalprepError) as caught:
        Storage(f"s3://{BUCKET}/x").get("a")
    logged = "".join(str(vars(record)) for record in lines.records)
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value) + logged
    assert not [secret for secret in (*SECRETS, "Signature=") if secret in told]
    assert faulty.count(fault) >= 1


@pytest.mark.parametrize(
    "uri",
    [
        "https://b.s3.amazonaws.com/key?X-Amz-Signature=secretofthistest",
        "https://user:secretofthistest@host/key",
        "s3://AKID:secretofthistest@bucket/key",
    ],
)
def test_errors_do_not_repeat_credentials_of_a_location(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        normalized_uri(uri)
    assert "secretofthistest" not in str(caught.value)


@pytest.mark.parametrize(
    "rule",
    [
        Rule("500 InternalError", method="POST"),  # CreateMultipartUpload
        Rule("503 SlowDown", method="PUT", skip=1),  # UploadPart
        Rule("lost", method="PUT", skip=1),
        Rule("500 InternalError", method="POST", skip=1),  # CompleteMultipartUpload
        Rule("error in success", method="POST", skip=1),
        Rule("lost", method="POST", skip=1),
    ],
    ids=lambda rule: f"{rule.fault} at {rule.method} {rule.skip}",
)
def test_a_failed_multipart_upload_is_restarted(
    storage: Storage,
    faulty: FaultyS3,
    lines: Lines,
    s3_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    rule: Rule,
) -> None:
    monkeypatch.setattr("vitalprep.storage.storage.WRITE_BUFFER", 5 * 1024 * 1024)  # S3's minimum part size
    body = bytes(range(250)) * 24_000
    faulty.rules.append(rule)
    with storage.writer("big.bin") as writer:
        writer.write(body)
    assert faulty.count() == len(lines.retries) == 1
    assert storage.get("big.bin") == body
    uploads = s3_client(s3_environment).list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    assert not uploads, "nothing half done is left"
