"""S3's credentials come from one chain, boto3's, are renewed in time, and never fall back to another identity."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.pipeline import BUCKET
from tests.reliability.faulty_s3 import FaultyS3, Request
from tests.storage.conftest import Lines
from vitalprep.runtime.errors import RetryableError, UsageError
from vitalprep.storage import Storage

LIFE = 1.0  # s, of the credentials handed out
SHARD = 1.4  # s, in which objects are read one after another

Profiles = Callable[..., None]


class ExpiringS3(FaultyS3):
    """An S3 that refuses keys which are not named after a time in the future."""

    def fault_for(self, request: Request) -> str | None:
        super().fault_for(request)
        return None if request.signer > key_until(0) else "400 ExpiredToken"


def key_until(seconds: float) -> str:
    return f"K{time.time() + seconds:.3f}"


@pytest.fixture
def profiles(faulty: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profiles:
    """Writes ~/.aws. The environment holds an endpoint and no keys, and there is no machine whose role could be had."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    files = {"credentials": "AWS_SHARED_CREDENTIALS_FILE", "config": "AWS_CONFIG_FILE"}
    for name, variable in files.items():
        monkeypatch.setenv(variable, str(tmp_path / "aws" / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def write(profile: str | None = None, **content: str) -> None:
        (tmp_path / "aws").mkdir(exist_ok=True)
        for name, text in content.items():
            (tmp_path / "aws" / name).write_text(text)
        if profile is not None:
            monkeypatch.setenv("AWS_PROFILE", profile)

    return write


def put_one() -> None:
    Storage(f"s3://{BUCKET}/credentials").put("a", b"x")


KEYS = "[{}]\naws_access_key_id = {}\naws_secret_access_key = secretofthistest\n"


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


@pytest.mark.parametrize("metadata", ["true", "false"])
def test_a_profile_that_does_not_exist_is_named_and_nothing_is_asked(
    faulty: FaultyS3, profiles: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str
) -> None:
    profiles("nosuchrole", credentials=KEYS.format("default", "AKIDEFAULT"))
    with Role() as machine:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", metadata)
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", machine.url)
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.url)
        with pytest.raises(UsageError, match="'nosuchrole'") as caught:
            put_one()
    assert str(tmp_path / "aws" / "credentials") in caught.value.message
    assert not faulty.requests
    assert not machine.asked


def test_disabled_metadata_is_not_asked(profiles: Profiles, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    for without in (False, True):
        if without:
            monkeypatch.setitem(sys.modules, "boto3", None)
        with Role() as machine:
            monkeypatch.setenv("AWS_METADATA_ENDPOINT", machine.url)
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.url)
            with pytest.raises(UsageError, match=r"no AWS credentials were found.*AWS_EC2_METADATA_DISABLED"):
                put_one()
        assert not machine.asked
    assert not lines.records


@pytest.mark.parametrize(
    ("given", "missing"), [("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"), ("SECRET_ACCESS_KEY", "ACCESS_KEY_ID")]
)
def test_half_of_the_keys_is_refused(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch, given: str, missing: str
) -> None:
    monkeypatch.setenv(f"AWS_{given}", "x")
    with pytest.raises(UsageError, match=f"AWS_{given} is set without AWS_{missing}"):
        put_one()


PROCESS = """
import json, sys, time
from datetime import datetime, timedelta, UTC
from pathlib import Path
life, asked = float(sys.argv[1]), Path(sys.argv[2])
asked.open("a").write("x")
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


class Role:
    """An endpoint that hands out credentials of a container's role for seconds."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses = 0

    def __enter__(self) -> Role:
        role = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                role.asked.append(self.headers.get("Authorization", ""))
                role.refuses -= 1
                until = (datetime.now(UTC) + timedelta(seconds=LIFE)).isoformat()
                keys = {"AccessKeyId": key_until(LIFE), "SecretAccessKey": "s", "Token": "t", "Expiration": until}
                body = json.dumps(keys).encode()
                self.send_response(200 if role.refuses < 0 else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


SSO = """
[profile study]
sso_session = hospital
sso_account_id = 123456789012
sso_role_name = reader
[sso-session hospital]
sso_region = eu-north-1
sso_start_url = https://hospital.example.org/start
"""
BROKEN = {
    "no SSO token": (SSO, "SSO Token", "aws sso login --profile study"),
    "failing process": (
        "[profile study]\ncredential_process = sh -c 'echo no badge >&2; exit 3'\n",
        "no badge",
        "by hand",
    ),
    "missing process": ("[profile study]\ncredential_process = /nowhere/tool\n", "/nowhere/tool", "by hand"),
    "no JSON": ("[profile study]\ncredential_process = echo hello\n", "profile 'study'", "by hand"),
    "no secret": ("[profile study]\naws_access_key_id = x\n", "aws_secret_access_key", "profile"),
    "no such source": ("[profile study]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = none\n", "none", "profile"),
    "no file of profiles": ("study\n", "config", "profile"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_source_is_named_at_once(
    faulty: FaultyS3, profiles: Profiles, lines: Lines, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    config, said, fix = BROKEN[broken]
    profiles("study", config=config)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    with pytest.raises(UsageError, match=said) as caught:
        put_one()
    assert fix in caught.value.fix
    assert not faulty.requests
    assert not lines.records


def test_an_expired_sso_token_is_named_at_once(
    faulty: FaultyS3, profiles: Profiles, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "tokenofthistest", "expiresAt": "2020-01-01T00:00:00Z", "region": "eu-north-1"}
    (cache / f"{hashlib.sha1(b'hospital', usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(token))
    monkeypatch.setattr("botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", str(cache))
    profiles("study", config=SSO)
    with pytest.raises(UsageError, match="profile 'study'") as caught:
        put_one()
    assert "aws sso login --profile study" in caught.value.fix
    assert "tokenofthistest" not in str(caught.value)
    assert not lines.records


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


@pytest.mark.parametrize(
    ("variable", "files"),
    [
        ("AWS_PROFILE", {}),
        ("", {"credentials": KEYS.format("default", "AKIDEFAULT")}),
        ("", {"config": "[default]\ncredential_process = tool\n"}),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", {}),
    ],
)
def test_without_boto3_what_needs_it_is_refused(
    faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch, variable: str, files: dict[str, str]
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    profiles(None, **files)
    if variable:
        monkeypatch.setenv(variable, "http://127.0.0.1/x")
    with pytest.raises(UsageError, match="boto3, which is not installed") as caught:
        put_one()
    assert "pip install 'vitalprep[aws]'" in caught.value.fix
    assert not faulty.requests


def test_without_boto3_keys_in_the_environment_are_enough(
    faulty: FaultyS3, profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    profiles(None, config="[default]\nregion = eu-west-3\n[profile other]\nsso_session = x\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "AKIENVIRONMENT")
    put_one()
    assert faulty.requests[-1].signer == "AKIENVIRONMENT"


def test_boto3_is_imported_only_where_it_is_needed() -> None:
    code = (
        "import sys, vitalprep.loading; from vitalprep.storage import Storage; Storage('s3://b/x'); "
        "sys.exit('botocore' in sys.modules)"
    )
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"), "x")
    subprocess.run([sys.executable, "-c", code], env=keys, check=True, timeout=60)
