"""A shard tells how far it is while it works, and how it ended, and never fails for that."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline import BUCKET, COMMAND, Answer, receipts, run_vitalprep, s3_client
from tests.reliability.faulty_s3 import FaultyS3, Rule
from tests.reliability.places import upload
from tests.reliability.processes import Command, on_linux
from vitalprep.contract.plan import load_plan
from vitalprep.contract.receipt import read_receipt
from vitalprep.harmonize.progress import Tally
from vitalprep.simulate.damage import DamageShares
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

OFTEN = {"VITALPREP_HEARTBEAT_SECONDS": "0.1"}
DAMAGE: DamageShares = {"truncated": 0.2}
KEYS = {
    "schema_version", "index", "state", "cases", "bytes", "done", "excluded", "bytes_done", "bytes_per_second",
    "seconds_left", "updated",
}  # fmt: skip


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated cases, some of them cut off."""
    folder = tmp_path_factory.mktemp("damaged")
    simulate_folder(folder, SimulationOptions(seed=25, cases=14, hours=0.2, spread=0, damage=DAMAGE))
    return folder


def _plan(source: Path | str, output: Path | str, shards: int = 1, **environment: str) -> dict[str, Any]:
    command = ("plan", "--input", source, "--output", output, "--shards", str(shards))
    return run_vitalprep(*command, environment=environment).result


def _heartbeat(output: Path, shard: int = 0) -> dict[str, Any]:
    [path] = output.glob(f"runs/*/plan-*/progress-{shard:05d}.json")
    return dict(json.loads(path.read_bytes()))


def _shard(planned: dict[str, Any], shard: int = 0) -> tuple[str, ...]:
    return ("harmonize", "--plan", planned["plan"], "--shard", str(shard), "--workers", "1")


