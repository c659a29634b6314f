"""S3's credentials come from one chain, boto3's, and are renewed in time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from tests.pipeline import BUCKET
from tests.reliability.faulty_s3 import FaultyS3, Request
from tests.storage.aws import KEYS, LIFE, Profiles, Role, key_until, put_one
from tests.storage.conftest import Lines
from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.storage import Storage
from vitalprep.storage.bucket import Bucket

SHARD = 1.4  # s, in which objects are read one after another


class ExpiringS3(FaultyS3):
    """An S3 that refuses keys which are not named after a time in the future."""

    def fault_for(self, request: Request) -> str | None:
        super().fault_for(request)
        return None if request.signer > key_until(0) else "400 ExpiredToken"


@pytest.mark.parametrize("profile", [None, "study"])
def test_the_shared_credentials_file_is_read(faulty: FaultyS3, profiles: Profiles, profile: str | None) -> None:
    profiles(profile, credentials=KEYS.format("default", "AKIDEFAULT") + KEYS.format("study", "AKISTUDY"))
    put_one()
    assert faulty.requests[-1].signer == ("AKISTUDY" if profile else "AKIDEFAULT")


def test_region_and_endpoint_come_from_the_profile(
    faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    config = "[profile study]\nregion = eu-west-3\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = {}\n"
    profiles("study", credentials=KEYS.format("study", "AKISTUDY"), config=config.format(faulty.url))
    storage = Storage(f"s3://{BUCKET}/credentials")
    storage.put("a", b"x")
    assert [request.signer for request in faulty.requests] == ["AKISTUDY"]
    assert storage._store.config["region"] == "eu-west-3"


def test_keys_in_the_environment_come_before_the_profile(
    faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As boto3 has it, and the profile must exist all the same."""
    profiles("study", credentials=KEYS.format("study", "AKISTUDY"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "AKIENVIRONMENT")
    put_one()
    assert faulty.requests[-1].signer == "AKIENVIRONMENT"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="'nobody'"):
        put_one()


