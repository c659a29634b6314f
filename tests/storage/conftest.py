"""Fixtures: a storage behind a fault-injecting proxy, and the log lines of its retries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import BUCKET
from tests.reliability.faulty_s3 import FaultyS3
from tests.storage.aws import Profiles
from vitalprep.storage import Storage, retries


class Lines(logging.Handler):
    """The log records of vitalprep."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def retries(self) -> list[dict[str, Any]]:
        return [vars(record) for record in self.records if record.getMessage().startswith("retry ")]


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger = logging.getLogger("vitalprep")
    handler = Lines()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def faulty(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A fault-injecting proxy, initially without rules. The environment routes every storage to it; waits are short."""
    with FaultyS3(s3_environment["AWS_ENDPOINT_URL"]) as proxy:
        for name, value in (s3_environment | proxy.environment).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(retries, "FIRST_WAIT", 0.002)
        yield proxy


@pytest.fixture
def storage(faulty: FaultyS3, tmp_path: Path) -> Storage:
    return Storage(f"s3://{BUCKET}/{tmp_path.name}")


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
