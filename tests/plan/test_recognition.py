"""Copies in a bucket are recognized by their bytes, whatever their etag is."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline import BUCKET
from tests.reliability.faulty_s3 import FaultyS3, Rule
from vitalprep.contract.paths import harmonized_folder, receipt_path
from vitalprep.contract.plan import Stamp
from vitalprep.contract.receipt import InputObject, Receipt
from vitalprep.plan.recognition import HarmonizedBefore
from vitalprep.storage import Storage
from vitalprep.storage import storage as storage_module

CASE, HARMONIZE, OWN = 7, "0123456789ab", "aaaaaaaaaaaa"
PART = 5 * 1024 * 1024  # the least that S3 takes
BODY = bytes(2 * PART + 1)


class Bucket:
    """A bucket with one recording, and an output with a receipt of the same bytes under another stamp."""

    def __init__(self, uri: str, s3: FaultyS3) -> None:
        self.s3, self.source, self.output = s3, Storage(f"{uri}/raw"), Storage(f"{uri}/out")
        self.before = Stamp(size=len(BODY), etag='"of-another-upload-9"')
        self.source.put("7.vital", BODY)
        self.write_receipt(hashlib.sha256(BODY).hexdigest())

    def write_receipt(self, sha256: str | None) -> None:
        receipt = Receipt(
            case_id=CASE,
            status="excluded",
            reason="no_signal",
            input=InputObject(uri="/elsewhere/7.vital", **self.before.model_dump(), sha256=sha256),
            input_id="bbbbbbbbbbbb",
            harmonize_digest=HARMONIZE,
        )
        stem = f"{harmonized_folder(HARMONIZE)}/{CASE:04d}-{receipt.input_id}"
        self.output.put(receipt_path(stem), receipt.to_bytes())

    def known_as(self) -> Stamp | None:
        recordings = {CASE: tuple(self.source.list())}
        found = HarmonizedBefore(self.output, HARMONIZE).known_as(recordings, self.source, {CASE: OWN})
        return found.get(CASE)

    @property
    def reads(self) -> int:
        return sum(request.method == "GET" and request.key.endswith(".vital") for request in self.s3.requests)


@pytest.fixture
def bucket(s3_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(storage_module, "WRITE_BUFFER", PART)
    with FaultyS3(s3_environment["AWS_ENDPOINT_URL"]) as s3:
        for name, value in (s3_environment | s3.environment).items():
            monkeypatch.setenv(name, value)
        yield Bucket(f"s3://{BUCKET}/{tmp_path.name}", s3)


def test_an_upload_in_other_parts_is_recognized(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    etags = set()
    for reads, part in enumerate((PART, 2 * PART, 4 * PART)):  # the last is one part, whose etag is an MD5
        monkeypatch.setattr(storage_module, "WRITE_BUFFER", part)
        bucket.source.put("7.vital", BODY)
        etags |= {stored.etag for stored in bucket.source.list()}
        assert bucket.known_as() == bucket.before
        assert bucket.reads == reads + 1
    assert len(etags) == 3


def test_other_bytes_of_the_same_size_are_new(bucket: Bucket) -> None:
    bucket.source.put("7.vital", BODY[:-1] + b"x")
    assert bucket.known_as() is None
    assert bucket.reads == 1


def test_what_no_receipt_could_tell_is_not_read(bucket: Bucket) -> None:
    bucket.write_receipt(None)  # of vitalprep 0.1.0
    assert bucket.known_as() is None
    bucket.write_receipt(hashlib.sha256(BODY).hexdigest())
    bucket.source.put("7.vital", BODY + b"x")
    assert bucket.known_as() is None
    assert bucket.reads == 0


def test_a_copy_that_may_not_be_read_is_new_with_a_warning(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    bucket.s3.rules.append(Rule("403 AccessDenied", method="GET", key="*.vital", times=None))
    with caplog.at_level(logging.WARNING, logger="vitalprep"):
        assert bucket.known_as() is None
    assert "cases 7 may be copies of recordings" in caplog.text