def test_a_location_keeps_the_identity_with_which_it_was_opened(
    faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles("a", credentials=KEYS.format("a", "AKIA") + KEYS.format("b", "AKIB"))
    used, unused = (Storage(f"s3://{BUCKET}/{name}") for name in ("used", "unused"))
    used.put("a", b"x")
    monkeypatch.setenv("AWS_PROFILE", "b")
    put_one()
    used.put("b", b"x")
    assert [request.signer for request in faulty.requests] == ["AKIA", "AKIB", "AKIA"]
    unused.put("a", b"x")
    assert faulty.requests[-1].signer == "AKIA"


def test_a_location_of_another_environment_is_refused_rather_than_opened_as_somebody_else(
    faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles("a", credentials=KEYS.format("a", "AKIA") + KEYS.format("b", "AKIB"))
    unused = Storage(f"s3://{BUCKET}/unused")
    monkeypatch.setenv("AWS_PROFILE", "b")
    with pytest.raises(UsageError, match="changed since this location was opened"):
        unused.put("a", b"x")
    assert not faulty.requests


def test_keys_that_were_written_anew_are_taken(faulty: FaultyS3, profiles: Profiles) -> None:
    profiles("a", credentials=KEYS.format("a", "AKIOLD"))
    put_one()
    profiles("a", credentials=KEYS.format("a", "AKIRENEWED"))
    put_one()
    assert [request.signer for request in faulty.requests] == ["AKIOLD", "AKIRENEWED"]


def test_an_empty_profile_is_none(faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles("", credentials=KEYS.format("default", "AKIDEFAULT") + KEYS.format("a", "AKIA"))
    put_one()
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "")
    monkeypatch.setenv("AWS_PROFILE", "a")
    put_one()
    assert [request.signer for request in faulty.requests] == ["AKIDEFAULT", "AKIA"]


def test_the_default_profile_s_endpoint_counts_beside_keys_and_a_region(
    faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else keys and names of a hospital's own server would go to AWS."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "AKIENVIRONMENT")
    profiles(None, config=f"[default]\nendpoint_url = {faulty.url}\n")
    put_one()
    assert [request.signer for request in faulty.requests] == ["AKIENVIRONMENT"]


PROCESS = """
import json, sys, time
from datetime import datetime, timedelta, UTC
from pathlib import Path
life, asked = float(sys.argv[1]), Path(sys.argv[2])
asked.open("a").write("x")
if asked.with_suffix(".broken").exists():
    sys.exit("no badge")
until = time.time() + life
print(json.dumps({"Version": 1, "AccessKeyId": f"K{until:.3f}", "SecretAccessKey": "s", "SessionToken": "t",
                  "Expiration": datetime.fromtimestamp(until, UTC).isoformat()}))
"""


@pytest.fixture
def expiring(s3_environment: dict[str, str], profiles: Profiles, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    with ExpiringS3(s3_environment["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def read_a_shard() -> int:
    """Read objects until the first credentials have long expired. Return how many were read."""
    storage = Storage(f"s3://{BUCKET}/shard")
    storage.put("a", b"x")
    until = time.monotonic() + SHARD
    reads = 0
    while time.monotonic() < until:
        assert storage.get("a") == b"x"
        reads += 1
    return reads


def test_a_credential_process_is_asked_again_before_its_credentials_expire(
    expiring: FaultyS3, profiles: Profiles, lines: Lines, tmp_path: Path
) -> None:
    script, asked = tmp_path / "process.py", tmp_path / "asked"
    script.write_text(PROCESS)
    profiles("study", config=f"[profile study]\ncredential_process = {sys.executable} -S {script} {LIFE} {asked}\n")
    reads = read_a_shard()
    assert 1 < len(asked.read_text()) < reads / 2
    assert not lines.records
    assert len({request.signer for request in expiring.requests}) > 1


def test_a_credential_process_that_fails_in_the_middle_is_named_at_once(
    expiring: FaultyS3, profiles: Profiles, lines: Lines, tmp_path: Path
) -> None:
    script, asked = tmp_path / "process.py", tmp_path / "asked"
    script.write_text(PROCESS)
    profiles("study", config=f"[profile study]\ncredential_process = {sys.executable} -S {script} {LIFE} {asked}\n")
    storage = Storage(f"s3://{BUCKET}/shard")
    storage.put("a", b"x")
    asked.with_suffix(".broken").touch()
    time.sleep(LIFE / 2)
    with pytest.raises(UsageError, match=r"Could not read .*shard/a: no AWS credentials from .*'study'.*no badge"):
        storage.get("a")
    assert not lines.records


def test_credentials_that_fail_during_a_transfer_are_named_at_once(
    expiring: FaultyS3, profiles: Profiles, lines: Lines, tmp_path: Path
) -> None:
    script, asked = tmp_path / "process.py", tmp_path / "asked"
    script.write_text(PROCESS)
    profiles("study", config=f"[profile study]\ncredential_process = {sys.executable} -S {script} {LIFE} {asked}\n")

    storage = Storage(f"s3://{BUCKET}/shard")
    place = storage._place
    assert isinstance(place, Bucket)

    def transfer() -> None:
        asked.with_suffix(".broken").touch()
        time.sleep(LIFE / 2)
        obstore.put(place.store, "a", b"x")

    with pytest.raises(UsageError, match="no badge"):
        place.do(transfer, verb="write", uri=storage.uri_of("a"))
    assert not lines.records


def test_a_container_endpoint_is_asked_again_with_its_token(
    expiring: FaultyS3, profiles: Profiles, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Role() as role:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{role.url}/get-credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic token")
        reads = read_a_shard()
    assert 1 < len(role.asked) < reads / 2
    assert set(role.asked) == {"Basic token"}
    assert not lines.records


def test_a_container_endpoint_that_fails_in_the_middle_is_retried(
    expiring: FaultyS3, profiles: Profiles, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.RETRY_ATTEMPTS", 1)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with Role() as role:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{role.url}/get-credentials")
        storage = Storage(f"s3://{BUCKET}/shard")
        storage.put("a", b"x")
        role.refuses = 2
        time.sleep(LIFE / 2)
        assert storage.get("a") == b"x"
        assert len(lines.retries) == 2
        role.refuses = 1_000
        time.sleep(LIFE / 2)
        with pytest.raises(RetryableError, match=r"role of this container or machine.*tried 9 times"):
            storage.get("a")


def test_web_identity_and_an_assumed_role_ask_sts(
    faulty: FaultyS3, profiles: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = "arn:aws:iam::123456789012:role/reader"
    profiles(
        "study",
        credentials=KEYS.format("base", "AKIBASE"),
        config=f"[profile study]\nrole_arn = {role}\nsource_profile = base\nregion = eu-north-1\n",
    )
    put_one()
    assumed = faulty.requests[-1].signer
    assert [request.signer for request in faulty.requests] == ["AKIBASE", assumed]
    assert assumed.startswith("ASIA")
    (tmp_path / "token").write_text("a token")
    monkeypatch.delenv("AWS_PROFILE")
    for name, value in (("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token")), ("AWS_ROLE_ARN", role)):
        monkeypatch.setenv(name, value)
    put_one()
    assert faulty.requests[-1].signer.startswith("ASIA")


def test_boto3_is_imported_only_where_it_is_needed() -> None:
    code = (
        "import sys, vitalprep.loading; from vitalprep.storage import Storage; Storage('s3://b/x'); "
        "sys.exit('botocore' in sys.modules)"
    )
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"), "x")
    subprocess.run([sys.executable, "-c", code], env=keys, check=True, timeout=60)
