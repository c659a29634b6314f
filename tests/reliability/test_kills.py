"""Killed runs lose no work, repeat none and leave no files behind (short form of `kills`)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pipeline import BUCKET, receipts, run_vitalprep
from tests.reliability.faulty_s3 import FaultyS3, Rule
from tests.reliability.kills import Killer, Undisturbed
from tests.reliability.places import LocalPlace, Place, upload
from tests.reliability.processes import Command, is_case_started, on_linux
from tests.reliability.soak import disturbing_options
from vitalprep.contract.case_list import parse_case_list
from vitalprep.simulate.damage import DamageShares
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

pytestmark = pytest.mark.skipif(not on_linux(), reason="needs Linux's /proc to see what processes do")

CASES = 14
DAMAGE: DamageShares = {"truncated": 0.1, "no-clinical-row": 0.1}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated cases, some of them damaged."""
    folder = tmp_path_factory.mktemp("damaged")
    simulate_folder(folder, SimulationOptions(seed=25, cases=CASES, hours=0.2, spread=0, damage=DAMAGE))
    return folder


def _killed(place: Place, logs: Path, kills: int, *, workers: int = 2, by_stages: bool = True) -> Killer:
    undisturbed = Undisturbed.run(place, workers=workers, logs=logs / "undisturbed")
    assert set(undisturbed.counts["excluded"]) == {"truncated", "no_clinical_row", "raw_object_missing"}
    killer = Killer(place, undisturbed, logs, seed=7, workers=workers, by_stages=by_stages)
    killer.until(kills)
    return killer


def _assert_nothing_lost(killer: Killer, kills: int) -> None:
    row = killer.row("kills")
    assert row.passed, row
    assert row.faults >= kills
    assert row.redone is not None
    assert 0 <= row.redone <= row.faults * killer.workers


def test_kills_at_random_moments_lose_and_redo_nothing(damaged: Path, tmp_path: Path) -> None:
    killer = _killed(LocalPlace(str(damaged), str(tmp_path / "out"), disturbing_options(CASES)), tmp_path / "logs", 12)
    _assert_nothing_lost(killer, 12)


# What takes half a minute to be seen is begun before the other tests of this file, and looked at after them.


@pytest.fixture(scope="module", autouse=True)
def stalled_s3(s3_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """An S3 server that keeps every client waiting until it is lost, again and again."""
    with FaultyS3(s3_environment["AWS_ENDPOINT_URL"], [Rule("stall", times=None)]) as proxy:
        yield s3_environment | proxy.environment


@pytest.fixture(scope="module", autouse=True)
def stopping(
    recordings: Path, stalled_s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Command, Path, float]]]:
    """Two commands after one SIGTERM: a worker of one does not move, the other one waits for S3."""
    folder = tmp_path_factory.mktemp("stopping")
    with ExitStack() as ending:
        arguments = ("run", "--input", str(recordings), "--output", str(folder / "out"), "--workers", "2")
        frozen = ending.enter_context(Command(*arguments, folder=folder / "frozen"))
        _wait_for_receipts(frozen, folder / "out", 1)
        _freeze_one_in_flight(frozen)
        waiting = ending.enter_context(_waiting_for_s3(stalled_s3, folder))
        begun = time.monotonic()
        for command in (frozen, waiting):
            command.process.send_signal(signal.SIGTERM)
        yield {"frozen": (frozen, folder / "out", begun), "waiting": (waiting, folder / "out", begun)}


def _wait_for_receipts(command: Command, output: Path, count: int) -> None:
    while len(list(output.glob("harmonized/*/*.json"))) < count:
        assert command.runs, command.log()
        time.sleep(0.002)


def _freeze_one_in_flight(command: Command) -> None:
    """Stop a worker process for good, as one that hangs in a read or swaps."""
    os.kill(command.workers()[0], signal.SIGSTOP)


def _waiting_for_s3(environment: dict[str, str], folder: Path) -> Command:
    """Start a run that waits for a listing of S3, outside of Python."""
    arguments = ("run", "--input", f"s3://{BUCKET}/raw", "--output", str(folder / "waiting-out"))
    command = Command(*arguments, folder=folder / "waiting", environment=environment)
    while not command.heeds_signals:
        assert command.runs, command.log()
        time.sleep(0.01)
    time.sleep(0.3)
    return command


