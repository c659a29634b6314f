"""Servers that differ from AWS, and buckets with narrow rights."""

from __future__ import annotations

import pytest

from tests.reliability.faulty_s3 import FaultyS3, Rule
from tests.storage.conftest import Lines
from vitalprep.contract.config_file import load_config
from vitalprep.contract.verdict import read_verdict
from vitalprep.plan.check import run_checks
from vitalprep.plan.make_plan import PlanRequest, named_beside
from vitalprep.plan.provenance import noted_provenance
from vitalprep.runtime.errors import UsageError
from vitalprep.storage import AccessDenied, ObjectMissing, Storage, honours_create_only


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


def test_a_missing_object_that_a_listing_does_not_show_is_absent(
    storage: Storage, faulty: FaultyS3, lines: Lines
) -> None:
    """The right to list holds for a prefix: S3 then answers 403 for what is not there."""
    for path in ("datasets/x/validation", "datasets/x/validation.json.old", "b.vital"):
        storage.put(path, b"x")
    faulty.rules.append(Rule("403 for missing", times=None))
    assert storage.head("datasets/x/validation.json") is None
    assert storage.head("a") is None
    assert read_verdict(storage, "x") is None
    assert noted_provenance(storage) is None
    for read in (storage.get, storage.arriving):
        with pytest.raises(ObjectMissing, match=r"validation\.json does not exist"):
            read("datasets/x/validation.json")
    assert not lines.records


def test_an_object_that_is_there_and_must_not_be_read_is_refused(
    storage: Storage, faulty: FaultyS3, lines: Lines
) -> None:
    storage.put("datasets/x/validation.json", b"{}")
    faulty.rules.extend(Rule("403 AccessDenied", method=method, times=None) for method in ("GET", "HEAD"))
    for read in (lambda: read_verdict(storage, "x"), lambda: storage.head("datasets/x/validation.json")):
        with pytest.raises(AccessDenied, match=r"validation\.json") as caught:
            read()
        assert isinstance(caught.value, UsageError)
        assert "s3:GetObject" in caught.value.fix
        assert "s3:ListBucket" in caught.value.fix
    assert not lines.records


def test_optional_objects_that_must_not_be_looked_at_are_absent_with_a_line_each(
    storage: Storage, faulty: FaultyS3, lines: Lines
) -> None:
    faulty.rules.append(Rule("403 AccessDenied", times=None))
    assert noted_provenance(storage) is None
    assert named_beside(storage) == {}
    said = [record.getMessage() for record in lines.records]
    for name, line in zip(("source.json", "simulation.json", "clinical_data.csv"), said, strict=True):
        assert f"{name} counts as absent" in line


def test_an_optional_object_that_is_there_and_must_not_be_read_is_refused(storage: Storage, faulty: FaultyS3) -> None:
    """Else simulated patients would count as real ones."""
    storage.put("simulation.json", b"{}")
    faulty.rules.extend(Rule("403 AccessDenied", method=method, key="*.json", times=None) for method in ("GET", "HEAD"))
    with pytest.raises(AccessDenied, match=r"simulation\.json"):
        noted_provenance(storage)


RIGHTS = {
    "s3:ListBucket": lambda storage: list(storage.list("a")),
    "s3:PutObject": lambda storage: storage.put("a", b"x"),
    "s3:DeleteObject": lambda storage: storage.delete(["a"]),
}


@pytest.mark.parametrize("right", RIGHTS)
def test_a_refusal_names_the_right_that_is_missing(storage: Storage, faulty: FaultyS3, right: str) -> None:
    faulty.rules.append(Rule("403 AccessDenied", times=None))
    with pytest.raises(AccessDenied) as caught:
        RIGHTS[right](storage)
    assert right in caught.value.fix


def test_a_server_that_ignores_create_only_writes_is_noticed(storage: Storage, faulty: FaultyS3) -> None:
    assert honours_create_only(storage, "runs/.write-check")
    storage.put("runs/.write-check", b"left by a check that was killed")
    faulty.rules.append(Rule("403 AccessDenied", method="GET", times=None))  # the role that checks need not read
    assert honours_create_only(storage, "runs/.write-check")
    faulty.rules[:] = [Rule("If-None-Match ignored", method="PUT", times=None)]
    assert not honours_create_only(storage, "runs/.write-check")
    assert list(storage.list()) == []


def test_check_refuses_a_server_that_ignores_create_only_writes(storage: Storage, faulty: FaultyS3) -> None:
    storage.put("raw/0001.vital", b"x")
    faulty.rules.append(Rule("If-None-Match ignored", method="PUT", times=None))
    request = PlanRequest(input=storage.uri_of("raw"), config=load_config())
    (outcome,) = run_checks(("raw-data",), lambda: request, storage.uri_of("out"))
    assert (outcome.ok, outcome.exit_code) == (False, 2)
    assert "If-None-Match" in outcome.message
    assert "s3-proxies-offline" in outcome.fix
    faulty.rules.clear()
    assert all(outcome.ok for outcome in run_checks(("raw-data",), lambda: request, storage.uri_of("out")))
