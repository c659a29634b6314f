"""Downloads over an unreliable network: the complete recording is stored, or nothing."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest

from tests.fetch.imitation import Imitation, recording
from vitalprep.fetch.recording import Fetched, FetchTask, fetch_recording
from vitalprep.fetch.website import NotThere, checked_base_url, download
from vitalprep.runtime.errors import RefusedError, RetryableError, UsageError
from vitalprep.storage import retries


def fetched(service: Imitation, folder: Path, case: int = 3, *, there: int | None = None) -> Fetched:
    folder.mkdir(exist_ok=True)
    return fetch_recording(
        FetchTask(
            case_id=case,
            base_url=service.url,
            remote=recording(case)[1:],
            output=str(folder),
            path=f"raw-data/{case:04d}.vital",
            max_bytes=1 << 30,
            there=there,
        )
    )


def original(service: Imitation, case: int = 3) -> bytes:
    return (service.recordings / "raw-data" / f"{case:04d}.vital").read_bytes()


@pytest.mark.parametrize(
    "faults",
    [
        ("500", "503", "429"),
        ("reset",),
        ("truncated",),
        ("reset", "truncated", "reset"),
        ("stall",),
        ("short",),
        ("flip",),
        ("html", "html"),
        ("page without a type",),
        ("chunked",),
    ],
    ids="-".join,
)
def test_transient_faults_give_the_identical_file(service: Imitation, tmp_path: Path, faults: tuple[str, ...]) -> None:
    service.fault(recording(3), *faults)
    outcome = fetched(service, tmp_path)
    assert outcome == Fetched("fetched", len(original(service)))
    assert (tmp_path / "raw-data" / "0003.vital").read_bytes() == original(service)
    assert not service.faults[recording(3)], "every fault was done"


def test_an_existing_file_is_validated(service: Imitation, tmp_path: Path) -> None:
    whole = original(service)
    (tmp_path / "raw-data").mkdir()
    file = tmp_path / "raw-data" / "0003.vital"
    for content in (b"", whole[:-100], b"not a recording"):
        file.write_bytes(content)
        assert fetched(service, tmp_path, there=len(content)) == Fetched("fetched", len(whole))
        assert file.read_bytes() == whole
    asked = len(service.seen)
    assert fetched(service, tmp_path, there=len(whole)) == Fetched("present")
    assert len(service.seen) == asked
    file.write_bytes(b"")
    service.fault(recording(3), "404", "...")
    assert fetched(service, tmp_path, there=0).outcome == "missing"
    assert file.read_bytes() == b"", "what is there stays until a whole one has come"


def test_a_broken_download_resumes(service: Imitation, tmp_path: Path) -> None:
    service.fault(recording(3), "truncated")
    fetched(service, tmp_path)
    first, second = service.asked(recording(3))
    assert "Range" not in first.headers
    assert second.headers["Range"] == f"bytes={len(original(service)) // 2}-"


def test_without_range_support_a_download_restarts(service: Imitation, tmp_path: Path) -> None:
    service.ranges = False
    service.fault(recording(3), "truncated", "reset")
    assert fetched(service, tmp_path).outcome == "fetched"
    assert (tmp_path / "raw-data" / "0003.vital").read_bytes() == original(service)


def test_a_download_that_always_breaks_off_fails(service: Imitation, tmp_path: Path) -> None:
    service.ranges = False
    service.fault(recording(3), "truncated", "...")
    outcome = fetched(service, tmp_path)
    assert outcome.outcome == "failed"
    assert len(service.asked(recording(3))) <= 2 * retries.TRIES
    assert not list(tmp_path.rglob("*.vital"))


@pytest.mark.parametrize(
    ("fault", "outcome", "says"),
    [
        ("404", "missing", "404"),
        ("410", "missing", "410"),
        ("403", "denied", "403"),
        ("401", "denied", "401"),
        ("451", "denied", "451"),
        ("500", "failed", "500"),
        ("html", "failed", "a web page"),
        ("stall", "failed", "timed out"),
        ("flip", "refused", "corrupt"),
        ("short", "refused", "truncated"),
        ("page without a type", "refused", "not_vital"),
    ],
)
def test_a_failed_download_leaves_no_file(
    service: Imitation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, outcome: str, says: str
) -> None:
    monkeypatch.setenv("VITALPREP_FETCH_RETRY_SECONDS", "1.2")
    service.fault(recording(3), fault, "...")
    found = fetched(service, tmp_path)
    assert (found.outcome, says in found.detail) == (outcome, True), found
    assert not list(tmp_path.rglob("*.vital*"))


def test_the_content_is_not_decoded(service: Imitation) -> None:
    """If the client decoded the Content-Encoding, the file would no longer be a .vital file."""
    with io.BytesIO() as file:
        download(service.url, "cases", file, most=1 << 20)
        assert file.getvalue().startswith(b"\x1f\x8b")
    assert service.seen[0].headers["Accept-Encoding"] == "identity"


def test_a_file_that_is_too_large_is_not_read_to_its_end(service: Imitation) -> None:
    service.others["/giant"] = bytes(5_000_000)
    with io.BytesIO() as file:
        with pytest.raises(RefusedError, match="larger than 1000 bytes"):
            download(service.url, "giant", file, most=1000)
        assert len(file.getvalue()) < 1_000_000


def test_retry_after_is_respected(service: Imitation, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", waits.append)
    monkeypatch.setattr("tests.fetch.imitation.RETRY_AFTER", "7")
    service.fault(recording(3), "503", "500")
    with io.BytesIO() as file:
        download(service.url, recording(3)[1:], file, most=1 << 30)
    assert [7 <= wait < 8 for wait in waits] == [True, True]


def test_a_refused_connection_is_a_retryable_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITALPREP_FETCH_RETRY_SECONDS", "0")
    with io.BytesIO() as file, pytest.raises(RetryableError, match=r"127\.0\.0\.1:9/.* refused"):
        download("http://127.0.0.1:9", "1.vital", file, most=10)


def test_a_denied_request_is_not_retried(service: Imitation) -> None:
    service.fault(recording(3), "400", "...")
    with io.BytesIO() as file, pytest.raises(UsageError, match="400"):
        download(service.url, recording(3)[1:], file, most=1 << 30)
    assert len(service.asked(recording(3))) == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "api.vitaldb.net",
        "https://",
        "https://me:word@host",
        "https://host?key=word",
        "http://a b",
        "http://me:word@[bad",
        "http://[word",
        "http:/me:word@host",
        "http:me:word@host",
    ],
)
def test_invalid_base_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_base_url(url)
    assert "word" not in str(caught.value), "a secret is not repeated"


def test_a_missing_file_raises_not_there(service: Imitation) -> None:
    with io.BytesIO() as file, pytest.raises(NotThere, match="999"):
        download(service.url, recording(999)[1:], file, most=10)


def test_a_redirect_is_followed(service: Imitation) -> None:
    service.fault(recording(3), "redirect")
    service.others[f"/elsewhere{recording(3)}"] = b"there"
    with io.BytesIO() as file:
        download(service.url, recording(3)[1:], file, most=10)
        assert file.getvalue() == b"there"


@pytest.mark.parametrize("proxy", ["http://me:word@[bad", "http://me:word@host:port", "http://[word]"])
def test_the_error_for_an_invalid_proxy_does_not_repeat_it(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    with io.BytesIO() as file, pytest.raises(UsageError, match="proxy for https is not a valid URL") as caught:
        download("https://nowhere.invalid", "1.vital", file, most=10)
    assert "word" not in str(caught.value)


def test_the_environments_proxy_is_used(service: Imitation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", service.url.replace("//", "//me:word@"))
    with io.BytesIO() as file:
        download("http://service.invalid", recording(3)[1:], file, most=1 << 30)
        assert file.getvalue() == original(service)
    (request,) = service.asked(recording(3))
    assert request.headers["Host"] == "service.invalid"
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert base64.b64decode(headers["proxy-authorization"].removeprefix("Basic ")) == b"me:word"