def test_a_stop_names_what_is_committed_and_what_is_left(recordings: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ("run", "--input", str(recordings), "--output", str(output), "--workers", "2")
    with Command(*arguments, folder=tmp_path / "logs") as command:
        _wait_for_receipts(command, output, 2)
        command.signal_group(signal.SIGTERM)
        answer = command.wait()
        assert answer.exit_code == 143
        line = next(line for line in answer.log if "committed" in line)
        committed, left = set(parse_case_list(line["committed"])), set(parse_case_list(line["left"]))
        assert committed == set(receipts(output))
        assert committed | left == set(range(1, 15))
        assert not committed & left
        assert f"{len(committed)} cases committed ({line['committed']})" in line["message"]
        assert f"{len(left)} left ({line['left']})" in line["message"]
        begun = [line["message"] for line in answer.log if is_case_started(line)]
        assert {int(text.split()[1]) for text in begun} == committed, "what was begun was committed, nothing else begun"
        assert not command.left_after(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_second_signal_leaves_at_once(recordings: Path, tmp_path: Path, number: int) -> None:
    output = tmp_path / "out"
    arguments = ("run", "--input", str(recordings), "--output", str(output), "--workers", "2")
    with Command(*arguments, folder=tmp_path / "logs") as command:
        _wait_for_receipts(command, output, 1)
        _freeze_one_in_flight(command)  # or the first signal would be enough
        command.signal_group(number)
        with pytest.raises(TimeoutError):
            _ended(command, 1.5)
        command.signal_group(number)
        _ended(command, 10)  # the first signal alone gives 20 s
        assert command.wait().exit_code == 143
        assert "at once by a second signal" in command.wait().result["message"]
        assert not command.left_after(30)


def test_a_second_signal_leaves_at_once_also_in_the_middle_of_a_library_s_call(
    stalled_s3: dict[str, str], tmp_path: Path
) -> None:
    with _waiting_for_s3(stalled_s3, tmp_path) as command:
        command.signal_group(signal.SIGINT)
        with pytest.raises(TimeoutError):
            _ended(command, 1.5)
        command.signal_group(signal.SIGTERM)
        _ended(command, 10)
        assert command.wait().exit_code == 143


def _ended(command: Command, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while command.runs:
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def test_a_worker_that_waits_for_s3_ends_with_its_parent(
    recordings: Path, tmp_path: Path, s3_environment: dict[str, str]
) -> None:
    source = upload(recordings, s3_environment, "orphans/raw")
    with FaultyS3(s3_environment["AWS_ENDPOINT_URL"], [Rule("stall", key="*.vital", method="GET", times=None)]) as s3:
        arguments = ("run", "--input", source, "--output", str(tmp_path / "out"), "--workers", "2")
        with Command(*arguments, folder=tmp_path / "logs", environment=s3_environment | s3.environment) as command:
            while s3.count("stall") < 2:
                assert command.runs, command.log()
                time.sleep(0.01)
            assert len(command.workers()) == 2
            command.process.kill()
            assert not command.left_after(30), "it would try again for minutes"


def test_a_shard_lost_for_good_is_named_and_all_cases_are_accounted_for(
    damaged: Path, tmp_path: Path, s3_environment: dict[str, str]
) -> None:
    """One recording kills whatever process reads it: each time it is on its way, its reader is killed."""
    output = tmp_path / "out"
    source = upload(damaged, s3_environment, "lost/raw")
    rule = Rule("stall", key="*0005.vital", method="GET", times=None)
    with FaultyS3(s3_environment["AWS_ENDPOINT_URL"], [rule]) as s3:
        place = LocalPlace(source, str(output), disturbing_options(CASES), s3_environment | s3.environment)
        planned = run_vitalprep("plan", *place.arguments("--shards", "3"), environment=dict(place.environment)).result
        plan = json.loads(Path(planned["plan"]).read_bytes())
        lost = next(index for index, shard in enumerate(plan["shards"]) if 5 in shard)
        for shard in range(3):
            for _ in range(2 if shard == lost else 1):
                arguments = ("harmonize", "--plan", planned["plan"], "--shard", str(shard), "--workers", "1")
                with Command(*arguments, folder=tmp_path / "logs", environment=place.environment) as command:
                    while command.runs:
                        if any(line["message"] == "case 5 started" for line in command.log()):
                            command.kill_workers()
                        time.sleep(0.02)
                    answer = command.wait()
                assert answer.exit_code == (1 if shard == lost else 0)
                if shard == lost:
                    assert "died at case 5 (exit code -9)" in answer.result["message"]
    assert run_vitalprep("build", "--plan", planned["plan"]).exit_code == 1
    published = run_vitalprep("publish", "--plan", planned["plan"])
    assert published.exit_code == 65
    assert f"(shards {lost})" in published.result["message"]
    accounting = json.loads(next(output.glob("runs/*/accounting.json")).read_bytes())
    assert 5 in accounting["unfinished"]
    assert set(accounting["unfinished"]) <= set(plan["shards"][lost])
    harmonized = [case for case, receipt in receipts(output).items() if receipt["status"] == "ok"]
    excluded = sum(accounting["excluded"].values())
    assert accounting["requested"] == CASES + 1 == len(harmonized) + excluded + len(accounting["unfinished"])
    assert accounting["excluded"].keys() >= {"raw_object_missing", "no_clinical_row"}
    assert not (output / "datasets" / "latest.json").exists()


@pytest.mark.parametrize("what", ["frozen", "waiting"])
def test_a_stop_is_over_within_thirty_seconds(stopping: dict[str, tuple[Command, Path, float]], what: str) -> None:
    command, output, begun = stopping[what]
    _ended(command, begun + 30 - time.monotonic())
    answer = command.wait()
    assert answer.exit_code == 143
    assert not command.left_after(30)
    if what == "frozen":
        line = next(line for line in answer.log if "committed" in line)
        committed, left = set(parse_case_list(line["committed"])), set(parse_case_list(line["left"]))
        there = set(receipts(output))
        assert committed <= there
        assert len(there & left) <= 1, "the worker may have been frozen between its receipt and its answer"
        assert committed | left == set(range(1, 15))
        accounting = json.loads(next(output.glob("runs/*/accounting.json")).read_bytes())
        assert set(accounting["unfinished"]) == set(range(1, 15)) - there
    else:
        assert "finished work is committed" in answer.log[-1]["message"]
