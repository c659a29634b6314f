"""Credentials that cannot be had are named at once, and nothing falls back to another identity."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from tests.reliability.faulty_s3 import FaultyS3
from tests.storage.aws import KEYS, Profiles, Role, put_one
from tests.storage.conftest import Lines
from vitalprep.runtime.errors import UsageError
from vitalprep.sagemaker.aws import client


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


def test_submit_names_a_broken_source_as_storage_does(profiles: Profiles) -> None:
    profiles("study", config=BROKEN["missing process"][0])
    with pytest.raises(UsageError, match="/nowhere/tool") as caught:
        client("sagemaker", "eu-north-1")
    assert "by hand" in caught.value.fix


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


def test_a_profile_that_asks_for_an_mfa_code_is_refused(faulty: FaultyS3, profiles: Profiles) -> None:
    role = "[profile study]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = a\nmfa_serial = arn:aws:iam::1:mfa/x\n"
    profiles("study", config=role, credentials=KEYS.format("a", "AKIA"))
    with pytest.raises(UsageError, match="'study' asks for an MFA code") as caught:
        put_one()
    assert "export-credentials" in caught.value.fix
    assert not faulty.requests


@pytest.mark.parametrize(
    ("variable", "files"),
    [
        ("AWS_PROFILE", {}),
        ("", {"credentials": KEYS.format("default", "AKIDEFAULT")}),
        ("", {"config": "[default]\ncredential_process = tool\n"}),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", {}),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", {"credentials": KEYS.format("default", "AKIDEFAULT")}),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", {"config": "[default]\nrole_arn = arn:aws:iam::1:role/x\n"}),
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
