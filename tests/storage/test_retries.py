"""What S3 and networks do for a while: every operation comes through, with one log line a retry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline import BUCKET, s3_client
from tests.reliability.faulty_s3 import TRANSIENT, FaultyS3, Rule
from tests.storage.conftest import Lines
from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.storage import READ_CHUNK, ObjectChanged, Storage, retries
from vitalprep.storage.retries import LONGEST_WAIT, TRIES, Transient, retried

BODY = bytes(range(251)) * (3 * READ_CHUNK // 251)
IN_BODY = {"reset in body", "closed in body"}


def _arrived(storage: Storage) -> bytes:
    file = storage.arriving("old.bin", size=len(BODY))
    return b"".join(bytes(file.at(position, 100_000)) for position in range(0, file.size, 100_000))


def _written(storage: Storage) -> bool:
    with storage.writer("new.bin") as writer:
        writer.write(BODY)
    return storage.get("new.bin") == BODY


OPERATIONS: dict[str, tuple[str, Callable[[Storage], bool]]] = {
    "get": ("GET", lambda storage: storage.get("old.bin") == BODY),
    "arriving": ("GET", lambda storage: _arrived(storage) == BODY),
    "list": ("LIST", lambda storage: [stored.size for stored in storage.list()] == [len(BODY)]),
    "head": ("HEAD", lambda storage: storage.head("old.bin") is not None),
    "put": ("PUT", lambda storage: storage.put("new.bin", BODY) is None and storage.get("new.bin") == BODY),
    "create": ("PUT", lambda storage: storage.create("new.bin", BODY) and storage.get("new.bin") == BODY),
    "writer": ("PUT", _written),
    "delete": ("POST", lambda storage: storage.delete(["old.bin"]) is None and storage.head("old.bin") is None),
}
HAS_BODY = {"get", "arriving", "list"}
CASES = [(name, fault) for name in OPERATIONS for fault in TRANSIENT if name in HAS_BODY or fault not in IN_BODY]
CASES.remove(("head", "400 RequestTimeout"))  # S3 sends it for uploads, and an answer to HEAD tells no code


@pytest.mark.parametrize(("operation", "fault"), CASES)
def test_a_transient_fault_is_tried_again(
    storage: Storage, faulty: FaultyS3, lines: Lines, operation: str, fault: str
) -> None:
    storage.put("old.bin", BODY)
    method, works = OPERATIONS[operation]
    faulty.rules.append(Rule(fault, method=method, times=2))
    assert works(storage)
    assert faulty.count(fault) == 2
    assert [(line["attempt"], line["of"]) for line in lines.retries] in (
        [(1, TRIES - 1), (2, TRIES - 1)],
        [(1, TRIES - 1), (1, TRIES - 1)],  # a piece that came in between begins a new count
    )
    for line in lines.retries:
        assert line["levelname"] == "WARNING"
        assert line["key"].startswith(storage.uri)
        assert line["error"]
        assert line["wait_seconds"] >= 0


@pytest.mark.parametrize("fault", ["stall", "stall in body"])
def test_a_silent_connection_is_given_up(
    faulty: FaultyS3, lines: Lines, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("VITALPREP_S3_STALL_SECONDS", "0.3")
    storage = Storage(f"s3://{BUCKET}/stalled")
    storage.put("old.bin", BODY)
    faulty.rules.append(Rule(fault, method="GET"))
    assert storage.get("old.bin") == BODY
    assert faulty.count(fault) == len(lines.retries) == 1


@pytest.mark.parametrize("fault", ["reset in body", "closed in body"])
def test_a_download_goes_on_where_it_broke(storage: Storage, faulty: FaultyS3, lines: Lines, fault: str) -> None:
    storage.put("old.bin", BODY)
    faulty.rules.append(Rule(fault, method="GET", times=3))
    faulty.requests.clear()
    assert _arrived(storage) == BODY
    parts = [request.part for request in faulty.requests]
    assert parts[0] == ""
    assert len(parts) == 1 + len(lines.retries) == 4
    assert all(part.endswith(f"-{len(BODY) - 1}") for part in parts[1:] if part)
    assert any(part and not part.startswith("bytes=0-") for part in parts), "bytes that came are not asked for again"


@pytest.mark.parametrize("fault", ["range ignored", "range elsewhere", "wrong etag", "shortened"])
def test_bytes_of_another_range_or_object_are_never_taken(
    storage: Storage, faulty: FaultyS3, lines: Lines, fault: str
) -> None:
    """The answer to the request that goes on is wrong; the one after it is right."""
    storage.put("old.bin", BODY)
    faulty.rules += [Rule("closed in body", method="GET"), Rule(fault, method="GET")]
    assert _arrived(storage) == BODY
    assert faulty.count(fault) == 1
    assert len(lines.retries) == 2


@pytest.mark.parametrize("demanded", [True, False])
def test_an_object_that_changes_while_it_is_read_is_not_mixed(
    storage: Storage, faulty: FaultyS3, demanded: bool
) -> None:
    storage.put("old.bin", BODY)
    etag = next(iter(storage.list())).etag
    faulty.rules.append(Rule("closed in body", method="GET", times=None))
    file = storage.arriving("old.bin", etag=etag if demanded else None)
    file.at(0, 10)
    storage.put("old.bin", BODY[::-1])
    faulty.rules.clear()
    error, words = (ObjectChanged, "since it was planned") if demanded else (RetryableError, "while it was read")
    with pytest.raises(error, match=words):
        file.at(0, len(BODY))


@pytest.mark.parametrize("fault", ["flipped byte", "shortened", "wrong etag"])
def test_a_damaged_document_is_read_again(storage: Storage, faulty: FaultyS3, lines: Lines, fault: str) -> None:
    storage.put("receipt.json", b'{"seconds": 1234}')
    faulty.rules.append(Rule(fault, method="GET"))
    assert storage.get("receipt.json") == b'{"seconds": 1234}'
    assert faulty.count(fault) == len(lines.retries) == 1


def test_documents_that_always_come_damaged_are_refused(storage: Storage, faulty: FaultyS3) -> None:
    storage.put("receipt.json", bytes(10_000))
    faulty.rules.append(Rule("flipped byte", method="GET", times=None))
    with pytest.raises(RetryableError, match=rf"receipt\.json: its MD5 is not its etag \(tried {TRIES} times\)"):
        storage.get("receipt.json")


def test_an_etag_that_is_no_md5_is_learnt_once(faulty: FaultyS3, lines: Lines, s3_environment: dict[str, str]) -> None:
    """Under SSE-KMS etags look like MD5s, and differ from them for good."""
    region = {"LocationConstraint": s3_environment["AWS_REGION"]}
    s3_client(s3_environment).create_bucket(Bucket="encrypted", CreateBucketConfiguration=region)
    storage = Storage("s3://encrypted/there")
    storage.put("plan.json", b"{}")
    faulty.rules.append(Rule("wrong etag", method="GET", times=None))
    assert [storage.get("plan.json") for _ in range(3)] == [b"{}"] * 3
    assert len(lines.retries) == 1
    assert len(faulty.requests) == 1 + 2 + 2


def test_what_does_not_pass_ends_within_its_bounds(
    storage: Storage, faulty: FaultyS3, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.rules.append(Rule("503 SlowDown", times=None))
    with pytest.raises(RetryableError, match="503 SlowDown") as caught:
        storage.get("a/b.json")
    assert f"{storage.uri}/a/b.json" in caught.value.message
    assert f"(tried {TRIES} times)" in caught.value.message
    assert caught.value.fix
    assert faulty.count() == TRIES == len(lines.retries) + 1

    monkeypatch.setenv("VITALPREP_S3_RETRY_SECONDS", "0")
    with pytest.raises(RetryableError):
        Storage(storage.uri).get("a/b.json")
    assert faulty.count() == TRIES + 1, "no seconds, no retry"


def test_waits_grow_and_are_drawn(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.004)

    def fails() -> None:
        raise Transient(RetryableError("It fails.", fix="wait."), tries=7)

    for _ in range(3):
        with pytest.raises(RetryableError, match=r"It fails \(tried 7 times\)"):
            retried(fails, key="x", seconds=60)
    waits = [line["wait_seconds"] for line in lines.retries]
    assert len(waits) == 18
    for index, wait in enumerate(waits):
        assert wait <= min(LONGEST_WAIT, 0.004 * 2 ** (index % 6)) + 0.001
    assert len(set(waits)) > 9, "drawn, so that many workers do not come back at once"
    assert max(waits[5::6]) > max(waits[0::6])


def test_a_wait_beyond_the_time_left_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 1000.0)
    monkeypatch.setattr(retries, "LONGEST_WAIT", 1000.0)
    monkeypatch.setattr("random.uniform", lambda low, high: high)

    def fails() -> None:
        raise Transient(RetryableError("It fails.", fix="wait."))

    with pytest.raises(RetryableError, match=r"It fails\. Fix"):
        retried(fails, key="x", seconds=5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VITALPREP_S3_RETRY_SECONDS", "-1"),
        ("VITALPREP_S3_RETRY_SECONDS", "long"),
        ("VITALPREP_S3_RETRY_SECONDS", "nan"),
        ("VITALPREP_S3_STALL_SECONDS", "0"),
        ("AWS_ENDPOINT_URL", "nonsense"),
    ],
)
def test_settings_that_are_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        Storage(f"s3://{BUCKET}/x")


def test_no_room_for_what_is_to_be_uploaded(
    storage: Storage, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("vitalprep.storage.storage.SPOOL", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(RetryableError, match=r"big\.bin in .*absent") as caught, storage.writer("big.bin") as writer:
        writer.write(bytes(2000))
    assert "TMPDIR" in caught.value.fix
    assert not faulty.requests
