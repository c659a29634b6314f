"""Servers that differ from AWS, and buckets with narrow rights."""

from __future__ import annotations

import pytest

from tests.reliability.faulty_s3 import FaultyS3, Rule
from tests.storage.conftest import Lines
from vitalprep.storage import Storage


@pytest.mark.parametrize("method", ["LIST", "GET", "*"])
def test_etags_are_the_same_with_and_without_quotes(
    storage: Storage, faulty: FaultyS3, lines: Lines, method: str
) -> None:
    storage.put("a.vital", b"body")
    (usual,) = storage.list()
    faulty.rules.append(Rule("bare etags", method=method, times=None))
    (listed,) = storage.list()
    assert listed == usual
    assert storage.head("a.vital") == usual
    assert storage.get("a.vital", etag=listed.etag) == b"body"
    assert storage.get("a.vital", etag=listed.etag.strip('"')) == b"body"  # of a plan made before
    assert storage.arriving("a.vital", etag=listed.etag).at(0, 4) == b"body"
    assert not lines.records
