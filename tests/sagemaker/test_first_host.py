"""What the hosts of a job tell each other by documents in the job's folder."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest

from tests.sagemaker.left import BEFORE, NOW, failure, living
from vitalprep.contract.job import FirstHost, HostFailure
from vitalprep.runtime.errors import RefusedError, RetryableError, Stopped, UsageError, VitalprepError
from vitalprep.runtime.workers import StopRequest
from vitalprep.sagemaker import pauses
from vitalprep.sagemaker.attempt import HostStart
from vitalprep.sagemaker.first_host import WatchedFirstHost, signs_of_life
from vitalprep.sagemaker.job_folder import JobFolder
from vitalprep.storage import AccessDenied, Storage


def not_built() -> bool:
    return False


def watched(folder: JobFolder, start: HostStart = NOW) -> WatchedFirstHost:
    return WatchedFirstHost(folder, "algo-1", start)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "FIRST", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(Storage(tmp_path), "job")


def sign(output: Path) -> str:
    return str(json.loads((output / "sagemaker" / "job" / "first-host.json").read_bytes())["state"])


def test_the_first_host_works_and_then_is_done(folder: JobFolder, tmp_path: Path) -> None:
    with signs_of_life(folder, "algo-1", NOW):
        assert sign(tmp_path) == "running"
    assert sign(tmp_path) == "done"
    watched(folder).wait(0, StopRequest(), not_built)


def test_a_first_host_that_fails_is_never_done(folder: JobFolder, tmp_path: Path) -> None:
    with pytest.raises(RefusedError), signs_of_life(folder, "algo-1", NOW):
        raise RefusedError("Too few.", fix="give more.")
    assert sign(tmp_path) == "running"


def test_who_may_not_write_to_the_job_s_folder_learns_it_before_the_work(folder: JobFolder, tmp_path: Path) -> None:
    (tmp_path / "sagemaker").write_text("no folder")
    with pytest.raises(VitalprepError, match=r"first-host\.json"), signs_of_life(folder, "algo-1", NOW):
        pytest.fail("the work began")


def test_only_the_signs_between_are_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last go through the storage that is patient."""
    monkeypatch.setattr("vitalprep.sagemaker.first_host.BEAT_SECONDS", 0.01)
    patient, brief = Storage(tmp_path / "patient", create=True), Storage(tmp_path / "brief", create=True)
    beaten = tmp_path / "brief" / "sagemaker" / "job" / "first-host.json"
    with signs_of_life(JobFolder(patient, "job", brief=brief), "algo-1", NOW):
        assert sign(tmp_path / "patient") == "running"
        while not beaten.exists():
            pass
    assert (sign(tmp_path / "patient"), sign(tmp_path / "brief")) == ("done", "running")


@pytest.mark.parametrize(("code", "kind"), [(65, RefusedError), (2, UsageError), (1, RetryableError)])
def test_the_other_hosts_fail_as_the_first_did(folder: JobFolder, code: int, kind: type[VitalprepError]) -> None:
    first = watched(folder)
    folder.put_failure(failure(exit_code=code))
    with pytest.raises(kind, match=r"The first host algo-1 failed: Too few\.") as raised:
        first.wait(60, StopRequest(), not_built)
    assert raised.value.exit_code == code
    assert raised.value.fix == "give more."


def test_a_failure_of_an_attempt_before_is_not_this_one_s(folder: JobFolder) -> None:
    folder.put_failure(failure(BEFORE))
    first = watched(folder)
    folder.put_first_host(living(state="done"))
    first.wait(0, StopRequest(), not_built)


def test_the_same_failure_again_is_this_attempt_s(folder: JobFolder) -> None:
    folder.put_failure(failure(BEFORE))
    first = watched(folder)
    folder.put_failure(failure())
    with pytest.raises(RefusedError, match="Too few"):
        first.wait(0, StopRequest(), not_built)


def test_a_failure_before_the_first_look_is_this_attempt_s(folder: JobFolder) -> None:
    folder.put_failure(failure(HostStart("first", NOW.at - timedelta(seconds=60))))
    with pytest.raises(RefusedError, match="Too few"):
        watched(folder).wait(0, StopRequest(), not_built)


def test_a_failure_is_of_the_start_whose_sign_was_seen(folder: JobFolder) -> None:
    """However long the other host takes to start, or its clock is wrong."""
    late = HostStart("late", NOW.at + timedelta(hours=1))
    folder.put_first_host(living())
    folder.put_failure(failure())
    first = watched(folder, late)
    folder.put_first_host(living(beat=1))
    with pytest.raises(RefusedError, match="Too few"):
        first.wait(0, StopRequest(), not_built)


def test_a_failure_of_a_start_that_a_newer_one_has_replaced_is_none(folder: JobFolder) -> None:
    folder.put_failure(failure(HostStart("first", NOW.at - timedelta(seconds=60))))
    folder.put_first_host(living(state="done"))
    watched(folder).wait(0, StopRequest(), not_built)