def test_it_says_in_the_end_what_the_receipts_say(damaged: Path, tmp_path: Path) -> None:
    planned = _plan(damaged, tmp_path, 2)
    plan = json.loads(Path(planned["plan"]).read_bytes())
    for _ in range(2):  # also an attempt that finds everything done
        before = time.time()
        assert run_vitalprep(*_shard(planned, 1)).exit_code == 0
        done = receipts(tmp_path)
        said = _heartbeat(tmp_path, 1)
        assert said.keys() == KEYS
        assert set(done) == set(plan["shards"][1])
        size = sum(receipt["input"]["size"] for receipt in done.values())
        excluded = sum(receipt["status"] == "excluded" for receipt in done.values())
        assert excluded > 0
        assert (said["state"], said["index"], said["seconds_left"]) == ("done", 1, 0)
        assert (said["cases"], said["done"], said["excluded"]) == (len(done), len(done), excluded)
        assert (said["bytes"], said["bytes_done"]) == (size, size)
        updated = time.mktime(time.strptime(said["updated"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        assert before - 1 <= updated <= time.time()
    [path] = tmp_path.glob("runs/*/plan-*/progress-*.json")
    assert socket.gethostname() not in path.read_text()


def test_its_line_tells_rate_and_time_left_once_a_case_has_ended(recordings: Path, tmp_path: Path) -> None:
    planned = _plan(recordings, tmp_path)
    plan, output = load_plan(planned["plan"])
    tally = Tally(plan, 0, before={})
    assert tally.line(0)[0] == "shard 0: 0 of 14 cases"
    assert run_vitalprep(*_shard(planned)).exit_code == 0
    tally.add(read_receipt(plan, output, plan.shards[0][0]))
    time.sleep(0.1)
    assert re.fullmatch(r"shard 0: 1 of 14 cases, \d+\.\d MB/s, \d+ s left", tally.line(1)[0])


def _until(condition: Callable[[], bool], command: Command) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert command.runs, command.log()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _settled(output: Path, command: Command) -> dict[str, Any]:
    """Return the first heartbeat that counts no more than the one before: what had been sent by then is counted."""
    said = _heartbeat(output)
    while True:
        before = said
        _until(lambda: _heartbeat(output)["updated"] > before["updated"], command)  # noqa: B023
        said = _heartbeat(output)
        if said["done"] == before["done"]:
            return said


@pytest.mark.skipif(not on_linux(), reason="needs Linux's /proc to see what processes do")
def test_it_moves_while_one_case_takes_long_and_stands_still_once_it_is_killed(
    recordings: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    some = run_vitalprep("plan", "--input", recordings, "--output", output, "--cases", "1-7").result
    assert run_vitalprep(*_shard(some)).exit_code == 0
    shutil.rmtree(output / "runs")
    planned = _plan(recordings, output)  # seven of its cases are done
    with Command(*_shard(planned), folder=tmp_path / "logs", environment=OFTEN) as command:
        _until(lambda: bool(command.workers()), command)
        os.kill(command.workers()[0], signal.SIGSTOP)  # a case that does not end
        _until(lambda: bool(list(output.glob("runs/*/plan-*/progress-*.json"))), command)
        frozen = _settled(output, command)
        lines = len(_progress_lines(command))
        _until(lambda: _heartbeat(output)["updated"] > frozen["updated"], command)
        _until(lambda: len(_progress_lines(command)) > lines + 3, command)
        last = _heartbeat(output)
        assert (last["state"], last["done"]) == ("running", frozen["done"])
        command.signal_group(signal.SIGKILL)
        command.wait()
    killed = _heartbeat(output)
    time.sleep(1.1)
    [dataset] = run_vitalprep("status", output).result["datasets"]
    [shard] = dataset["shards"]
    assert (shard["state"], shard["updated"]) == ("running", killed["updated"])
    assert 7 <= shard["done"] < 14
    assert dataset["state"] == "harmonizing"
    said = _progress_lines(command)[-1]
    assert re.fullmatch(r"shard 0: \d+ of 14 cases(, \d+\.\d MB/s, \d+ s left)?", said["message"])
    assert said["done"] == shard["done"]


def _progress_lines(command: Command) -> list[dict[str, Any]]:
    return [line for line in command.log() if line["message"].startswith("shard 0: ")]


@pytest.mark.skipif(not on_linux(), reason="needs Linux's /proc to see what processes do")
def test_a_stop_is_told_and_a_retry_goes_on_from_there(recordings: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    planned = _plan(recordings, output)
    with Command(*_shard(planned), folder=tmp_path / "logs") as command:
        _until(lambda: len(list(output.glob("harmonized/*/*.json"))) >= 2, command)
        command.signal_group(signal.SIGTERM)
        assert command.wait().exit_code == 143
    said = _heartbeat(output)
    assert (said["state"], said["done"]) == ("stopped", len(receipts(output)))
    assert said["done"] < 14
    assert run_vitalprep(*_shard(planned)).exit_code == 0
    assert (_heartbeat(output)["state"], _heartbeat(output)["done"]) == ("done", 14)


@pytest.mark.parametrize("fault", ["503 SlowDown", "403 AccessDenied", "stall"])
def test_a_heartbeat_that_is_lost_is_one_warning(
    recordings: Path, tmp_path: Path, s3_environment: dict[str, str], fault: str
) -> None:
    name = f"heartbeat-{fault.split()[0]}"
    source = upload(recordings, s3_environment, f"{name}/raw")
    planned = _plan(source, f"s3://{BUCKET}/{name}/out", **s3_environment)
    rule = Rule(fault, method="PUT", key="*/progress-*", times=None)
    with FaultyS3(s3_environment["AWS_ENDPOINT_URL"], [rule]) as s3:
        answer = run_vitalprep(*_shard(planned), environment=s3_environment | s3.environment | OFTEN)
        assert s3.count(fault) > 0
    assert answer.exit_code == 0
    assert answer.result["harmonized"] == 14
    if fault != "stall":  # that one may be over before anybody knows
        warnings = [line["message"] for line in answer.log if line["level"] == "WARNING"]
        assert len(warnings) == 1
        assert "processing continues" in warnings[0]
    found = s3_client(s3_environment).list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/out/runs")["Contents"]
    assert not [item["Key"] for item in found if "progress" in item["Key"]]


def test_metrics_are_lines_before_the_result_whose_sums_are_right(damaged: Path, tmp_path: Path) -> None:
    planned = _plan(damaged, tmp_path)
    environment = os.environ | OFTEN | {"VITALPREP_METRICS": "emf"}
    command = [*COMMAND, *_shard(planned), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    *metrics, result = map(json.loads, done.stdout.splitlines())
    assert result["ok"] is True
    excluded = sum(result["excluded"].values())
    assert sum(line["Cases"] for line in metrics) == result["harmonized"] + excluded
    assert sum(line["Excluded"] for line in metrics) == excluded > 0
    assert sum(line["Bytes"] for line in metrics) == planned["shards"][0]["bytes"]
    for line in metrics:
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60
        for key in [metric["Name"] for metric in directive["Metrics"]] + directive["Dimensions"][0]:
            assert key in line, "what is named has to stand at the root"
    assert [line["state"] for line in metrics][-1] == "done"


def test_without_being_asked_for_there_are_none(recordings: Path, tmp_path: Path) -> None:
    planned = _plan(recordings, tmp_path)
    done = subprocess.run([*COMMAND, *_shard(planned), "--json"], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("setting", ["VITALPREP_METRICS=cloud", "VITALPREP_HEARTBEAT_SECONDS=often"])
def test_what_there_is_not_is_refused(recordings: Path, tmp_path: Path, setting: str) -> None:
    planned = _plan(recordings, tmp_path)
    name, value = setting.split("=")
    answer: Answer = run_vitalprep(*_shard(planned), environment={name: value})
    assert answer.exit_code == 2
    assert name in answer.result["message"]
