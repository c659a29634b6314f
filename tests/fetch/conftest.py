"""Fixtures: the fake service with the simulated recordings, and short timeouts for silent connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetch.imitation import Imitation
from vitalprep.storage import retries


@pytest.fixture
def service(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Imitation]:
    monkeypatch.setenv("VITALPREP_FETCH_STALL_SECONDS", "0.5")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.002)
    with Imitation(recordings) as site:
        yield site