class Flapping(JobFolder):
    """A folder of which some reads fail."""

    faults = 0
    error: VitalprepError = RetryableError("Could not read it.", fix="run it again.")

    def first_host(self) -> FirstHost | None:
        self._fail()
        return super().first_host()

    def failure_of(self, host: str) -> HostFailure | None:
        self._fail()
        return super().failure_of(host)

    def _fail(self) -> None:
        if self.faults:
            self.faults -= 1
            raise self.error


def test_an_old_failure_stays_one_where_the_first_look_fails(tmp_path: Path) -> None:
    folder = Flapping(Storage(tmp_path), "job")
    folder.put_failure(failure(BEFORE))
    folder.faults = 2
    first = watched(folder)
    folder.put_first_host(living(state="done"))
    first.wait(0, StopRequest(), not_built)


def test_done_of_an_attempt_before_counts_only_where_the_data_set_is_up_to_date(folder: JobFolder) -> None:
    folder.put_first_host(living(BEFORE, "done"))
    with pytest.raises(RetryableError, match="no sign of life"):
        watched(folder).wait(0, StopRequest(), not_built)
    watched(folder).wait(60, StopRequest(), lambda: True)


def test_a_first_host_that_says_nothing_is_given_up(folder: JobFolder) -> None:
    folder.put_first_host(living())
    with pytest.raises(RetryableError, match=r"algo-1 has given no sign of life for 0\.05 s") as raised:
        watched(folder).wait(0.05, StopRequest(), not_built)
    assert "wait_seconds" in raised.value.fix


def test_before_it_is_given_up_the_data_set_itself_is_looked_at(folder: JobFolder) -> None:
    """Its last word may be lost."""
    folder.put_first_host(living())
    watched(folder).wait(0.02, StopRequest(), lambda: True)


def test_reads_that_fail_now_and_then_are_no_signs_of_life(tmp_path: Path) -> None:
    looks = 0

    class EverySecond(Flapping):
        def first_host(self) -> FirstHost | None:
            nonlocal looks
            looks += 1
            assert looks < 200, "patience never runs out"
            self.faults = looks % 2
            return super().first_host()

    folder = EverySecond(Storage(tmp_path), "job")
    folder.put_first_host(living())
    with pytest.raises(RetryableError, match="no sign of life"):
        watched(folder).wait(0.1, StopRequest(), not_built)


def test_signs_of_life_keep_the_others_waiting(tmp_path: Path) -> None:
    looks = 0

    class Beating(JobFolder):
        def failure_of(self, host: str) -> HostFailure | None:
            nonlocal looks
            looks += 1
            self.put_first_host(living(beat=looks, state="running" if looks < 9 else "done"))
            return super().failure_of(host)

    watched(Beating(Storage(tmp_path), "job")).wait(0.2, StopRequest(), not_built)
    assert looks >= 9


def test_a_signal_ends_the_waiting(folder: JobFolder) -> None:
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(Stopped, match="waiting for algo-1"):
        watched(folder).wait(60, stop, not_built)


def test_a_place_that_cannot_be_read_at_first_is_looked_at_again(tmp_path: Path) -> None:
    """S3 answers 403 for what is missing to those who may not list it."""
    folder = Flapping(Storage(tmp_path), "job")
    folder.faults, folder.error = 4, AccessDenied("S3 refuses it.", fix="give the right.")
    folder.put_first_host(living(state="done"))
    watched(folder).wait(60, StopRequest(), not_built)
    assert folder.faults == 0


def test_a_place_that_can_never_be_read_is_named_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("vitalprep"), "propagate", True)
    folder = Flapping(Storage(tmp_path), "job")
    folder.faults, folder.error = 1000, AccessDenied("S3 refuses it.", fix="give the right.")
    with pytest.raises(RetryableError, match="no sign of life") as raised:
        watched(folder).wait(0.05, StopRequest(), not_built)
    assert "terraform/rights_to_services.tf" in raised.value.fix
    assert len({id(one) for one in caplog.records if "S3 refuses it" in one.getMessage()}) == 1


def test_where_it_must_not_be_read_the_data_set_tells(tmp_path: Path) -> None:
    folder = Flapping(Storage(tmp_path), "job")
    folder.faults, folder.error = 1000, AccessDenied("S3 refuses it.", fix="give the right.")
    answers = iter([False, False, True])
    watched(folder).wait(60, StopRequest(), lambda: next(answers))
    assert list(answers) == []


def test_a_damaged_document_is_waited_out(folder: JobFolder, tmp_path: Path) -> None:
    folder.put_first_host(living())
    (tmp_path / "sagemaker" / "job" / "failure-algo-1.json").write_text("{")
    first = watched(folder)
    with pytest.raises(RetryableError, match="no sign of life"):
        first.wait(0.02, StopRequest(), not_built)
    folder.put_first_host(living(state="done"))
    first.wait(60, StopRequest(), not_built)
